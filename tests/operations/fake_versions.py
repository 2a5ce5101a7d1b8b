"""The versions of keys, in memory: what a put, a delete and the removal of a version do to them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from s3gate.catalog.errors import ConditionFailed, ObjectMissing, VersionLocked
from s3gate.catalog.rows import (
    COMPLIANCE,
    ENABLED,
    GOVERNANCE,
    LEGAL_HOLD,
    NEVER,
    SUSPENDED,
    BucketRow,
    Committed,
    Condition,
    Deleted,
    ObjectRow,
    Stored,
    VersionRef,
)
from s3gate.geometry.ids import IdSource

Place = tuple[int, bytes]


class FakeVersions:
    """`objects` has the head of every key, `older` what is below it, newest first."""

    def __init__(self, ids: IdSource) -> None:
        self.ids = ids
        self.objects: dict[Place, ObjectRow] = {}
        self.older: dict[Place, list[ObjectRow]] = {}

    def all_of(self, place: Place) -> list[ObjectRow]:
        head = self.objects.get(place)
        return [] if head is None else [head, *self.older.get(place, [])]

    def find(self, place: Place, ref: VersionRef | None) -> ObjectRow | None:
        if ref is None:
            return self.objects.get(place)
        for row in self.all_of(place):
            if row.version_id == ref[1] and (not ref[1] or row.version == ref[0]):
                return row
        return None

    def put(self, bucket: BucketRow, key: bytes, stored: Stored, condition: Condition, now: datetime) -> Committed:
        place = (bucket.bucket_id, key)
        judge(self.objects.get(place), condition)
        row = self._push(bucket, key, stored, now, marker=False)
        return Committed(row.version, now, row.version_id)

    def delete(self, bucket: BucketRow, key: bytes, condition: Condition, now: datetime) -> Deleted | None:
        place = (bucket.bucket_id, key)
        judge(self.objects.get(place), condition)
        if bucket.versioning == NEVER:
            gone = self.objects.pop(place, None)
            return None if gone is None else Deleted(False, gone.version, b"")
        row = self._push(bucket, key, Stored(b"", 0, "", 0, 0, b"", b"", ""), now, marker=True)
        return Deleted(True, row.version, row.version_id)

    def remove(
        self, place: Place, ref: VersionRef, condition: Condition, now: datetime, *, bypass: bool
    ) -> Deleted | None:
        row = self.find(place, ref)
        if row is None:
            return None
        judge(row, condition)
        held = row.retain_until is not None and row.retain_until > now
        if row.lock & LEGAL_HOLD or (held and (row.lock & COMPLIANCE or (row.lock & GOVERNANCE and not bypass))):
            raise VersionLocked
        rows = [each for each in self.all_of(place) if each is not row]
        self._keep(place, rows)
        return Deleted(row.marker, row.version, row.version_id)

    def change(self, place: Place, ref: VersionRef | None, row: ObjectRow) -> Committed:
        old = self.find(place, ref)
        self._keep(place, [row if each is old else each for each in self.all_of(place)])
        return Committed(row.version, row.modified_at, row.version_id)

    def _push(self, bucket: BucketRow, key: bytes, stored: Stored, now: datetime, *, marker: bool) -> ObjectRow:
        place = (bucket.bucket_id, key)
        below = self.all_of(place)
        version = below[0].version + 1 if below else 1
        version_id = self.ids.next() if bucket.versioning == ENABLED else b""
        if bucket.versioning == NEVER:
            below = []
        elif bucket.versioning == SUSPENDED:
            below = [row for row in below if row.version_id]
        traits = stored.traits
        row = ObjectRow(
            *place,
            version,
            stored.content_id,
            stored.size,
            stored.etag,
            now,
            stored.layout_id,
            stored.part_count,
            stored.extents,
            stored.headers,
            stored.checksum,
            version_id,
            marker,
            *traits,
        )
        self._keep(place, [row, *below])
        return row

    def _keep(self, place: Place, rows: list[ObjectRow]) -> None:
        self.objects.pop(place, None)
        self.older.pop(place, None)
        if rows:
            self.objects[place], self.older[place] = rows[0], rows[1:]


def judge(row: ObjectRow | None, condition: Condition) -> None:
    """Raises what the commit would. A delete marker is no object."""
    there = row if row is not None and not row.marker else None
    if condition.if_none_match and there is not None:
        raise ConditionFailed("If-None-Match")
    if there is None:
        if condition.if_match is not None or condition.size is not None or condition.modified_at is not None:
            raise ObjectMissing
        return
    if condition.if_match is not None and there.etag not in condition.if_match and "*" not in condition.if_match:
        raise ConditionFailed("If-Match")
    if condition.size not in (None, there.size):
        raise ConditionFailed("x-amz-if-match-size")
    if condition.modified_at not in (None, there.modified_at.replace(microsecond=0)):
        raise ConditionFailed("x-amz-if-match-last-modified-time")


def changed(bucket: BucketRow, **fields: object) -> BucketRow:
    """The bucket after a change of its configuration."""
    return replace(bucket, config_number=bucket.config_number + 1, **fields)  # type: ignore[arg-type]
