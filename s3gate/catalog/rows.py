"""The rows that leave the catalog, and what a write hands in: plain immutable values.

This file knows no SQL and no S3. `headers` and `checksum` are opaque here. Rows that are made by the thousand
(objects, list entries) are named tuples, which Postgres' rows become in one C call; the others are dataclasses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple, TypeAlias
from uuid import UUID

# States of a bucket's versioning.
NEVER: Final = 0
ENABLED: Final = 1
SUSPENDED: Final = 2

# Bits of a version's lock: at most one mode, which `retain_until` belongs to, and the legal hold.
GOVERNANCE: Final = 1
COMPLIANCE: Final = 2
LEGAL_HOLD: Final = 4
# put_legal_hold sets it both ways: that there is no hold is another answer than that nobody ever said so.
HOLD_SAID: Final = 8

VersionRef: TypeAlias = tuple[int, bytes]
"""A version of a key: its counter and its id."""
NULL_VERSION: Final[VersionRef] = (0, b"")
"""The version without an id, whatever its counter; a key has at most one."""


class Traits(NamedTuple):
    """What a version has beside its bytes."""

    tags: bytes = b""
    """As application/x-www-form-urlencoded."""
    lock: int = 0
    retain_until: datetime | None = None
    sse: bytes = b""
    """The envelope of the data key, opaque here."""
    acl: bytes = b""


PLAIN: Final = Traits()


@dataclass(frozen=True, slots=True)
class BucketRow:
    """A bucket. `config_number` grows with every change of its configuration or of any identity; commits compare it."""

    bucket_id: int
    name: str
    config_number: int
    owner: str
    region: str
    created_at: datetime
    versioning: int = NEVER
    lock_enabled: bool = False
    identity_number: int = 0
    """As of when the row was read: who was let in by older identities asks again."""
    settings: Mapping[str, bytes] = field(default_factory=dict)
    """By kind, of those kinds of which a bucket has one."""


class BucketEntry(NamedTuple):
    """One bucket of a listing: without what it was told."""

    bucket_id: int
    name: str
    owner: str
    region: str
    created_at: datetime


class ObjectRow(NamedTuple):
    """A version of a key (law 1), which may be a delete marker: then it has no content."""

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
    version_id: bytes = b""
    marker: bool = False
    tags: bytes = b""
    lock: int = 0
    retain_until: datetime | None = None
    sse: bytes = b""
    acl: bytes = b""


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
    traits: Traits = PLAIN


@dataclass(frozen=True, slots=True)
class Condition:
    """What a write demands of the current version; a delete marker counts as no version.

    If-Match (unquoted etags, or "*"), If-None-Match: *, and what a delete may name besides.
    """

    if_match: tuple[str, ...] | None
    if_none_match: bool
    size: int | None = None
    modified_at: datetime | None = None
    """Compared to the second."""
    version: VersionRef | None = None
    """The current version is still this one, be it a delete marker."""
    older: bool = False
    """The version that is to be removed is not the current one."""


NO_CONDITION = Condition(None, False)


class Committed(NamedTuple):
    """A write that is durable and visible, or was until another replaced it (then the version may be 0: unknown)."""

    version: int
    modified_at: datetime
    version_id: bytes = b""


class Deleted(NamedTuple):
    """What a delete made or removed: without a version the marker it made, of a version the version it removed."""

    marker: bool
    version: int
    version_id: bytes


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


class VersionEntry(NamedTuple):
    """One version of a key in a listing of versions."""

    key: bytes
    version: int
    version_id: bytes
    marker: bool
    is_latest: bool
    size: int
    etag: str
    modified_at: datetime
    checksum: str


@dataclass(frozen=True, slots=True)
class VersionPage:
    """Versions ordered by key, the newest first; `truncated` when more follow the last of them."""

    entries: list[VersionEntry | CommonPrefix]
    truncated: bool


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
    traits: Traits = PLAIN


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
    sse: bytes = b""
    """The part's salt, opaque here; its upload has the envelope."""


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
    version_id: bytes = b""


class GarbageRow(NamedTuple):
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
    age_seconds: float
    """Since it was queued, by Postgres' clock."""


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


class HeadRow(NamedTuple):
    """What a lifecycle rule asks of the current version of a key."""

    key: bytes
    version: int
    version_id: bytes
    marker: bool
    alone: bool
    """A delete marker that is the only version of its key."""
    size: int
    tags: bytes
    modified_at: datetime


class NoncurrentRow(NamedTuple):
    """What a lifecycle rule asks of an older version of a key."""

    key: bytes
    version: int
    version_id: bytes
    marker: bool
    size: int
    tags: bytes
    superseded_at: datetime
    rank: int
    """1: the newest of the key's noncurrent versions. Exact up to 100, at least 100 beyond."""


@dataclass(frozen=True, slots=True)
class LifecycleWalk:
    """A bucket whose rules are due, and how far its walk for this day has come."""

    bucket: BucketRow
    day: int
    position: bytes
