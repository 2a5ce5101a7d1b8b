"""Asking the catalog for one page of keys or versions: shared by the three listings of objects."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from s3gate.catalog.labels import CURRENT
from s3gate.catalog.rows import BucketRow, CommonPrefix, ListEntry, VersionEntry
from s3gate.operations._acl import access_of, owner_of, shown
from s3gate.operations._bucket import find_bucket
from s3gate.operations._reading import look_up
from s3gate.operations.exchange import Call
from s3gate.s3.headers import STORAGE_CLASS
from s3gate.s3.listing import ListVersions, Selection
from s3gate.s3.storage_class import NO_LABELS, label_of
from s3gate.s3.xml_out import NO_OWNERS, Owner

FIRST_VERSION = (1 << 63) - 1
"""Behind this counter every version of a key comes."""

Entry = TypeVar("Entry", ListEntry, VersionEntry)
Place: TypeAlias = tuple[bytes, int]
"""Key and counter of a version."""


@dataclass(slots=True)
class Page(Generic[Entry]):
    """Entries and common prefixes of a bucket; `last` is the last of either kind if more follow it."""

    bucket: BucketRow
    entries: list[Entry]
    prefixes: list[bytes]
    last: Entry | CommonPrefix | None

    @property
    def last_key(self) -> bytes | None:
        """The last entry as a place in a listing of keys."""
        last = self.last
        return last.prefix if isinstance(last, CommonPrefix) else last and last.key


async def page_of_keys(call: Call, asked: Selection) -> Page[ListEntry]:
    """A page of the keys that have an object now."""

    async def read(bucket: BucketRow) -> Page[ListEntry]:
        found = await call.gate.catalog.list_objects(
            bucket.bucket_id,
            prefix=asked.prefix,
            delimiter=asked.delimiter,
            after=asked.after,
            inclusive=False,
            limit=asked.limit,
        )
        return _sorted_out(bucket, found.entries, found.truncated)

    return await _page(call, asked, read)


async def page_of_versions(call: Call, asked: ListVersions) -> Page[VersionEntry]:
    """A page of the versions of keys, delete markers among them."""
    choice = asked.selection

    async def read(bucket: BucketRow) -> Page[VersionEntry]:
        found = await call.gate.catalog.list_versions(
            bucket.bucket_id,
            prefix=choice.prefix,
            delimiter=choice.delimiter,
            after=choice.after,
            after_version=await _counter(call, asked),
            limit=choice.limit,
        )
        return _sorted_out(bucket, found.entries, found.truncated)

    return await _page(call, choice, read)


async def classes_of_keys(call: Call, page: Page[ListEntry]) -> Mapping[bytes, str]:
    """The storage classes of a page's keys that have another than STANDARD; a second look, where labels are set."""
    found = await _classes(call, page, _current)
    return {key: label for (key, _), label in found.items()}


async def classes_of_versions(call: Call, page: Page[VersionEntry]) -> Mapping[tuple[bytes, int], str]:
    """The same of versions, by key and counter."""
    return await _classes(call, page, _place)


async def owners_of_keys(call: Call, page: Page[ListEntry]) -> Mapping[bytes, Owner]:
    """The owners of a page's keys that another than the bucket's owner owns; a second look, where that can be."""
    found = await _owners(call, page, _current)
    return {key: owner for (key, _), owner in found.items()}


async def owners_of_versions(call: Call, page: Page[VersionEntry]) -> Mapping[tuple[bytes, int], Owner]:
    """The same of versions, by key and counter."""
    return await _owners(call, page, _place)


def _current(entry: ListEntry) -> Place:
    return entry.key, CURRENT


def _place(entry: VersionEntry) -> Place:
    return entry.key, entry.version


async def _owners(call: Call, page: Page[Entry], place: Callable[[Entry], Place]) -> Mapping[Place, Owner]:
    bucket = page.bucket
    if access_of(bucket).enforced or not page.entries:
        return NO_OWNERS
    found = await call.gate.catalog.labels.find_acls(bucket.bucket_id, list(map(place, page.entries)))
    number = bucket.identity_number
    return {(key, version): await shown(call, owner_of(bucket, acl), number) for key, version, acl in found}


async def _classes(call: Call, page: Page[Entry], place: Callable[[Entry], Place]) -> Mapping[Place, str]:
    if not call.gate.settings.storage_classes or not page.entries:
        return NO_LABELS
    places = list(map(place, page.entries))
    found = await call.gate.catalog.labels.find(page.bucket.bucket_id, places, STORAGE_CLASS)
    return {(key, version): label_of(headers) for key, version, headers in found}


async def _page(call: Call, asked: Selection, read: Callable[[BucketRow], Awaitable[Page[Entry]]]) -> Page[Entry]:
    """The page. max-keys=0 is an empty one and never truncated."""
    bucket = await find_bucket(call)
    return await read(bucket) if asked.limit else Page(bucket, [], [], None)


def _sorted_out(bucket: BucketRow, found: Sequence[Entry | CommonPrefix], truncated: bool) -> Page[Entry]:
    entries = [entry for entry in found if not isinstance(entry, CommonPrefix)]
    prefixes = [entry.prefix for entry in found if isinstance(entry, CommonPrefix)]
    return Page(bucket, entries, prefixes, found[-1] if truncated and found else None)


async def _counter(call: Call, asked: ListVersions) -> int | None:
    """The counter behind which the page begins. An id says its own; that of the null version has to be looked up.

    Where it was removed since the page before, its key begins anew: what comes twice is better than what never comes.
    """
    if asked.after_version is None:
        return None
    counter, version_id = asked.after_version
    if version_id:
        return counter
    _, row = await look_up(call, call.request.bucket, asked.key_marker, asked.after_version)
    return FIRST_VERSION if row is None else row.version
