"""Stored headers and ACLs of the versions of one page: what a listing needs where objects have labels or other owners.

The listings themselves read neither: this is a second look, at the few rows that have what is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence

from s3gate.catalog.connection import Statement
from s3gate.catalog.parameters import BYTEA, BYTEA_ARRAY, INT8, INT8_ARRAY
from s3gate.catalog.pool import Pool

FOUND = """
    SELECT found.key, found.version, found.{column}
    FROM unnest($2::bytea[], $3::bigint[]) AS n (key, version)
    CROSS JOIN LATERAL (
        SELECT o.key, o.version, o.{column} FROM object o
        WHERE o.bucket_id = $1 AND o.key = n.key AND n.version IN (o.version, 0)
        UNION ALL
        SELECT v.key, v.version, v.{column} FROM version v
        WHERE v.bucket_id = $1 AND v.key = n.key AND v.version = n.version
    ) AS found
    """
FIND = Statement(
    "labels_find",
    FOUND.format(column="headers") + "WHERE position($4::bytea IN found.headers) > 0",
    INT8,
    BYTEA_ARRAY,
    INT8_ARRAY,
    BYTEA,
)
FIND_ACLS = Statement(
    "labels_acls", FOUND.format(column="acl") + "WHERE found.acl <> ''", INT8, BYTEA_ARRAY, INT8_ARRAY
)
CURRENT = 0
"""In a counter's place: whichever version is current."""


class Labels:
    """For listings."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def find(
        self, bucket_id: int, versions: Sequence[tuple[bytes, int]], name: bytes
    ) -> list[tuple[bytes, int, bytes]]:
        """Key, counter and headers of those of these versions whose headers may have one of this name."""
        rows = await self._pool.repeat(FIND, bucket_id, *_arrays(versions), name)
        return [(row[0], row[1], row[2]) for row in rows]

    async def find_acls(self, bucket_id: int, versions: Sequence[tuple[bytes, int]]) -> list[tuple[bytes, int, bytes]]:
        """Key, counter and ACL of those of these versions that have one."""
        rows = await self._pool.repeat(FIND_ACLS, bucket_id, *_arrays(versions))
        return [(row[0], row[1], row[2]) for row in rows]


def _arrays(versions: Sequence[tuple[bytes, int]]) -> tuple[list[bytes], list[int]]:
    return [key for key, _ in versions], [counter for _, counter in versions]
