"""The row of a part: shared by UploadPart and UploadPartCopy."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from s3gate.catalog.rows import PartRow, UploadRow
from s3gate.operations._encryption import Sealing, etag_of
from s3gate.operations.body import Digests

if TYPE_CHECKING:
    from s3gate.store.writer import Written


def part_row(
    upload: UploadRow,
    number: int,
    written: Written,
    size: int,
    digests: Digests,
    sealing: Sealing | None,
    now: datetime,
) -> PartRow:
    """The time is replaced by the catalog's own when the part is committed."""
    return PartRow(
        upload.upload_id,
        number,
        written.content_id,
        size,
        etag_of(digests.md5, sealing),
        digests.checksum,
        now,
        written.layout_id,
        written.extents,
        b"" if sealing is None else sealing.sse,
    )
