"""Values that the tests of the catalog store: objects and parts of one small segment."""

from __future__ import annotations

from collections.abc import Sequence

from s3gate.catalog.catalog import Catalog
from s3gate.catalog.errors import BucketMissing
from s3gate.catalog.rows import BucketRow, Committed, Condition, Deleted, ObjectRow, PartRow, Stored, UploadRow
from s3gate.geometry.extents import Extent, pack


def stored(catalog: Catalog, *, size: int = 10, etag: str = "", segments: int = 1, headers: bytes = b"") -> Stored:
    """Fresh content of this catalog's session; its etag is its id unless given."""
    extents = [Extent(catalog.ids.next(), 1) for _ in range(segments)]
    return Stored(extents[0].segment_id, size, etag or extents[0].segment_id.hex(), 1, 0, pack(extents), headers, "")


def part(catalog: Catalog, upload: UploadRow, number: int, *, size: int = 5, segments: int = 1) -> PartRow:
    """A fresh attempt to send a part."""
    extents = [Extent(catalog.ids.next(), 1) for _ in range(segments)]
    part_id = extents[0].segment_id
    return PartRow(upload.upload_id, number, part_id, size, part_id.hex(), "", upload.initiated_at, 1, pack(extents))


async def bucket_of(catalog: Catalog, name: str = "box", *, fresh: bool = False) -> BucketRow:
    """The bucket's row, maybe a remembered one."""
    row = await catalog.find_bucket(name, fresh=fresh)
    if row is None:
        raise BucketMissing
    return row


async def put(catalog: Catalog, bucket: str, key: bytes, content: Stored, condition: Condition) -> Committed:
    """put_object, decided on whatever row of the bucket is remembered."""
    return await catalog.put_object(await bucket_of(catalog, bucket), key, content, condition)


async def delete(catalog: Catalog, bucket: str, key: bytes, condition: Condition) -> Deleted | None:
    """delete_object, likewise."""
    return await catalog.delete_object(await bucket_of(catalog, bucket), key, condition)


async def copy_to(
    catalog: Catalog, source: ObjectRow, bucket: str, key: bytes, content: Stored, condition: Condition
) -> Committed:
    """copy_object, likewise."""
    return await catalog.copy_object(source, await bucket_of(catalog, bucket), key, content, condition)


async def complete_upload(
    catalog: Catalog,
    upload: UploadRow,
    parts: Sequence[tuple[int, bytes]],
    content: Stored,
    condition: Condition,
    digest: bytes,
) -> Committed:
    """complete_upload into the bucket `box`, likewise."""
    return await catalog.complete_upload(await bucket_of(catalog), upload, parts, content, condition, digest)


async def begin(catalog: Catalog, key: bytes = b"key", bucket: str = "box") -> UploadRow:
    """A new upload."""
    row = await bucket_of(catalog, bucket)
    return await catalog.create_upload(row, key, headers=b"", checksum_algorithm="", checksum_type="", group_id=1)


def whole(upload: UploadRow, parts: list[PartRow]) -> Stored:
    """What a Complete of these parts stores."""
    size = sum(each.size for each in parts)
    return Stored(upload.upload_id, size, f"whole-{len(parts)}", 1, len(parts), b"", b"", "")


def listed(parts: list[PartRow]) -> list[tuple[int, bytes]]:
    """Parts as Complete names them."""
    return [(each.part_number, each.part_id) for each in parts]


def is_committed(answer: object) -> bool:
    """Whether a gathered answer is a success."""
    return isinstance(answer, Committed)
