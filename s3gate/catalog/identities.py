"""Accounts and identities: reads, and the one way to change them.

A change is decided on what was read after the identity number, and is committed on the condition that this is still
the number: a compare-and-set, so that decisions are made outside of the database and yet are never made on something
old. The number is part of every bucket's configuration number, which every lookup and commit compares: a change holds
at once, on every gate.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final, TypeVar

import psycopg

from s3gate.catalog.connection import ConnectionLost, Statement, Step
from s3gate.catalog.errors import Unavailable
from s3gate.catalog.identity_rows import AccountRow, IdentityRow, KeyRow, LinkRow, PolicyRow
from s3gate.catalog.parameters import BYTEA, INT4, INT8, TEXT, TEXT_ARRAY, TIMESTAMPTZ_ARRAY
from s3gate.catalog.pool import Pool

T = TypeVar("T")
TRIES: Final = 32

NUMBER = Statement("identity_number", "SELECT identity_number FROM cluster")
# Another number makes a NULL, which the column refuses: the transaction ends here.
TURN = Statement(
    "identity_turn",
    "UPDATE cluster SET identity_number = CASE WHEN identity_number = $1 THEN $1 + 1 END",
    INT8,
)
_ACCOUNT: Final = "SELECT account_id, canonical_id, name, email, alias, is_main, created_at FROM account "
ACCOUNTS = Statement("account_list", _ACCOUNT + "ORDER BY account_id")
# Two gates that start at once make one main account.
MAKE_MAIN = Statement(
    "account_make_main",
    """INSERT INTO account (account_id, canonical_id, name, email, is_main) VALUES ($1, $2, $3, '', true)
       ON CONFLICT DO NOTHING""",
    TEXT,
    TEXT,
    TEXT,
)
_IDENTITY: Final = "SELECT account_id, kind, name, identity_id, path, document, created_at FROM identity "
FIND = Statement("identity_find", _IDENTITY + "WHERE account_id = $1 AND kind = $2 AND folded = $3", TEXT, TEXT, TEXT)
FIND_BY_ID = Statement("identity_find_by_id", _IDENTITY + "WHERE identity_id = $1", TEXT)
LIST = Statement(
    "identity_list",
    _IDENTITY + "WHERE account_id = $1 AND kind = $2 AND folded > $4 AND starts_with(path, $3) "
    "ORDER BY folded LIMIT $5",
    TEXT,
    TEXT,
    TEXT,
    TEXT,
    INT4,
)
COUNT = Statement("identity_count", "SELECT kind, count(*) FROM identity WHERE account_id = $1 GROUP BY kind", TEXT)
# (OFFSET 0: else an account with few policies, or one that had none a while ago, is read as a whole for each name.)
POLICIES = Statement(
    "identity_policies",
    """SELECT p.* FROM unnest($2::text[], $3::text[]) AS n (kind, owner)
       CROSS JOIN LATERAL (
           SELECT account_id, kind, owner, name, document, in_force, created_at FROM identity_policy i
           WHERE i.account_id = $1 AND i.kind = n.kind AND i.owner = n.owner OFFSET 0) AS p
       ORDER BY p.kind, p.owner, p.name""",
    TEXT,
    TEXT_ARRAY,
    TEXT_ARRAY,
)
_LINK: Final = "SELECT l.account_id, l.kind, l.owner, l.link, l.target "
LINKS = Statement(
    "identity_links",
    """SELECT l.* FROM unnest($2::text[], $3::text[]) AS n (kind, owner)
       CROSS JOIN LATERAL ("""
    + _LINK
    + """FROM identity_link l
         WHERE l.account_id = $1 AND l.kind = n.kind AND l.owner = n.owner OFFSET 0) AS l
       ORDER BY l.kind, l.owner, l.link, l.target""",
    TEXT,
    TEXT_ARRAY,
    TEXT_ARRAY,
)
LINKED = Statement(
    "identity_linked",
    _LINK + "FROM identity_link l WHERE l.account_id = $1 AND l.link = $2 AND l.target = $3 ORDER BY l.kind, l.owner",
    TEXT,
    TEXT,
    TEXT,
)
LINK_COUNTS = Statement(
    "identity_link_counts",
    """SELECT link, target, count(*) FROM identity_link
       WHERE account_id = $1 AND link IN ('policy', 'boundary') GROUP BY link, target""",
    TEXT,
)
_KEY: Final = """SELECT access_key, account_id, owner, secret, active, created_at,
                        last_used_at, last_used_service, last_used_region FROM access_key """
FIND_KEY = Statement("access_key_find", _KEY + "WHERE access_key = $1", TEXT)
# They are few, and sorted behind: a table in the order of its keys might be walked as a whole.
KEYS = Statement("access_key_list", _KEY + "WHERE account_id = $1 AND owner = $2", TEXT, TEXT)
USED = Statement(
    "access_key_used",
    """UPDATE access_key k SET last_used_at = n.at, last_used_service = n.service, last_used_region = $4
       FROM (SELECT * FROM unnest($1::text[], $2::timestamptz[], $3::text[]) AS u (access_key, at, service)
             ORDER BY access_key) AS n
       WHERE k.access_key = ANY (ARRAY[n.access_key]) AND (k.last_used_at IS NULL OR k.last_used_at < n.at)""",
    TEXT_ARRAY,
    TIMESTAMPTZ_ARRAY,
    TEXT_ARRAY,
    TEXT,
)
KEY_PAGE = Statement("access_key_page", _KEY + "WHERE access_key > $1 ORDER BY access_key LIMIT $2", TEXT, INT4)
# Rotation writes the same secret under another key: nothing changes for anybody, and a key that changed is left.
RESEAL = Statement(
    "access_key_reseal",
    "UPDATE access_key SET secret = $3 WHERE access_key = $1 AND secret = $2",
    TEXT,
    BYTEA,
    BYTEA,
)

Names = Sequence[tuple[str, str]]
"""(kind, folded name) of identities of one account."""


class IdentityTables:
    """The tables of accounts and identities."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._changing = asyncio.Lock()

    async def number(self) -> int:
        """Which state the identities are in. What is read later is not older than this."""
        number: int = (await self._pool.repeat(NUMBER))[0][0]
        return number

    async def commit(self, number: int, steps: Sequence[Step]) -> bool:
        """Make the changes; False, and nothing was changed: the number is another one."""
        try:
            await self._pool.transact((TURN, (number,)), *steps)
        except psycopg.errors.NotNullViolation:
            return False
        except ConnectionLost as lost:
            raise Unavailable("the connection to Postgres was lost") from lost
        return True

    async def change(self, decide: Callable[[list[Step]], Awaitable[T]]) -> T:
        """Let `decide` read what it needs and list its changes, again and again until nothing came in between.

        Those that lost once go one after the other within a process, so that only gates compete.
        """
        done, answer = await self._try(decide)
        if done:
            return answer
        async with self._changing:
            for _ in range(TRIES):
                done, answer = await self._try(decide)
                if done:
                    return answer
        raise Unavailable("the identities change all the time")

    async def _try(self, decide: Callable[[list[Step]], Awaitable[T]]) -> tuple[bool, T]:
        number = await self.number()
        steps: list[Step] = []
        answer = await decide(steps)
        return not steps or await self.commit(number, steps), answer

    async def make_main(self, account_id: str, canonical_id: str, name: str) -> None:
        """See to it that there is a main account; one that is there stays as it is."""
        await self._pool.repeat(MAKE_MAIN, account_id, canonical_id, name)

    async def accounts(self) -> list[AccountRow]:
        """All of them: an installation has few."""
        return [AccountRow._make(row) for row in await self._pool.repeat(ACCOUNTS)]

    async def find(self, account_id: str, kind: str, folded: str) -> IdentityRow | None:
        """An identity by its name in lower case."""
        rows = await self._pool.repeat(FIND, account_id, kind, folded) if _storable(folded) else []
        return IdentityRow._make(rows[0]) if rows else None

    async def find_by_id(self, identity_id: str) -> IdentityRow | None:
        """An identity by its unique id, of any account. Not for what is asked often: there is no index."""
        rows = await self._pool.repeat(FIND_BY_ID, identity_id)
        return IdentityRow._make(rows[0]) if rows else None

    async def below(self, account_id: str, kind: str, path: str, after: str, limit: int) -> list[IdentityRow]:
        """Identities below a path in the order of their names in lower case, after a name."""
        if not (_storable(path) and _storable(after)):
            return []
        rows = await self._pool.repeat(LIST, account_id, kind, path, after, limit)
        return [IdentityRow._make(row) for row in rows]

    async def count(self, account_id: str) -> dict[str, int]:
        """How many there are of each kind."""
        rows = await self._pool.repeat(COUNT, account_id)
        return {row[0]: row[1] for row in rows}

    async def policies(self, account_id: str, names: Names) -> list[PolicyRow]:
        """Inline policies of users, groups and roles; all versions of managed policies."""
        rows = await self._pool.repeat(POLICIES, account_id, *_columns(names)) if names else []
        return [PolicyRow._make(row) for row in rows]

    async def links(self, account_id: str, names: Names) -> list[LinkRow]:
        """What these identities are linked to."""
        rows = await self._pool.repeat(LINKS, account_id, *_columns(names)) if names else []
        return [LinkRow._make(row) for row in rows]

    async def linked(self, account_id: str, link: str, target: str) -> list[LinkRow]:
        """The identities that are linked to this: members of a group, bearers of a policy."""
        rows = await self._pool.repeat(LINKED, account_id, link, target) if _storable(target) else []
        return [LinkRow._make(row) for row in rows]

    async def link_counts(self, account_id: str) -> dict[tuple[str, str], int]:
        """(link, policy ARN): how many have it."""
        return {(link, target): count for link, target, count in await self._pool.repeat(LINK_COUNTS, account_id)}

    async def find_key(self, access_key: str) -> KeyRow | None:
        """An access key of any account."""
        rows = await self._pool.repeat(FIND_KEY, access_key) if _storable(access_key) else []
        return KeyRow._make(rows[0]) if rows else None

    async def keys(self, account_id: str, owner: str) -> list[KeyRow]:
        """The access keys of a user, or of the root for an empty name."""
        return sorted(KeyRow._make(row) for row in await self._pool.repeat(KEYS, account_id, owner))

    async def note_used(self, used: Sequence[tuple[str, datetime, str]], region: str) -> None:
        """When these access keys were last used, and for which service."""
        await self._pool.repeat(USED, *(list(column) for column in zip(*used, strict=True)), region)

    async def key_page(self, after: str, limit: int) -> list[KeyRow]:
        """Access keys of all accounts in their order, after one."""
        return [KeyRow._make(row) for row in await self._pool.repeat(KEY_PAGE, after, limit)]

    async def reseal(self, access_key: str, old: bytes, new: bytes) -> None:
        """The same secret, sealed anew."""
        await self._pool.repeat(RESEAL, access_key, old, new)


def _columns(names: Names) -> tuple[list[str], list[str]]:
    return [kind for kind, _ in names], [folded for _, folded in names]


def _storable(text: str) -> bool:
    """Whether Postgres' text can hold this at all; no name of ours is anything else."""
    return text.isascii() and "\0" not in text
