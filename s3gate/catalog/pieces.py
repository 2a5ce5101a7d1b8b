"""Pieces of SQL that several statements have in common. It holds text only, and refuses to know who uses it."""

from __future__ import annotations

from typing import Final, LiteralString

# The number by which a bucket's configuration is known (`b`: its row): it changes with any identity, too. The one row
# of `cluster` is read once a statement; a database that no cluster has adopted yet has none. (By its
# key, though there is only one row: a scan begins with asking the system how long the table is.)
IDENTITY_NUMBER: Final = "coalesce((SELECT identity_number FROM cluster WHERE only_row), 0)"
CONFIG_NUMBER: Final = "(b.config_number + " + IDENTITY_NUMBER + ")"

# How every statement that writes begins. s: the session is held under the fence that it knows, or nothing is written.
HELD: Final = """
    WITH s AS MATERIALIZED (
        SELECT FROM session WHERE session_id = $1 AND fence = $2 AND closed_at IS NULL FOR KEY SHARE
    )"""
# b: the buckets that are still as those who write know them; nobody changes or deletes them meanwhile.
BUCKETS: Final = (
    """, b AS MATERIALIZED (
        SELECT b.bucket_id, b.versioning
        FROM unnest($3::bigint[], $4::bigint[]) AS w (bucket_id, config_number)
        JOIN bucket b ON b.bucket_id = ANY (ARRAY[w.bucket_id]) AND """
    + CONFIG_NUMBER
    + """ = w.config_number
        WHERE EXISTS (SELECT FROM s)
        ORDER BY w.bucket_id FOR SHARE OF b
    )"""
)

# What a version is made of, beside its place, its counter and its time; and the whole row, as schema.sql has it.
_CONTENT: Final = ("layout_id", "part_count", "extents", "headers", "checksum")
_TRAITS: Final = ("version_id", "marker", "tags", "lock", "retain_until", "sse", "acl")
_MADE_OF: Final = ("content_id", "size", "etag", *_CONTENT, *_TRAITS)
_ROW: Final = ("bucket_id", "key", "version", "content_id", "size", "etag", "modified_at", *_CONTENT, *_TRAITS)
MADE_OF: Final = ", ".join(_MADE_OF)


def made_of(row: LiteralString) -> LiteralString:
    """Those columns of this row."""
    return ", ".join([row + "." + column for column in _MADE_OF])


def referenced(content_id: LiteralString) -> LiteralString:
    """Whether any version still points to this content (law 5)."""
    return (
        "(EXISTS (SELECT FROM object o WHERE o.content_id = "
        + content_id
        + ") OR EXISTS (SELECT FROM version v WHERE v.content_id = "
        + content_id
        + "))"
    )


def named_by_part(first_id: LiteralString) -> LiteralString:
    """Whether a part has these segments (known by the first): those it was sent with, or by reference (law 5)."""
    return "(" + _is_there("part_id", first_id) + " OR " + lent(first_id) + ")"


def lent(first_id: LiteralString) -> LiteralString:
    """Whether a part has these segments by reference."""
    return _is_there("source_id", first_id)


def _is_there(column: LiteralString, first_id: LiteralString) -> LiteralString:
    # No EXISTS: that may be planned as a hash of the whole table.
    return "(SELECT true FROM part r WHERE r." + column + " = " + first_id + " LIMIT 1) IS NOT NULL"


def has_no(table: LiteralString, bucket_id: LiteralString) -> LiteralString:
    """Whether nothing of this bucket is in a table.

    No NOT EXISTS: where most rows are those of one bucket, that is planned as a walk over all of them for another.
    (No key is empty: it is the condition of an index of uploads.)
    """
    return "(SELECT true FROM " + table + " x WHERE x.bucket_id = " + bucket_id + " AND x.key <> '' LIMIT 1) IS NULL"


DROP_OLD_UPLOADS: Final = """
        DELETE FROM upload u USING old
        WHERE u.bucket_id = ANY (ARRAY[old.bucket_id]) AND u.key = ANY (ARRAY[old.key])
          AND u.upload_id = ANY (ARRAY[old.upload_id])
        RETURNING u.upload_id
    """
"""The uploads that were chosen, and locked, as `old`."""


def as_head(row: LiteralString) -> LiteralString:
    """A row of `version` as one of `object`."""
    return "ROW (" + ", ".join([row + "." + column for column in _ROW]) + ")::object"


def protected(row: LiteralString) -> LiteralString:
    """Whether a retention or a legal hold keeps this row now, by Postgres' clock."""
    lock, until = "(" + row + ").lock", "(" + row + ").retain_until"
    return "(" + lock + " & 4 <> 0 OR " + lock + " & 3 <> 0 AND " + until + " > now())"


def names(row: LiteralString, counter: LiteralString, version_id: LiteralString) -> LiteralString:
    """Whether this is the version that a counter and an id name; the counter 0 says: the null version, whichever."""
    same = "(" + row + ").version_id = " + version_id
    return "(" + same + " AND (" + counter + " = 0 OR (" + row + ").version = " + counter + "))"


# The conditions of a write `n` judged on the version `n.old`: for the CASE of every statement that judges one. A delete
# marker counts as no version. `n.head` is the current version, delete marker or not.
CONDITIONS: Final = (
    """
               WHEN n.flags & 2 <> 0 AND NOT (n.old).marker THEN 5
               WHEN (n.if_match IS NOT NULL OR n.if_size IS NOT NULL OR n.if_modified IS NOT NULL)
                    AND (n.old).marker IS NOT false THEN 6
               WHEN n.if_match <> '*'
                    AND position(convert_to(E'\\n' || (n.old).etag || E'\\n', 'UTF8') IN n.if_match) = 0 THEN 4
               WHEN n.if_size <> (n.old).size THEN 10
               WHEN date_trunc('second', n.if_modified) <> date_trunc('second', (n.old).modified_at) THEN 11
               WHEN n.if_version IS NOT NULL AND """
    + names("n.head", "n.if_version", "n.if_version_id")
    + " IS NOT true THEN 12"
)
