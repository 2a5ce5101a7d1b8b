"""What a version has beside its bytes, changed in place: tags, headers, retention, hold, ACL. No version is made.

One transaction: its first statement locks session, bucket and the head of the key, as every change to a version does;
the second has a snapshot of its own, in which the version is where it will stay, and judges a retention by Postgres'
clock. Whatever a version has beside its bytes is opaque here, but for the lock.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, NamedTuple

from s3gate.catalog.batcher import Again
from s3gate.catalog.connection import Row, Statement
from s3gate.catalog.errors import AclChanged, BucketChanged, ObjectMissing, VersionLocked, VersionMissing
from s3gate.catalog.parameters import BOOL, BYTEA, INT2, INT8, TIMESTAMPTZ
from s3gate.catalog.pieces import CONFIG_NUMBER, HELD
from s3gate.catalog.rows import HOLD_SAID, LEGAL_HOLD, BucketRow, Committed, VersionRef
from s3gate.catalog.settlement import never_happened
from s3gate.catalog.transactions import BucketChanges

MARKER: Final = 1
LOCKED: Final = 2
CHANGED: Final = 3
REPLACED: Final = 4
ANY_BITS: Final = 0x7FFF

LOCK = Statement(
    "traits_lock",
    HELD
    + """, b AS MATERIALIZED (
        SELECT FROM bucket b WHERE b.bucket_id = $3 AND $4 = """
    + CONFIG_NUMBER
    + """ AND EXISTS (SELECT FROM s) FOR SHARE OF b
    ), head AS MATERIALIZED (
        SELECT FROM object WHERE bucket_id = $3 AND key = $5 AND EXISTS (SELECT FROM b) FOR UPDATE
    )
    SELECT (SELECT count(*) FROM s), (SELECT count(*) FROM b), (SELECT count(*) FROM head)
    """,
    INT8,
    INT8,
    INT8,
    INT8,
    BYTEA,
)
_JUDGED: Final = "version, version_id, marker, lock, retain_until, modified_at, acl, content_id"
# (At most one version is judged. Joined to it, a version would be looked for among all that its key has.)
_CHANGED: Final = """SET tags = coalesce($8, o.tags), acl = coalesce($9, o.acl), headers = coalesce($15, o.headers),
            lock = o.lock & $10 | $11,
            retain_until = CASE WHEN $12 THEN $13 ELSE o.retain_until END
        WHERE o.bucket_id = $3 AND o.key = $5
          AND o.version = (SELECT j.version FROM j WHERE j.refusal = 0 AND """
# A retention that has not ended may be prolonged, and bypassed if it is governance; nothing else (its bits: 1, 2).
CHANGE = Statement(
    "traits_change",
    """
    WITH s AS MATERIALIZED (
        SELECT FROM bucket b CROSS JOIN session
        WHERE b.bucket_id = $3 AND $4 = """
    + CONFIG_NUMBER
    + """ AND session_id = $1 AND fence = $2 AND closed_at IS NULL
    ), n AS MATERIALIZED (
        SELECT true AS is_head, """
    + _JUDGED
    + """ FROM object
        WHERE bucket_id = $3 AND key = $5 AND EXISTS (SELECT FROM s)
          AND ($7 IS NULL OR (version_id = $7 AND ($7 = '' OR version = $6)))
        UNION ALL
        SELECT false, """
    + _JUDGED
    + """ FROM version
        WHERE bucket_id = $3 AND key = $5 AND EXISTS (SELECT FROM s)
          AND version = $6 AND version_id = $7 AND $7 <> ''
        UNION ALL
        SELECT false, """
    + _JUDGED
    + """ FROM version
        WHERE bucket_id = $3 AND key = $5 AND EXISTS (SELECT FROM s) AND version_id = '' AND $7 = ''
    ), j AS MATERIALIZED (
        SELECT n.*,
               CASE WHEN n.marker THEN 1
                    WHEN $12 AND n.lock & 3 <> 0 AND n.retain_until > now()
                         AND NOT (n.lock & 3 = $11 AND $13 >= n.retain_until)
                         AND NOT (n.lock & 1 <> 0 AND $14) THEN 2
                    WHEN n.acl <> $16 THEN 3
                    WHEN n.content_id <> $17 THEN 4
                    ELSE 0 END AS refusal
        FROM n
    ), head AS (
        UPDATE object o """
    + _CHANGED
    + """j.is_head)
    ), older AS (
        UPDATE version o """
    + _CHANGED
    + """NOT j.is_head)
    )
    SELECT (SELECT count(*) FROM s), j.refusal, j.version, j.modified_at, j.version_id
    FROM (VALUES (0)) AS one (row) LEFT JOIN j ON true
    """,
    INT8,
    INT8,
    INT8,
    INT8,
    BYTEA,
    INT8,
    BYTEA,
    BYTEA,
    BYTEA,
    INT2,
    INT2,
    BOOL,
    TIMESTAMPTZ,
    BOOL,
    BYTEA,
    BYTEA,
    BYTEA,
)


class Change(NamedTuple):
    """What CHANGE does to a version: None and the defaults leave things as they are."""

    tags: bytes | None = None
    acl: bytes | None = None
    keep_bits: int = ANY_BITS
    add_bits: int = 0
    is_retention: bool = False
    retain_until: datetime | None = None
    bypass: bool = False
    headers: bytes | None = None
    seen_acl: bytes | None = None
    """The ACL that the change was decided by."""
    seen_content: bytes | None = None
    """The content that it was decided by: there are many null versions, one after the other."""


class VersionTraits(BucketChanges):
    """put_tags, put_acl, put_headers, put_retention and put_legal_hold."""

    async def change(self, bucket: BucketRow, key: bytes, ref: VersionRef | None, change: Change) -> Committed:
        """Change a version of the key, or the current one; the answer is that version, with its time as it was."""
        version, version_id = ref or (0, None)

        async def attempt(session_id: int, fence: int) -> Committed | Again | None:
            held = (session_id, fence, bucket.bucket_id, bucket.config_number, key)
            locked, changed = await self._pool.transact((LOCK, held), (CHANGE, (*held, version, version_id, *change)))
            if not locked[0][0]:
                return None
            if not (locked[0][1] and changed[0][0]):
                self._buckets.forget(bucket.name)
                raise BucketChanged
            return _judge(changed[0], is_named=ref is not None)

        # No bytes are at stake, and nothing says who made a change: whoever was cut off says it again.
        return await self._run(attempt, never_happened)


def tags(document: bytes) -> Change:
    """Other tags."""
    return Change(tags=document)


def acl(document: bytes, seen: bytes | None = None) -> Change:
    """Another ACL."""
    return Change(acl=document, seen_acl=seen)


def headers(stored: bytes, seen_content: bytes) -> Change:
    """Other stored headers, for those that came with this content."""
    return Change(headers=stored, seen_content=seen_content)


def retention(lock: int, retain_until: datetime | None, *, bypass: bool) -> Change:
    """GOVERNANCE or COMPLIANCE until a moment, or neither; the legal hold stays."""
    return Change(
        keep_bits=LEGAL_HOLD | HOLD_SAID,
        add_bits=lock,
        is_retention=True,
        retain_until=retain_until,
        bypass=bypass,
    )


def legal_hold(on: bool) -> Change:
    """A hold, or none; that it was said is kept."""
    return Change(keep_bits=ANY_BITS & ~LEGAL_HOLD, add_bits=HOLD_SAID | (LEGAL_HOLD if on else 0))


def _judge(row: Row, *, is_named: bool) -> Committed:
    _, refusal, version, modified_at, version_id = row
    if refusal in (None, REPLACED):
        raise VersionMissing if is_named else ObjectMissing
    if refusal == MARKER:
        raise ObjectMissing
    if refusal == LOCKED:
        raise VersionLocked
    if refusal == CHANGED:
        raise AclChanged
    return Committed(version, modified_at, version_id)
