"""`admin where BUCKET KEY`: parts, segments, shards, nodes and sizes of one version of an object. Reads only."""

from __future__ import annotations

from dataclasses import dataclass

from s3gate.catalog.catalog import Catalog
from s3gate.catalog.rows import BucketRow, ObjectRow, VersionEntry
from s3gate.crypto.blocks import sealed_length
from s3gate.geometry.extents import unpack
from s3gate.geometry.ids import SLOTS, shard_id, turn_of
from s3gate.s3 import versions
from s3gate.s3.errors import S3Error
from s3gate.store.errors import StoreError
from s3gate.store.store import Store

PARTS_AT_ONCE = 1000
VERSIONS_SHOWN = 1000


class NotThere(Exception):
    """There is no such bucket, object or version."""


@dataclass(frozen=True, slots=True)
class ShardPlace:
    """One of the six shards of a segment; `found` is what its node says of it."""

    slot: int
    shard_id: str
    node_id: str
    address: str
    length: int
    found: str


@dataclass(frozen=True, slots=True)
class SegmentPlace:
    """A segment and its shards in the order of their pieces."""

    segment_id: str
    group_id: int
    length: int
    shards: list[ShardPlace]


@dataclass(frozen=True, slots=True)
class PartPlace:
    """A part and its segments; an object that was put whole has one part, numbered 0."""

    part_number: int
    size: int
    segments: list[SegmentPlace]


@dataclass(frozen=True, slots=True)
class VersionState:
    """One of the versions that the key has, as clients name it."""

    version_id: str
    is_latest: bool
    marker: bool
    size: int
    modified_at: str


@dataclass(frozen=True, slots=True)
class ObjectPlace:
    """Where a version of an object is; a delete marker has no parts."""

    bucket: str
    key: str
    size: int
    etag: str
    version: int
    version_id: str
    marker: bool
    parts: list[PartPlace]
    versions: list[VersionState]
    """The newest ones of the key, at most VERSIONS_SHOWN."""


async def where(catalog: Catalog, store: Store, bucket: str, key: str, version_id: str | None = None) -> ObjectPlace:
    """Look the current version up, or the one of this id, and ask its nodes."""
    try:
        ref = None if version_id is None else versions.decode(version_id)
    except S3Error as error:
        raise NotThere(error.message) from error
    found_bucket, row = await catalog.find_object(bucket, key.encode("utf-8", "surrogateescape"), ref)
    if found_bucket is None:
        raise NotThere(f"there is no bucket {bucket}")
    if row is None:
        raise NotThere(f"there is no {'key' if ref is None else 'such version of key'} {key} in bucket {bucket}")
    parts = [] if row.marker else await _parts(catalog, store, row)
    state = await _versions(catalog, found_bucket, row.key)
    name = versions.encode(row.version, row.version_id)
    return ObjectPlace(bucket, key, row.size, row.etag, row.version, name, row.marker, parts, state)


async def _versions(catalog: Catalog, bucket: BucketRow, key: bytes) -> list[VersionState]:
    page = await catalog.list_versions(
        bucket.bucket_id, prefix=key, delimiter=b"", after=b"", after_version=None, limit=VERSIONS_SHOWN
    )
    return [
        VersionState(
            versions.encode(entry.version, entry.version_id),
            entry.is_latest,
            entry.marker,
            entry.size,
            entry.modified_at.isoformat(),
        )
        for entry in page.entries
        if isinstance(entry, VersionEntry) and entry.key == key
    ]


async def _parts(catalog: Catalog, store: Store, row: ObjectRow) -> list[PartPlace]:
    if not row.part_count:
        length = sealed_length(row.size) if row.sse else row.size
        return [PartPlace(0, row.size, await _segments(store, row.layout_id, row.extents, length))]
    manifest = await catalog.manifest(row.content_id)
    listed = set(manifest.part_numbers)
    found = []
    for first in range(1, manifest.part_numbers[-1] + 1, PARTS_AT_ONCE):
        for part in await catalog.part_extents(row.content_id, first, first + PARTS_AT_ONCE - 1):
            if part.part_number in listed:
                length = sealed_length(part.size) if part.sse else part.size
                segments = await _segments(store, part.layout_id, part.extents, length)
                found.append(PartPlace(part.part_number, part.size, segments))
    return found


async def _segments(store: Store, layout_id: int, extents: bytes, stored_length: int) -> list[SegmentPlace]:
    layout = store.fleet.layouts[layout_id]
    found = []
    for extent, length in zip(unpack(extents), layout.segment_lengths(stored_length), strict=True):
        nodes = store.fleet.groups[extent.group_id].nodes
        shards = []
        for position in range(SLOTS):
            slot = (position + turn_of(extent.segment_id)) % SLOTS
            one, wanted = shard_id(extent.segment_id, slot), layout.shard_length(length, position)
            node = store.fleet.nodes.get(nodes[slot])
            address = node.view.address if node is not None else "?"
            state = await _state(store, nodes[slot], one, wanted)
            shards.append(ShardPlace(slot, one.hex(), nodes[slot].hex(), address, wanted, state))
        found.append(SegmentPlace(extent.segment_id.hex(), extent.group_id, length, shards))
    return found


async def _state(store: Store, node_id: bytes, shard: bytes, wanted: int) -> str:
    if not wanted:
        return "empty"
    try:
        known = await store.stat(node_id, shard)
    except StoreError:
        return "node does not answer"
    if known is None:
        return "missing"
    return known.state if known.length == wanted else f"{known.state}, {known.length} bytes"
