"""Values that the tests of the catalog store: objects and parts of one small segment."""

from __future__ import annotations

from s3gate.catalog.catalog import Catalog
from s3gate.catalog.rows import Committed, PartRow, Stored, UploadRow
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


async def begin(catalog: Catalog, key: bytes = b"key", bucket: str = "box") -> UploadRow:
    """A new upload."""
    return await catalog.create_upload(bucket, key, headers=b"", checksum_algorithm="", checksum_type="", group_id=1)


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
