"""A catalog in memory.

It keeps the contract's promises (conditions in the commit, one row a key, tombstones) and breaks them on request:
`fail` maps a method's name to the exception that its next call raises.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate

from s3gate.catalog.errors import (
    AclChanged,
    BucketChanged,
    BucketMissing,
    BucketNotEmpty,
    BucketTaken,
    ObjectMissing,
    PartMissing,
    SourceChanged,
    UploadMissing,
    VersionLocked,
    VersionMissing,
    WrongBucketState,
)
from s3gate.catalog.rows import (
    COMPLIANCE,
    ENABLED,
    GOVERNANCE,
    HOLD_SAID,
    LEGAL_HOLD,
    NEVER,
    PLAIN,
    BucketRow,
    Committed,
    CommonPrefix,
    CompletedRow,
    Condition,
    Deleted,
    ListEntry,
    ListPage,
    Manifest,
    ObjectRow,
    PartRow,
    Stored,
    Traits,
    UploadPage,
    UploadRow,
    VersionEntry,
    VersionPage,
    VersionRef,
)
from s3gate.geometry.ids import IdSource
from tests.operations.fake_settings import FakeSettings
from tests.operations.fake_versions import FakeVersions, changed

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


class FakeLabels:
    """What listings look up of the versions on their page."""

    def __init__(self, versions: FakeVersions) -> None:
        self._versions = versions

    async def find_acls(self, bucket_id: int, versions: Sequence[tuple[bytes, int]]) -> list[tuple[bytes, int, bytes]]:
        found = []
        for key, counter in versions:
            rows = self._versions.all_of((bucket_id, key))
            found += [(key, counter, row.acl) for row in (rows if counter else rows[:1]) if counter in (row.version, 0)]
        return [each for each in found if each[2]]


class FakeCatalog(FakeSettings, Failing):
    """Rows in dictionaries."""

    def __init__(self) -> None:
        super().__init__()
        self.ids = IdSource(7)
        self.buckets: dict[str, BucketRow] = {}
        self.versions = FakeVersions(self.ids)
        self.objects = self.versions.objects
        self.labels = FakeLabels(self.versions)
        self.uploads: dict[bytes, UploadRow] = {}
        self.parts: dict[tuple[bytes, int], PartRow] = {}
        self.manifests: dict[bytes, Manifest] = {}
        self.completed: dict[bytes, CompletedRow] = {}
        self.discarded: list[tuple[int, bytes]] = []
        self.expected: list[tuple[BucketRow, bytes, Stored, Condition]] = []
        self.remembered: dict[str, BucketRow] = {}
        self._clock = NOW
        self._buckets_made = 0

    def _now(self) -> datetime:
        self._clock += timedelta(seconds=1)
        return self._clock

    async def create_bucket(
        self,
        name: str,
        owner: str,
        region: str,
        *,
        lock_enabled: bool = False,
        settings: Mapping[str, bytes] | None = None,
    ) -> BucketRow:
        self._called("create_bucket")
        if name in self.buckets:
            raise BucketTaken(self.buckets[name].owner)
        self._buckets_made += 1
        row = self.buckets[name] = BucketRow(
            self._buckets_made,
            name,
            1,
            owner,
            region,
            self._now(),
            ENABLED if lock_enabled else NEVER,
            lock_enabled,
            settings=dict(settings or {}),
        )
        return row

    async def set_versioning(self, bucket: str, state: int) -> None:
        self._called("set_versioning")
        row = self._bucket(bucket)
        if row.lock_enabled and state != ENABLED:
            raise WrongBucketState
        self._change(row, versioning=state)

    async def enable_lock(self, bucket: str) -> None:
        self._called("enable_lock")
        row = self._bucket(bucket)
        if row.versioning != ENABLED:
            raise WrongBucketState
        self._change(row, lock_enabled=True)

    async def delete_bucket(self, name: str) -> None:
        self._called("delete_bucket")
        bucket = self._bucket(name)
        if bucket.bucket_id in [b for b, _ in self.objects]:
            raise BucketNotEmpty
        for upload in [u for u in self.uploads.values() if u.bucket_id == bucket.bucket_id]:
            del self.uploads[upload.upload_id]
        del self.buckets[name]

    async def list_buckets(self, owner: str, prefix: str, after: str, limit: int) -> list[BucketRow]:
        self._called("list_buckets")
        mine = [name for name, row in self.buckets.items() if row.owner == owner]
        names = sorted(name for name in mine if name > after and name.startswith(prefix))
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

    async def find_object(
        self, bucket: str, key: bytes, version: VersionRef | None = None
    ) -> tuple[BucketRow | None, ObjectRow | None]:
        self._called("find_object")
        row = self.buckets.get(bucket)
        return row, None if row is None else self.versions.find((row.bucket_id, key), version)

    def expect_put(self, bucket: BucketRow, key: bytes, stored: Stored, condition: Condition) -> None:
        self.expected.append((bucket, key, stored, condition))

    async def put_object(self, bucket: BucketRow, key: bytes, stored: Stored, condition: Condition) -> Committed:
        self._called("put_object")
        self._confirm(bucket)
        return self.versions.put(bucket, key, stored, condition, self._now())

    async def copy_object(
        self, source: ObjectRow, bucket: BucketRow, key: bytes, stored: Stored, condition: Condition
    ) -> Committed:
        self._called("copy_object")
        self._confirm(bucket)
        if source not in self.versions.all_of((source.bucket_id, source.key)):
            raise SourceChanged
        return self.versions.put(bucket, key, stored, condition, self._now())

    async def delete_object(self, bucket: BucketRow, key: bytes, condition: Condition) -> Deleted | None:
        self._called("delete_object")
        self._confirm(bucket)
        return self.versions.delete(bucket, key, condition, self._now())

    async def delete_version(
        self, bucket: BucketRow, key: bytes, ref: VersionRef, condition: Condition, *, bypass: bool = False
    ) -> Deleted | None:
        self._called("delete_version")
        self._confirm(bucket)
        return self.versions.remove((bucket.bucket_id, key), ref, condition, self._now(), bypass=bypass)

    async def put_tags(self, bucket: BucketRow, key: bytes, ref: VersionRef | None, tags: bytes) -> Committed:
        self._called("put_tags")
        return self._mark(bucket, key, ref, tags=tags)

    async def put_acl(
        self, bucket: BucketRow, key: bytes, ref: VersionRef | None, acl: bytes, seen: bytes | None = None
    ) -> Committed:
        self._called("put_acl")
        if seen is not None and self._marked(bucket, key, ref).acl != seen:
            raise AclChanged
        return self._mark(bucket, key, ref, acl=acl)

    async def put_legal_hold(self, bucket: BucketRow, key: bytes, ref: VersionRef | None, on: bool) -> Committed:
        self._called("put_legal_hold")
        row = self._marked(bucket, key, ref)
        return self._mark(bucket, key, ref, lock=row.lock & 3 | HOLD_SAID | (LEGAL_HOLD if on else 0))

    async def put_retention(
        self,
        bucket: BucketRow,
        key: bytes,
        ref: VersionRef | None,
        lock: int,
        retain_until: datetime | None,
        *,
        bypass: bool,
    ) -> Committed:
        self._called("put_retention")
        row = self._marked(bucket, key, ref)
        if row.retain_until is not None and row.retain_until > self._now():
            longer = row.lock & 3 == lock and retain_until is not None and retain_until >= row.retain_until
            if not longer and not (row.lock & GOVERNANCE and bypass):
                raise VersionLocked
        assert lock in (0, GOVERNANCE, COMPLIANCE)
        return self._mark(bucket, key, ref, lock=row.lock & ~3 | lock, retain_until=retain_until)

    async def discard(self, content: Sequence[tuple[int, bytes]]) -> None:
        self._called("discard")
        self.discarded += content

    async def list_objects(
        self, bucket_id: int, *, prefix: bytes, delimiter: bytes, after: bytes, inclusive: bool, limit: int
    ) -> ListPage:
        self._called("list_objects")
        heads = [self.objects[place] for place in sorted(self.objects) if place[0] == bucket_id]
        entries: list = []
        for row in [head for head in heads if not head.marker]:
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

    async def list_versions(
        self, bucket_id: int, *, prefix: bytes, delimiter: bytes, after: bytes, after_version: int | None, limit: int
    ) -> VersionPage:
        self._called("list_versions")
        entries: list = []
        for place in sorted(self.objects):
            folded = _folded(place[1], prefix, delimiter)
            if place[0] != bucket_id or folded is None:
                continue
            if folded != place[1]:
                if folded > after and CommonPrefix(folded) not in entries:
                    entries.append(CommonPrefix(folded))
                continue
            for row in self.versions.all_of(place):
                if row.key > after or (row.key == after and after_version is not None and row.version < after_version):
                    latest = row is self.objects[place]
                    named = (row.key, row.version, row.version_id, row.marker, latest)
                    entries.append(VersionEntry(*named, row.size, row.etag, row.modified_at, row.checksum))
        return VersionPage(entries[:limit], len(entries) > limit)

    async def create_upload(
        self,
        bucket: BucketRow,
        key: bytes,
        *,
        headers: bytes,
        checksum_algorithm: str,
        checksum_type: str,
        group_id: int,
        traits: Traits = PLAIN,
    ) -> UploadRow:
        self._called("create_upload")
        self._confirm(bucket)
        upload = UploadRow(
            self.ids.next(),
            bucket.bucket_id,
            key,
            self._now(),
            headers,
            checksum_algorithm,
            checksum_type,
            group_id,
            traits,
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

    async def copy_part(
        self, source: ObjectRow, source_part: int, upload: UploadRow, number: int, etag: str, checksum: str
    ) -> datetime:
        self._called("copy_part")
        if source not in self.versions.all_of((source.bucket_id, source.key)):
            raise SourceChanged
        kept = self.parts[source.content_id, source_part] if source_part else source
        part = PartRow(
            upload.upload_id, number, self.ids.next(), kept.size, etag, checksum, NOW, kept.layout_id, kept.extents
        )
        return (await self.put_part(upload, part)).modified_at

    async def list_parts(self, upload_id: bytes, after: int, limit: int) -> tuple[list[PartRow], bool]:
        self._called("list_parts")
        rows = [row for row in await self.all_parts(upload_id) if row.part_number > after]
        return rows[:limit], len(rows) > limit

    async def all_parts(self, upload_id: bytes) -> list[PartRow]:
        return [self.parts[place] for place in sorted(self.parts) if place[0] == upload_id]

    async def complete_upload(
        self,
        bucket: BucketRow,
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
        self._confirm(bucket)
        done = self.versions.put(bucket, upload.key, stored, condition, self._now())
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
            done.version_id,
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

    def _confirm(self, bucket: BucketRow) -> None:
        if self.buckets.get(bucket.name) != bucket:
            self.remembered.pop(bucket.name, None)
            raise BucketChanged

    def _change(self, bucket: BucketRow, **fields: object) -> None:
        self.buckets[bucket.name] = changed(bucket, **fields)
        self.remembered.pop(bucket.name, None)

    def _marked(self, bucket: BucketRow, key: bytes, ref: VersionRef | None) -> ObjectRow:
        self._confirm(bucket)
        row = self.versions.find((bucket.bucket_id, key), ref)
        if row is None or row.marker:
            raise ObjectMissing if ref is None or row is not None else VersionMissing
        return row

    def _mark(self, bucket: BucketRow, key: bytes, ref: VersionRef | None, **fields: object) -> Committed:
        row = self._marked(bucket, key, ref)._replace(**fields)
        return self.versions.change((bucket.bucket_id, key), ref, row)


def _folded(key: bytes, prefix: bytes, delimiter: bytes) -> bytes | None:
    if not key.startswith(prefix):
        return None
    end = key.find(delimiter, len(prefix)) if delimiter else -1
    return key if end < 0 else key[: end + len(delimiter)]
