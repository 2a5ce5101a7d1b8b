"""Versions that are put into the tables directly, for tests of how they are read."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.catalog.conftest import Look

COLUMNS = (
    "bucket_id, key, version, content_id, size, etag, modified_at, layout_id, part_count, extents, headers, checksum,"
    " version_id, marker, tags, lock, retain_until, sse, acl"
)


@dataclass(frozen=True)
class Made:
    """A version; the null version unless it is told otherwise."""

    version: int
    is_null: bool = False
    marker: bool = False
    size: int = 1
    tags: bytes = b""
    lock: int = 0
    retain_until: datetime | None = None
    superseded_at: str = "now()"

    @property
    def version_id(self) -> bytes:
        return b"" if self.is_null else b"version-%08d" % self.version

    @property
    def ref(self) -> tuple[int, bytes]:
        return (0, b"") if self.is_null else (self.version, self.version_id)


async def place(look: Look, bucket_id: int, key: bytes, *versions: Made) -> None:
    """Make these the versions of a key, the first one its head."""
    for number, made in enumerate(versions):
        name = hashlib.md5(key + b"%d" % made.version).digest()
        values: list[Any] = [bucket_id, key, made.version, name, 0 if made.marker else made.size, name.hex()]
        values += [made.version_id, made.marker, made.tags, made.lock, made.retain_until]
        marks = "%s, %s, %s, %s, %s, %s, now(), 1, 0, '', '', '', %s, %s, %s, %s, %s, '', ''"
        if number == 0:
            await look.rows(f"INSERT INTO object ({COLUMNS}) VALUES ({marks})", *values)
        else:
            await look.rows(
                f"INSERT INTO version ({COLUMNS}, superseded_at) VALUES ({marks}, {made.superseded_at})", *values
            )


async def place_many(look: Look, bucket_id: int, key: str, count: int) -> None:
    """A key of a head, version count + 1, and so many older versions."""
    fields = "1, 'e', now(), 1, 0, '', '', '', convert_to(lpad(n::text, 16, '0'), 'UTF8'), false, '', 0, NULL, '', ''"
    await look.rows(
        f"INSERT INTO object ({COLUMNS}) SELECT %s, %s::bytea, n, decode(md5(%s || n::text), 'hex'), {fields}"
        " FROM generate_series(%s::bigint, %s::bigint) AS n",
        bucket_id,
        key.encode(),
        key,
        count + 1,
        count + 1,
    )
    await look.rows(
        f"INSERT INTO version ({COLUMNS}, superseded_at) SELECT %s, %s::bytea, n, decode(md5(%s || n::text), 'hex'),"
        f" {fields}, now() FROM generate_series(1, %s::bigint) AS n",
        bucket_id,
        key.encode(),
        key,
        count,
    )
