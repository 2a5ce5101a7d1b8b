"""Listing: keys and common prefixes of a bucket in byte order, a page in one statement. Delete markers are no keys.

With a delimiter it is a skip-scan: an index probe leads past the whole range of a common prefix, however many keys
that has. Ranges are open intervals computed in Python: keys have at most 1,024 bytes, so a prefix followed by
more bytes of 0xff than that is above all of its keys, for any bytes, and nothing needs a successor.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from s3gate.catalog.connection import Row, Statement
from s3gate.catalog.limits import MAX_KEY_BYTES
from s3gate.catalog.parameters import BYTEA, INT4, INT8
from s3gate.catalog.pool import Pool
from s3gate.catalog.rows import CommonPrefix, ListEntry, ListPage, UploadPage, UploadRow
from s3gate.catalog.uploads import COLUMNS as UPLOAD_COLUMNS
from s3gate.catalog.uploads import upload_row

FLAT = Statement(
    "object_list",
    """SELECT key, size, etag, modified_at, checksum FROM object
       WHERE bucket_id = $1 AND key > $2 AND key < $3 AND NOT marker ORDER BY key LIMIT $4""",
    INT8,
    BYTEA,
    BYTEA,
    INT4,
)
# A step reads a few keys behind the bound; what lies behind the first common prefix among them is thrown away, and the
# next step begins above that prefix, with a single key. Without one, the next step reads four times as many: folders
# of files cost little more than a plain scan, folders of folders one probe each.
# $5: where in a key the prefix ends (from 1); $6: the delimiter; $7: what lifts a prefix above all of its keys.
ROLLED = Statement(
    "object_list_rolled",
    """
    WITH RECURSIVE walk (n, reads, bound, key, size, etag, modified_at, checksum) AS (
        SELECT 0::bigint, 4, $2::bytea, NULL::bytea, NULL::bigint, NULL::text, NULL::timestamptz, NULL::text
        UNION ALL
        SELECT w.n + o.place, CASE WHEN o.at > 0 THEN 1 ELSE least(w.reads * 4, 256) END,
               CASE WHEN o.at > 0 THEN o.rolled || $7 WHEN o.place = w.reads THEN o.key END,
               CASE WHEN o.at > 0 THEN o.rolled ELSE o.key END,
               CASE WHEN o.at = 0 THEN o.size END, o.etag, o.modified_at, o.checksum
        FROM walk w CROSS JOIN LATERAL (
            SELECT c.*, CASE WHEN c.at > 0 THEN substring(c.key FOR $5 + c.at + length($6) - 2) END AS rolled
            FROM (
                SELECT f.*, row_number() OVER (ORDER BY f.key) AS place,
                       count(*) FILTER (WHERE f.at > 0)
                           OVER (ORDER BY f.key ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS rolled_before
                FROM (
                    SELECT o.key, o.size, o.etag, o.modified_at, o.checksum,
                           position($6 IN substring(o.key FROM $5)) AS at
                    FROM object o
                    WHERE o.bucket_id = $1 AND o.key > w.bound AND o.key < $3 AND NOT o.marker
                    ORDER BY o.key LIMIT w.reads) AS f
            ) AS c
            WHERE c.rolled_before = 0
        ) AS o
        WHERE w.bound IS NOT NULL AND w.n < $4
    )
    SELECT key, size, etag, modified_at, checksum FROM walk WHERE n > 0 ORDER BY n LIMIT $4
    """,
    INT8,
    BYTEA,
    BYTEA,
    INT4,
    INT4,
    BYTEA,
    BYTEA,
)
UPLOADS_FLAT = Statement(
    "upload_list",
    "SELECT "
    + UPLOAD_COLUMNS
    + """ FROM upload u
       WHERE u.bucket_id = $1 AND (u.key, u.upload_id) > ($2, $3) AND u.key < $4 AND u.key <> ''
       ORDER BY u.key, u.upload_id LIMIT $5""",
    INT8,
    BYTEA,
    BYTEA,
    BYTEA,
    INT4,
)
# The same walk over pairs of key and upload id; whole rows are joined to what the walk found.
UPLOADS_ROLLED = Statement(
    "upload_list_rolled",
    """
    WITH RECURSIVE walk (n, bound, bound_id, rolled, key, upload_id) AS (
        SELECT 0, $2::bytea, $3::bytea, NULL::bytea, NULL::bytea, NULL::bytea
        UNION ALL
        SELECT w.n + 1, CASE WHEN o.at > 0 THEN o.rolled || $8 ELSE o.key END, o.upload_id,
               CASE WHEN o.at > 0 THEN o.rolled END, o.key, o.upload_id
        FROM walk w CROSS JOIN LATERAL (
            SELECT f.*, substring(f.key FOR $6 + f.at + length($7) - 2) AS rolled FROM (
                SELECT u.key, u.upload_id, position($7 IN substring(u.key FROM $6)) AS at
                FROM upload u
                WHERE u.bucket_id = $1 AND (u.key, u.upload_id) > (w.bound, w.bound_id) AND u.key < $4
                  AND u.key <> ''
                ORDER BY u.key, u.upload_id LIMIT 1) AS f
        ) AS o
        WHERE w.n < $5
    )
    SELECT walk.rolled, u.* FROM walk CROSS JOIN LATERAL (
        SELECT """
    + UPLOAD_COLUMNS
    + """ FROM upload u
        WHERE u.bucket_id = $1 AND u.key = walk.key AND u.upload_id = walk.upload_id LIMIT 1
    ) AS u
    WHERE walk.n > 0 ORDER BY walk.n
    """,
    INT8,
    BYTEA,
    BYTEA,
    BYTEA,
    INT4,
    INT4,
    BYTEA,
    BYTEA,
)

ABOVE: Final = b"\xff" * MAX_KEY_BYTES
"""After a prefix: not below any key with this prefix."""


_entry: Final[Callable[[Row], ListEntry]] = partial(tuple.__new__, ListEntry)
"""`ListEntry._make` without its count of columns, in half the time: a page has a thousand."""


def below(first: bytes) -> bytes:
    """A bound that every key from `first` on is above, and no key before it."""
    if not first:
        return b""
    if first[-1] == 0:
        return first[:-1]
    return first[:-1] + bytes((first[-1] - 1,)) + ABOVE


def above(prefix: bytes) -> bytes:
    """A bound that every key with this prefix is below."""
    return prefix + ABOVE + b"\xff"


def lower_bound(prefix: bytes, delimiter: bytes, after: bytes, inclusive: bool) -> bytes:
    """The bound that the first key of a page is above. `after` may be a common prefix: all of it is skipped."""
    if inclusive:
        start = below(after)
    elif is_rolled(prefix, delimiter, after):
        start = after + ABOVE
    else:
        start = after
    return max(start, below(prefix))


def is_rolled(prefix: bytes, delimiter: bytes, name: bytes) -> bool:
    """Whether a name is itself a common prefix: the first delimiter behind the prefix ends it."""
    if not delimiter or not name.startswith(prefix):
        return False
    at = name.find(delimiter, len(prefix))
    return at >= 0 and at + len(delimiter) == len(name)


async def list_objects(
    pool: Pool, bucket_id: int, prefix: bytes, delimiter: bytes, after: bytes, inclusive: bool, limit: int
) -> ListPage:
    """A page of at most `limit` entries after `after`, or from it on."""
    if limit <= 0:
        return ListPage([], False)
    lower = lower_bound(prefix, delimiter, after, inclusive)
    entries: list[ListEntry | CommonPrefix]
    if delimiter:
        rows = await pool.repeat(ROLLED, bucket_id, lower, above(prefix), limit + 1, len(prefix) + 1, delimiter, ABOVE)
        entries = [CommonPrefix(row[0]) if row[1] is None else _entry(row) for row in rows]
    else:
        rows = await pool.repeat(FLAT, bucket_id, lower, above(prefix), limit + 1)
        entries = list(map(_entry, rows))
    truncated = len(entries) > limit
    if truncated:
        entries.pop()
    return ListPage(entries, truncated)


async def list_uploads(
    pool: Pool, bucket_id: int, prefix: bytes, delimiter: bytes, after: bytes, after_id: bytes, limit: int
) -> UploadPage:
    """Uploads ordered by key and upload id, after a key (or common prefix), or after an upload of that key."""
    if limit <= 0:
        return UploadPage([], False)
    lower, lower_id = lower_bound(prefix, delimiter, after, inclusive=False), ABOVE
    if after_id and lower == after and after.startswith(prefix):
        lower_id = after_id
    entries: list[UploadRow | CommonPrefix]
    if delimiter:
        rows = await pool.repeat(
            UPLOADS_ROLLED, bucket_id, lower, lower_id, above(prefix), limit + 1, len(prefix) + 1, delimiter, ABOVE
        )
        entries = [upload_row(row[1:]) if row[0] is None else CommonPrefix(row[0]) for row in rows]
    else:
        rows = await pool.repeat(UPLOADS_FLAT, bucket_id, lower, lower_id, above(prefix), limit + 1)
        entries = [upload_row(row) for row in rows]
    truncated = len(entries) > limit
    return UploadPage(entries[:limit], truncated)
