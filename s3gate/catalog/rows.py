"""The rows that leave the catalog, and what a write hands in: plain immutable values.

This file knows no SQL and no S3. `headers` and `checksum` are opaque here. Rows that are made by the thousand
(objects, list entries) are named tuples, which Postgres' rows become in one C call; the others are dataclasses.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID


@dataclass(frozen=True, slots=True)
class BucketRow:
    """A bucket. `config_number` grows with every change of its configuration; commits compare it."""

    bucket_id: int
    name: str
    config_number: int
    owner: str
    region: str
    created_at: datetime


class ObjectRow(NamedTuple):
    """The visible version of a key (law 1)."""

    bucket_id: int
    key: bytes
    version: int
    content_id: bytes
    size: int
    etag: str
    modified_at: datetime
    layout_id: int
    part_count: int
    """0: the extents are here; else the content has parts of its own."""
    extents: bytes
    headers: bytes
    checksum: str


@dataclass(frozen=True, slots=True)
class Stored:
    """What a write wants to make visible: bytes that are already durable (law 4)."""

    content_id: bytes
    size: int
    etag: str
    layout_id: int
    part_count: int
    extents: bytes
    headers: bytes
    checksum: str


@dataclass(frozen=True, slots=True)
class Condition:
    """If-Match (unquoted etags, or "*") and If-None-Match: * of a write."""

    if_match: tuple[str, ...] | None
    if_none_match: bool


NO_CONDITION = Condition(None, False)


class Committed(NamedTuple):
    """A write that is durable and visible, or was until another replaced it (then the version may be 0: unknown)."""

    version: int
    modified_at: datetime


class ListEntry(NamedTuple):
    """One key of a listing."""

    key: bytes
    size: int
    etag: str
    modified_at: datetime
    checksum: str


class CommonPrefix(NamedTuple):
    """All keys that share this prefix, its delimiter included, rolled into one entry."""

    prefix: bytes


@dataclass(frozen=True, slots=True)
class ListPage:
    """Entries in byte order; `truncated` when more follow the last of them."""

    entries: list[ListEntry | CommonPrefix]
    truncated: bool


@dataclass(frozen=True, slots=True)
class UploadRow:
    """A multipart upload under way."""

    upload_id: bytes
    bucket_id: int
    key: bytes
    initiated_at: datetime
    headers: bytes
    checksum_algorithm: str
    checksum_type: str
    group_id: int


@dataclass(frozen=True, slots=True)
class UploadPage:
    """Uploads ordered by key, then upload id."""

    entries: list[UploadRow | CommonPrefix]
    truncated: bool


class PartRow(NamedTuple):
    """A part of an upload, or of the content it became (their ids are the same)."""

    upload_id: bytes
    part_number: int
    part_id: bytes
    """Fresh for every attempt to send the part: the id of its first segment."""
    size: int
    etag: str
    checksum: str
    modified_at: datetime
    layout_id: int
    extents: bytes


@dataclass(frozen=True, slots=True)
class Manifest:
    """Which parts a completed content has, and where each ends: immutable."""

    content_id: bytes
    part_numbers: tuple[int, ...]
    part_ends: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CompletedRow:
    """What a Complete answered: kept a while, so that a retry of what succeeded succeeds."""

    upload_id: bytes
    bucket_id: int
    key: bytes
    etag: str
    checksum: str
    version: int
    request_digest: bytes
    completed_at: datetime


@dataclass(frozen=True, slots=True)
class NodeRow:
    """A chunkd as Postgres knows it. The age of its heartbeat is measured by Postgres' clock."""

    node_id: bytes
    incarnation: int
    address: str
    socket: str
    host: str
    zone: str
    device: str
    state: str
    capacity_bytes: int
    free_bytes: int
    used_bytes: int
    queue: int
    fsync_seconds: float
    io_errors: int
    heartbeat_age_seconds: float


@dataclass(frozen=True, slots=True)
class GarbageRow:
    """Content that lost a reference. Nothing is deleted while `referenced`: another object points to it."""

    queued_at: datetime
    garbage_id: UUID
    kind: str
    """content: one reference less; upload: aborted or expired; unlisted: the parts a Complete did not list."""
    content_id: bytes
    part_count: int
    layout_id: int
    extents: bytes
    referenced: bool


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One run of a gate or worker."""

    session_id: int
    kind: str
    opened_at: datetime
    closed_at: datetime | None


@dataclass(frozen=True, slots=True)
class ParkedRow:
    """Shards to trash on a node that was down."""

    node_id: bytes
    parked_at: datetime
    parked_id: UUID
    shard_ids: tuple[bytes, ...]
