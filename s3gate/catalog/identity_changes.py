"""Changes of identities, each as one step of the transaction that `IdentityTables.commit` makes of them.

Whoever decides on a change has read what it depends on; the transaction fails as a whole when anything has changed
since (identities.py), so that no statement here has to ask again.
"""

from __future__ import annotations

from s3gate.catalog.connection import Statement, Step
from s3gate.catalog.identity_rows import AccountRow, IdentityRow, KeyRow, LinkRow, PolicyRow
from s3gate.catalog.parameters import BOOL, BYTEA, TEXT, TIMESTAMPTZ

_PUT_ACCOUNT = Statement(
    "account_put",
    """INSERT INTO account (account_id, canonical_id, name, email, alias, is_main, created_at)
       VALUES ($1, $2, $3, $4, $5, $6, $7)
       ON CONFLICT (account_id) DO UPDATE SET canonical_id = excluded.canonical_id, name = excluded.name,
           email = excluded.email, alias = excluded.alias""",
    TEXT,
    TEXT,
    TEXT,
    TEXT,
    TEXT,
    BOOL,
    TIMESTAMPTZ,
)
_RENUMBER = tuple(
    Statement(name, text, TEXT, TEXT)
    for name, text in (
        ("account_renumber", "UPDATE account SET account_id = $2 WHERE account_id = $1"),
        ("identity_renumber", "UPDATE identity SET account_id = $2 WHERE account_id = $1"),
        ("identity_policy_renumber", "UPDATE identity_policy SET account_id = $2 WHERE account_id = $1"),
        ("identity_link_renumber", "UPDATE identity_link SET account_id = $2 WHERE account_id = $1"),
        ("access_key_renumber", "UPDATE access_key SET account_id = $2 WHERE account_id = $1"),
    )
)
_HAND_OVER = Statement(
    "bucket_hand_over",
    "UPDATE bucket SET owner = $2, config_number = config_number + 1 WHERE owner = $1",
    TEXT,
    TEXT,
)
_PUT_IDENTITY = Statement(
    "identity_put",
    """INSERT INTO identity (account_id, kind, name, identity_id, path, document, created_at, folded)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
       ON CONFLICT (account_id, kind, folded) DO UPDATE SET name = excluded.name, path = excluded.path,
           document = excluded.document""",
    TEXT,
    TEXT,
    TEXT,
    TEXT,
    TEXT,
    BYTEA,
    TIMESTAMPTZ,
    TEXT,
)
# An identity that goes takes its policies and links along; what forbids that was asked before.
_DROP_IDENTITY = tuple(
    Statement(name, text, TEXT, TEXT, TEXT)
    for name, text in (
        ("identity_drop", "DELETE FROM identity WHERE account_id = $1 AND kind = $2 AND folded = $3"),
        ("identity_drop_policies", "DELETE FROM identity_policy WHERE account_id = $1 AND kind = $2 AND owner = $3"),
        ("identity_drop_links", "DELETE FROM identity_link WHERE account_id = $1 AND kind = $2 AND owner = $3"),
    )
)
# A new name: what is linked to the old one follows. Members of a group name it as their target.
_RENAME = tuple(
    Statement(name, text, TEXT, TEXT, TEXT, TEXT)
    for name, text in (
        (
            "identity_rename_policies",
            "UPDATE identity_policy SET owner = $4 WHERE account_id = $1 AND kind = $2 AND owner = $3",
        ),
        (
            "identity_rename_links",
            "UPDATE identity_link SET owner = $4 WHERE account_id = $1 AND kind = $2 AND owner = $3",
        ),
        (
            "identity_rename_members",
            "UPDATE identity_link SET target = $4 WHERE account_id = $1 AND link = $2 AND target = $3",
        ),
        (
            "identity_rename_keys",
            "UPDATE access_key SET owner = $4 WHERE account_id = $1 AND $2 = 'user' AND owner = $3",
        ),
    )
)
_PUT_POLICY = Statement(
    "identity_policy_put",
    """INSERT INTO identity_policy (account_id, kind, owner, name, document, in_force, created_at)
       VALUES ($1, $2, $3, $4, $5, $6, $7)
       ON CONFLICT (account_id, kind, owner, name) DO UPDATE SET document = excluded.document,
           in_force = excluded.in_force""",
    TEXT,
    TEXT,
    TEXT,
    TEXT,
    BYTEA,
    BOOL,
    TIMESTAMPTZ,
)
_DROP_POLICY = Statement(
    "identity_policy_drop",
    "DELETE FROM identity_policy WHERE account_id = $1 AND kind = $2 AND owner = $3 AND name = $4",
    TEXT,
    TEXT,
    TEXT,
    TEXT,
)
_PUT_LINK = Statement(
    "identity_link_put",
    "INSERT INTO identity_link (account_id, kind, owner, link, target) VALUES ($1, $2, $3, $4, $5) "
    "ON CONFLICT DO NOTHING",
    TEXT,
    TEXT,
    TEXT,
    TEXT,
    TEXT,
)
_DROP_LINK = Statement(
    "identity_link_drop",
    "DELETE FROM identity_link WHERE account_id = $1 AND kind = $2 AND owner = $3 AND link = $4 AND target = $5",
    TEXT,
    TEXT,
    TEXT,
    TEXT,
    TEXT,
)
_PUT_KEY = Statement(
    "access_key_put",
    """INSERT INTO access_key (access_key, account_id, owner, secret, active, created_at)
       VALUES ($1, $2, $3, $4, $5, $6)
       ON CONFLICT (access_key) DO UPDATE SET account_id = excluded.account_id, owner = excluded.owner,
           secret = excluded.secret, active = excluded.active""",
    TEXT,
    TEXT,
    TEXT,
    BYTEA,
    BOOL,
    TIMESTAMPTZ,
)
_DROP_KEY = Statement("access_key_drop", "DELETE FROM access_key WHERE access_key = $1", TEXT)


def put_account(row: AccountRow) -> list[Step]:
    """Make an account, or change everything of it but its number and whether it is the main one."""
    return [(_PUT_ACCOUNT, tuple(row))]


def renumber_account(old: AccountRow, new: AccountRow) -> list[Step]:
    """Another number and canonical id for an account, which keeps what it has."""
    steps: list[Step] = [(statement, (old.account_id, new.account_id)) for statement in _RENUMBER]
    return [*steps, (_HAND_OVER, (old.canonical_id, new.canonical_id)), *put_account(new)]


def put_identity(row: IdentityRow) -> list[Step]:
    """Make an identity, or change its path and document."""
    return [(_PUT_IDENTITY, (*row, row.folded))]


def rename_identity(old: IdentityRow, new: IdentityRow) -> list[Step]:
    """Another name for a user or a group, which keeps what it has."""
    steps: list[Step] = [(_DROP_IDENTITY[0], (old.account_id, old.kind, old.folded))]
    names = (old.account_id, old.kind, old.folded, new.folded)
    return [*steps, *((statement, names) for statement in _RENAME), *put_identity(new)]


def drop_identity(row: IdentityRow) -> list[Step]:
    """Take an identity away with its policies and links."""
    return [(statement, (row.account_id, row.kind, row.folded)) for statement in _DROP_IDENTITY]


def put_policy(row: PolicyRow) -> list[Step]:
    """Write an inline policy or a version."""
    return [(_PUT_POLICY, tuple(row))]


def drop_policy(row: PolicyRow) -> list[Step]:
    """Take an inline policy or a version away."""
    return [(_DROP_POLICY, (row.account_id, row.kind, row.owner, row.name))]


def put_link(row: LinkRow) -> list[Step]:
    """Make a membership, an attachment or a boundary."""
    return [(_PUT_LINK, tuple(row))]


def drop_link(row: LinkRow) -> list[Step]:
    """Unmake it."""
    return [(_DROP_LINK, tuple(row))]


def put_key(row: KeyRow) -> list[Step]:
    """Make an access key, or change its secret and status. When it was used is written elsewhere."""
    return [(_PUT_KEY, tuple(row)[:6])]


def drop_key(access_key: str) -> list[Step]:
    """Take an access key away."""
    return [(_DROP_KEY, (access_key,))]
