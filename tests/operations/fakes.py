"""A catalog in memory.

It keeps the contract's promises (conditions in the commit, one row a key, tombstones) and breaks them on request:
`fail` maps a method's name to the exception that its next call raises.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate

from s3gate.catalog.errors import (
    BucketMissing,
    BucketNotEmpty,
    BucketTaken,
    ConditionFailed,
    ObjectMissing,
    PartMissing,
    SourceChanged,
    UploadMissing,
)
from s3gate.catalog.rows import (
    BucketRow,
    Committed,
    CommonPrefix,
    CompletedRow,
    Condition,
    ListEntry,
    ListPage,
    Manifest,
    ObjectRow,
    PartRow,
    Stored,
    UploadPage,
    UploadRow,
)
from s3gate.geometry.ids import IdSource

NOW = datetime(2026, 11, 23, 5, 6, 7, 89_000, tzinfo=UTC)


class Failing:
    """Calls that are made to fail, once or from now on, and a note of every call."""

    def __init__(self) -> None:
        self.fail: dict[str, BaseException] = {}
        self.fail_on: dict[str, BaseException] = {}
        self.calls: list[str] = []

    def _called(self, name: str) -> None:
        self.calls.append(name)
        error = self.fail.pop(name, None) or self.fail_on.get(name)
        if error is not None:
            raise error


class FakeCatalog(Failing):
    """Rows in dictionaries."""

    def __init__(self) -> None:
        super().__init__()
        self.ids = IdSource(7)
        self.buckets: dict[str, BucketRow] = {}
        self.objects: dict[tuple[int, bytes], ObjectRow] = {}
        self.uploads: dict[bytes, UploadRow] = {}
        self.parts: dict[tuple[bytes, int], PartRow] = {}
        self.manifests: dict[bytes, Manifest] = {}
        self.completed: dict[bytes, CompletedRow] = {}
        self.discarded: list[tuple[int, bytes]] = []
        self.remembered: dict[str, BucketRow] = {}
        self._clock = NOW
        self._versions = 0

    def _now(self) -> datetime:
        self._clock += timedelta(seconds=1)
        return self._clock

    async def create_bucket(self, name: str, owner: str, region: str) -> BucketRow:
        self._called("create_bucket")
        if name in self.buckets:
            raise BucketTaken(self.buckets[name].owner)
        self._versions += 1
        row = self.buckets[name] = BucketRow(self._versions, name, 1, owner, region, self._now())
        return row

    async def delete_bucket(self, name: str) -> None:
        self._called("delete_bucket")
        bucket = self._bucket(name)
        used = [b for b, _ in self.objects] + [u.bucket_id for u in self.uploads.values()]
        if bucket.bucket_id in used:
            raise BucketNotEmpty
        del self.buckets[name]

    async def list_buckets(self, prefix: str, after: str, limit: int) -> list[BucketRow]:
        self._called("list_buckets")
        names = sorted(name for name in self.buckets if name > after and name.startswith(prefix))
        return [self.buckets[name] for name in names[:limit]]

    async def find_bucket(self, name: str, *, fresh: bool = False) -> BucketRow | None:
        """A row that was remembered before stays what it was until somebody asks for a fresh one."""
        self._called("find_bucket")
        if not fresh and name in self.remembered:
            return self.remembered[name]
        row = self.buckets.get(name)
        if row is not None:
            self.remembered[name] = row
        return row

    async def find_object(self, bucket: str, key: bytes) -> tuple[BucketRow | None, ObjectRow | None]:
        self._called("find_object")
        row = self.buckets.get(bucket)
        return row, None if row is None else self.objects.get((row.bucket_id, key))

    async def put_object(self, bucket: str, key: bytes, stored: Stored, condition: Condition) -> Committed:
        self._called("put_object")
        return self._commit(bucket, key, stored, condition)

    async def copy_object(
        self, source: ObjectRow, bucket: str, key: bytes, stored: Stored, condition: Condition
    ) -> Committed:
        self._called("copy_object")
        if self.objects.get((source.bucket_id, source.key)) != source:
            raise SourceChanged
        return self._commit(bucket, key, stored, condition)

    async def delete_object(self, bucket: str, key: bytes, condition: Condition) -> bool:
        self._called("delete_object")
        place = (self._bucket(bucket).bucket_id, key)
        self._judge(self.objects.get(place), condition)
        return self.objects.pop(place, None) is not None

    async def discard(self, content: Sequence[tuple[int, bytes]]) -> None:
        self._called("discard")
        self.discarded += content

    async def list_objects(
        self, bucket_id: int, *, prefix: bytes, delimiter: bytes, after: bytes, inclusive: bool, limit: int
    ) -> ListPage:
        self._called("list_objects")
        rows = [self.objects[place] for place in sorted(self.objects) if place[0] == bucket_id]
        entries: list = []
        for row in rows:
            folded = _folded(row.key, prefix, delimiter)
            if folded is None or folded <= after:
                continue
            entry = (
                CommonPrefix(folded)
                if delimiter and folded.endswith(delimiter) and folded != prefix
                else ListEntry(row.key, row.size, row.etag, row.modified_at, row.checksum)
            )
            if entry not in entries:
                entries.append(entry)
        return ListPage(entries[:limit], len(entries) > limit)

    async def create_upload(
        self, bucket: str, key: bytes, headers: bytes, checksum_algorithm: str, checksum_type: str, group_id: int
    ) -> UploadRow:
        self._called("create_upload")
        upload = UploadRow(
            self.ids.next(),
            self._bucket(bucket).bucket_id,
            key,
            self._now(),
            headers,
            checksum_algorithm,
            checksum_type,
            group_id,
        )
        self.uploads[upload.upload_id] = upload
        return upload

    async def find_upload(self, bucket: str, key: bytes, upload_id: bytes) -> UploadRow | None:
        self._called("find_upload")
        upload = self.uploads.get(upload_id)
        place = (self._bucket(bucket).bucket_id, key)
        return upload if upload is not None and (upload.bucket_id, upload.key) == place else None

    async def list_uploads(
        self, bucket_id: int, *, prefix: bytes, delimiter: bytes, after: bytes, after_id: bytes, limit: int
    ) -> UploadPage:
        self._called("list_uploads")
        uploads = sorted(self.uploads.values(), key=lambda upload: (upload.key, upload.upload_id))
        entries: list = []
        for upload in uploads:
            folded = _folded(upload.key, prefix, delimiter)
            if upload.bucket_id != bucket_id or folded is None:
                continue
            if folded != upload.key:
                if folded > after and CommonPrefix(folded) not in entries:
                    entries.append(CommonPrefix(folded))
            elif (upload.key, upload.upload_id) > (after, after_id or b"\xff" * 17):
                entries.append(upload)
        return UploadPage(entries[:limit], len(entries) > limit)

    async def put_part(self, upload: UploadRow, part: PartRow) -> PartRow:
        self._called("put_part")
        if upload.upload_id not in self.uploads:
            raise UploadMissing
        part = part._replace(modified_at=self._now())
        self.parts[upload.upload_id, part.part_number] = part
        return part

    async def list_parts(self, upload_id: bytes, after: int, limit: int) -> tuple[list[PartRow], bool]:
        self._called("list_parts")
        rows = [row for row in await self.all_parts(upload_id) if row.part_number > after]
        return rows[:limit], len(rows) > limit

    async def all_parts(self, upload_id: bytes) -> list[PartRow]:
        return [self.parts[place] for place in sorted(self.parts) if place[0] == upload_id]

    async def complete_upload(
        self,
        upload: UploadRow,
        parts: Sequence[tuple[int, bytes]],
        stored: Stored,
        condition: Condition,
        request_digest: bytes,
    ) -> Committed:
        self._called("complete_upload")
        upload_id = upload.upload_id
        if upload_id not in self.uploads:
            raise UploadMissing
        rows = []
        for number, part_id in parts:
            row = self.parts.get((upload_id, number))
            if row is None or row.part_id != part_id:
                raise PartMissing(number)
            rows.append(row)
        name = next(row.name for row in self.buckets.values() if row.bucket_id == upload.bucket_id)
        done = self._commit(name, upload.key, stored, condition)
        ends = tuple(accumulate(row.size for row in rows))
        self.manifests[upload_id] = Manifest(upload_id, tuple(number for number, _ in parts), ends)
        self.completed[upload_id] = CompletedRow(
            upload_id,
            upload.bucket_id,
            upload.key,
            stored.etag,
            stored.checksum,
            done.version,
            request_digest,
            done.modified_at,
        )
        del self.uploads[upload_id]
        return done

    async def find_completed(self, upload_id: bytes) -> CompletedRow | None:
        self._called("find_completed")
        return self.completed.get(upload_id)

    async def abort_upload(self, upload: UploadRow) -> None:
        self._called("abort_upload")
        if self.uploads.pop(upload.upload_id, None) is None:
            raise UploadMissing

    async def manifest(self, content_id: bytes) -> Manifest:
        self._called("manifest")
        return self.manifests[content_id]

    async def part_extents(self, content_id: bytes, first_part: int, last_part: int) -> list[PartRow]:
        self._called("part_extents")
        rows = await self.all_parts(content_id)
        return [row for row in rows if first_part <= row.part_number <= last_part]

    def _bucket(self, name: str) -> BucketRow:
        if name not in self.buckets:
            raise BucketMissing
        return self.buckets[name]

    def _commit(self, bucket: str, key: bytes, stored: Stored, condition: Condition) -> Committed:
        place = (self._bucket(bucket).bucket_id, key)
        self._judge(self.objects.get(place), condition)
        self._versions += 1
        done = Committed(self._versions, self._now())
        self.objects[place] = ObjectRow(
            *place,
            done.version,
            stored.content_id,
            stored.size,
            stored.etag,
            done.modified_at,
            stored.layout_id,
            stored.part_count,
            stored.extents,
            stored.headers,
            stored.checksum,
        )
        return done

    @staticmethod
    def _judge(row: ObjectRow | None, condition: Condition) -> None:
        if condition.if_none_match and row is not None:
            raise ConditionFailed("If-None-Match")
        if condition.if_match is not None:
            if row is None:
                raise ObjectMissing
            if row.etag not in condition.if_match and "*" not in condition.if_match:
                raise ConditionFailed("If-Match")


def _folded(key: bytes, prefix: bytes, delimiter: bytes) -> bytes | None:
    if not key.startswith(prefix):
        return None
    end = key.find(delimiter, len(prefix)) if delimiter else -1
    return key if end < 0 else key[: end + len(delimiter)]
