"""Making accounts, users and keys as an identities file gives them. It may run again: what is so already is left alone.

Of what the file lists it has the last word: a user's keys and policies that it does not name are taken away, where it
names any list at all. What it does not list stays: other accounts, other users.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from s3gate.catalog import identity_changes as changes
from s3gate.catalog.connection import Step
from s3gate.catalog.identity_rows import ATTACHED, POLICY, USER, AccountRow, IdentityRow, KeyRow, LinkRow, PolicyRow
from s3gate.iam.policy import parse
from s3gate.identity import naming
from s3gate.identity.bearing import policy_name
from s3gate.identity.documents import written
from s3gate.identity.identities import Identities
from s3gate.identity.identities_file import BadFile, Given, GivenAccount, GivenKey, GivenUser
from s3gate.identity.managed import BY_ARN, BY_NAME

INLINE_NAME: Final = "given-{}"
Say = Callable[[str], None]


async def apply(identities: Identities, given: Given, say: Say) -> None:
    """Make everything as given; `say` is told what was made, and secrets that were made."""
    await identities.start()
    for account in given.accounts:
        row = await _account(identities, account)
        await _Account(identities, row, say).make(account)


async def _account(identities: Identities, given: GivenAccount) -> AccountRow:
    tables = identities.tables

    async def decide(steps: list[Step]) -> AccountRow:
        rows = await tables.accounts()
        old = _recognised(identities, given, rows)
        new = _wanted(given, old, identities)
        clash = next((row for row in rows if row is not old and row.account_id == new.account_id), None)
        same = next((row for row in rows if row is not old and row.canonical_id == new.canonical_id), None)
        if clash is not None or same is not None:
            raise BadFile(f"account {new.account_id} has an id that another account has")
        if old is None or old._replace(created_at=new.created_at) != new:
            moved = old is not None and (old.account_id, old.canonical_id) != (new.account_id, new.canonical_id)
            steps += changes.renumber_account(old, new) if old is not None and moved else changes.put_account(new)
        return new

    return await tables.change(decide)


def _recognised(identities: Identities, given: GivenAccount, rows: list[AccountRow]) -> AccountRow | None:
    """By the installation's root key, by its id, by its name."""
    if any(key.access_key == identities.root_access_key for key in given.keys or ()):
        return next(row for row in rows if row.is_main)
    if given.account_id:
        return next((row for row in rows if row.account_id == given.account_id), None)
    return next((row for row in rows if row.name == given.name), None)


def _wanted(given: GivenAccount, old: AccountRow | None, identities: Identities) -> AccountRow:
    if old is not None:
        return old._replace(
            account_id=given.account_id or old.account_id,
            canonical_id=given.canonical_id or old.canonical_id,
            name=given.name or old.name,
            email=given.email or old.email,
        )
    account_id = given.account_id or naming.account_id_of(given.name or (given.keys or ())[0].access_key)
    canonical_id = given.canonical_id or naming.canonical_id(account_id)
    return AccountRow(account_id, canonical_id, given.name or account_id, given.email, "", False, identities.now())


class _Account:
    """What is made in one account."""

    def __init__(self, identities: Identities, account: AccountRow, say: Say) -> None:
        self._identities = identities
        self._tables = identities.tables
        self._account = account
        self._say = say

    async def make(self, given: GivenAccount) -> None:
        """One transaction; messages only once it has been made."""
        messages: list[str] = []

        async def decide(steps: list[Step]) -> None:
            messages.clear()
            if given.keys is not None:
                await self._keys("", given.keys, steps, messages)
            for user in given.users:
                await self._user(user, steps, messages)

        await self._tables.change(decide)
        for message in messages:
            self._say(message)

    async def _user(self, given: GivenUser, steps: list[Step], messages: list[str]) -> None:
        account_id, now = self._account.account_id, self._identities.now()
        user = await self._tables.find(account_id, USER, given.name.lower())
        if user is None:
            user_id = naming.new_identity_id(USER)
            user = IdentityRow(account_id, USER, given.name, user_id, given.path or "/", written(), now)
            steps += changes.put_identity(user)
            messages.append(f"made user {given.name} of account {account_id}")
        elif given.path not in ("", user.path):
            user = user._replace(path=given.path)
            steps += changes.put_identity(user)
        if given.keys is not None:
            await self._keys(user.folded, given.keys, steps, messages)
        if given.policies is not None:
            await self._policies(user, given.policies, steps)

    async def _keys(self, owner: str, given: tuple[GivenKey, ...], steps: list[Step], messages: list[str]) -> None:
        listed = {key.access_key for key in given}
        for row in await self._tables.keys(self._account.account_id, owner):
            if row.access_key not in listed:
                steps += changes.drop_key(row.access_key)
        for key in given:
            if key.access_key == self._identities.root_access_key:
                if owner or not self._account.is_main:
                    raise BadFile("the installation's root key can be the main account's only")
                continue
            await self._key(owner, key, steps, messages)

    async def _key(self, owner: str, given: GivenKey, steps: list[Step], messages: list[str]) -> None:
        row = await self._tables.find_key(given.access_key)
        there = "" if row is None else self._identities.secret_of(row)
        secret = given.secret_key or there
        if not secret:
            secret = naming.new_secret()
            messages.append(f"made the secret of access key {given.access_key}: {secret}")
        account_id = self._account.account_id
        if row is not None and (row.account_id, row.owner, row.active, there) == (account_id, owner, True, secret):
            return
        sealed = self._identities.sealed(secret, given.access_key)
        steps += changes.put_key(KeyRow(given.access_key, account_id, owner, sealed, True, self._identities.now()))

    async def _policies(self, user: IdentityRow, given: tuple[str, ...], steps: list[Step]) -> None:
        """The listed policies, attached or inline, and no others."""
        names = [(user.kind, user.folded)]
        attached = {row for row in await self._tables.links(user.account_id, names) if row.link == ATTACHED}
        inline = {row.name: row for row in await self._tables.policies(user.account_id, names)}
        wanted: set[LinkRow] = set()
        for number, text in enumerate(given, 1):
            if not text.lstrip().startswith("{"):
                arn = await self._arn(text)
                wanted.add(LinkRow(user.account_id, user.kind, user.folded, ATTACHED, arn))
                continue
            parse(text, "identity")
            name, document = INLINE_NAME.format(number), text.encode()
            old = inline.pop(name, None)
            if old is None or old.document != document:
                now = self._identities.now()
                row = PolicyRow(user.account_id, user.kind, user.folded, name, document, True, now)
                steps += changes.put_policy(row)
        for link in sorted(wanted - attached):
            steps += changes.put_link(link)
        for link in sorted(attached - wanted):
            steps += changes.drop_link(link)
        for row in inline.values():
            steps += changes.drop_policy(row)

    async def _arn(self, text: str) -> str:
        """The managed policy that is meant by a name or an ARN."""
        if text in BY_ARN:
            return text
        own = await self._tables.find(self._account.account_id, POLICY, policy_name(text))
        if own is not None and text in (own.name, naming.arn_of(own)):
            return naming.arn_of(own)
        if text.lower() in BY_NAME:
            return BY_NAME[text.lower()].arn
        raise BadFile(f"there is no managed policy {text}")
