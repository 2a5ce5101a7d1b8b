"""A write to a bucket: decided on one row of it, and refused when that row is not the current one any more.

It knows how writes become the parameters of the statements (versions.py), and what their verdicts are called. It
refuses to know SQL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol, TypeVar

from s3gate.catalog.buckets import Buckets
from s3gate.catalog.errors import BucketChanged, CatalogError, ConditionFailed, ObjectMissing, VersionLocked
from s3gate.catalog.limits import Limits
from s3gate.catalog.pool import Pool
from s3gate.catalog.rows import ENABLED, NEVER, PLAIN, BucketRow, Condition, Stored
from s3gate.catalog.sessions import Session
from s3gate.catalog.settlement import Settlement
from s3gate.catalog.versions import (
    BUCKET_CHANGED,
    DELETE,
    IF_MATCH_FAILED,
    IF_MODIFIED_FAILED,
    IF_NONE_MATCH_FAILED,
    IF_SIZE_FAILED,
    IF_VERSION_FAILED,
    LOCKED,
    MUST_BE_ABSENT,
    OBJECT_MISSING,
)
from s3gate.catalog.writes import FencedWrites

_CONDITION_OF: Final = {
    IF_MATCH_FAILED: "If-Match",
    IF_NONE_MATCH_FAILED: "If-None-Match",
    IF_SIZE_FAILED: "x-amz-if-match-size",
    IF_MODIFIED_FAILED: "x-amz-if-match-last-modified-time",
    IF_VERSION_FAILED: "version",
}


class OfBucket(Protocol):
    """What every write to a bucket has."""

    bucket: BucketRow
    key: bytes


class Write:
    """A put (with what it stores) or a delete (without) of one key."""

    __slots__ = (
        "bucket",
        "condition",
        "flags",
        "if_match",
        "is_bare_delete",
        "is_plain",
        "key",
        "stored",
        "tried",
        "version_id",
    )

    def __init__(
        self, bucket: BucketRow, key: bytes, stored: Stored | None, condition: Condition, version_id: bytes
    ) -> None:
        self.bucket = bucket
        self.key = key
        self.stored = stored
        self.condition = condition
        self.flags = (0 if stored else DELETE) | (MUST_BE_ABSENT if condition.if_none_match else 0)
        self.if_match = encode_if_match(condition)
        self.version_id = version_id
        """Fresh: the id of a version that has one, and what a delete marker has for its content's."""
        self.tried = False
        """Whether it was sent as a new key before: if it did not come back from that, the key may be there."""
        self.is_plain = (
            bucket.versioning == NEVER
            and (stored is None or stored.traits == PLAIN)
            and (condition.size, condition.modified_at, condition.version) == (None, None, None)
        )
        """Whether there is nothing to it but what the fast statements know."""
        self.is_bare_delete = self.is_plain and self.flags == DELETE and self.if_match is None
        """Whether it is a plain delete of whatever is there."""

    @property
    def made_id(self) -> bytes:
        """The id of the version that it makes."""
        return self.version_id if self.bucket.versioning == ENABLED else b""

    @property
    def content_id(self) -> bytes | None:
        """What its row can be found by; None: it makes none."""
        if self.stored is not None:
            return self.stored.content_id
        return self.version_id if self.bucket.versioning else None


def config_numbers(items: Iterable[OfBucket]) -> tuple[list[int], list[int]]:
    """The buckets of a batch and their numbers. None of its items was decided on an older row: see `admit`."""
    numbers = {item.bucket.bucket_id: item.bucket.config_number for item in items}
    return list(numbers), list(numbers.values())


def lock_values(bucket: Iterable[OfBucket], places: Iterable[tuple[int, bytes]]) -> tuple[object, ...]:
    """The parameters of LOCK after the session's: the heads of these keys, locked in order."""
    keys = sorted(set(places))
    return (*config_numbers(bucket), [bucket_id for bucket_id, _ in keys], [key for _, key in keys])


def place_of(item: OfBucket) -> tuple[int, bytes]:
    """Where the head of its key stands in the order in which rows are locked."""
    return item.bucket.bucket_id, item.key


def written_values(items: Sequence[Write], stored: Sequence[Stored]) -> tuple[object, ...]:
    """The parameters of `versions.WRITTEN` after the session's: what is written where, in the order of locking."""
    return (
        *config_numbers(items),
        [item.flags for item in items],
        [item.bucket.bucket_id for item in items],
        [item.key for item in items],
        [each.content_id for each in stored],
        [each.size for each in stored],
        [each.etag for each in stored],
        [each.layout_id for each in stored],
        [each.part_count for each in stored],
        [each.extents for each in stored],
        [each.headers for each in stored],
        [each.checksum for each in stored],
    )


def lone_values(item: Write) -> tuple[object, ...]:
    """The parameters of a lone put of a new key after the session's."""
    bucket, stored = item.bucket, item.stored
    assert stored is not None
    return (
        bucket.bucket_id,
        bucket.config_number,
        item.key,
        stored.content_id,
        stored.size,
        stored.etag,
        stored.layout_id,
        stored.part_count,
        stored.extents,
        stored.headers,
        stored.checksum,
    )


def delete_values(items: Sequence[Write]) -> tuple[object, ...]:
    """The parameters of a batch of bare deletes after the session's."""
    return *config_numbers(items), [item.bucket.bucket_id for item in items], [item.key for item in items]


def write_values(items: Sequence[Write]) -> tuple[object, ...]:
    """The parameters of `versions.writing` after the session's."""
    stored = [item.stored or Stored(item.version_id, 0, "", 0, 0, b"", b"", "") for item in items]
    traits = [each.traits for each in stored]
    return (
        *written_values(items, stored),
        [item.version_id for item in items],
        [each.tags for each in traits],
        [each.lock for each in traits],
        [each.retain_until for each in traits],
        [each.sse for each in traits],
        [each.acl for each in traits],
        *condition_values([item.condition for item in items]),
    )


def condition_values(conditions: Sequence[Condition]) -> tuple[object, ...]:
    """The five parameters of conditions."""
    named = [condition.version or (None, None) for condition in conditions]
    return (
        [encode_if_match(condition) for condition in conditions],
        [condition.size for condition in conditions],
        [condition.modified_at for condition in conditions],
        [counter for counter, _ in named],
        [version_id for _, version_id in named],
    )


def encode_if_match(condition: Condition) -> bytes | None:
    """Etags between newlines, so that the statement can look for one; bytes, for clients send anything."""
    etags = condition.if_match
    if etags is None:
        return None
    if "*" in etags:
        return b"*"
    # No etag of ours has a newline: one that does matches nothing.
    mine = [etag.encode("utf-8", "surrogatepass") for etag in etags if "\n" not in etag]
    return b"\n" + b"".join([etag + b"\n" for etag in mine])


def refusal(verdict: int) -> CatalogError:
    """What a verdict that refuses is called."""
    if verdict == BUCKET_CHANGED:
        return BucketChanged()
    if verdict == OBJECT_MISSING:
        return ObjectMissing()
    if verdict == LOCKED:
        return VersionLocked()
    return ConditionFailed(_CONDITION_OF[verdict])


Item = TypeVar("Item", bound=OfBucket)
Answer = TypeVar("Answer")


class BucketWrites(FencedWrites[Item, Answer]):
    """A batcher of writes to buckets."""

    def __init__(
        self,
        pool: Pool,
        session: Session,
        settlement: Settlement,
        limits: Limits,
        refused: Callable[[Item, Exception], None] | None,
        buckets: Buckets,
    ) -> None:
        super().__init__(pool, session, settlement, limits, refused)
        self._buckets = buckets

    def order(self, item: Item) -> tuple[int, bytes]:
        return place_of(item)

    def admit(self, items: Sequence[Item]) -> list[Exception | None]:
        """Numbers only grow: of two rows of one bucket the lower is an old one."""
        newest: dict[int, int] = {}
        for item in items:
            bucket = item.bucket
            newest[bucket.bucket_id] = max(bucket.config_number, newest.get(bucket.bucket_id, 0))
        return [
            None if item.bucket.config_number == newest[item.bucket.bucket_id] else BucketChanged() for item in items
        ]

    def refuse(self, item: Item, verdict: int) -> CatalogError:
        """What a verdict that refuses is called; a bucket that has changed is not remembered any longer."""
        if verdict == BUCKET_CHANGED:
            self._buckets.forget(item.bucket.name)
        return refusal(verdict)
