"""Whom access keys stand for: the root of the main account, and whoever a test adds."""

from __future__ import annotations

from datetime import datetime

from s3gate.catalog.identity_rows import AccountRow, IdentityRow
from s3gate.iam.principal import root
from s3gate.identity.identity import Identity
from s3gate.identity.naming import MAIN_ACCOUNT_ID, MAIN_CANONICAL_ID
from s3gate.s3.credentials import Credential

ROOT_KEY = "ROOT"


class FakeTables:
    """Users and roles, by account, kind and folded name."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str, str], IdentityRow] = {}

    async def find(self, account_id: str, kind: str, folded: str) -> IdentityRow | None:
        return self.rows.get((account_id, kind, folded))


def root_with(access_key: str, secret_key: str) -> Identity:
    """The main account's root, by this key pair."""
    return Identity(root(MAIN_ACCOUNT_ID, MAIN_CANONICAL_ID), Credential(access_key, secret_key), 1)


class FakeIdentities:
    """Identities that never change by themselves."""

    def __init__(self, now: datetime) -> None:
        self.tables = FakeTables()
        self._accounts = {
            MAIN_ACCOUNT_ID: AccountRow(MAIN_ACCOUNT_ID, MAIN_CANONICAL_ID, "main", "", "", True, now),
        }
        self.known: dict[str, Identity] = {ROOT_KEY: root_with(ROOT_KEY, "secret")}

    def remembered(self, access_key: str) -> Identity | None:
        return self.known.get(access_key)

    async def find(self, access_key: str, token: str = "", at_least: int = 0) -> Identity | None:
        return self.known.get(access_key)

    async def current(self, access_key: str, token: str = "") -> Identity | None:
        return self.known.get(access_key)

    async def accounts(self, number: int | None = None) -> dict[str, AccountRow]:
        return self._accounts

    async def account_of(self, canonical_id: str, number: int) -> str:
        return next((row.account_id for row in self._accounts.values() if row.canonical_id == canonical_id), "")

    async def display_names(self, number: int) -> dict[str, str]:
        return {row.canonical_id: row.name for row in self._accounts.values()}

    def note_used(self, identity: Identity, service: str, now: datetime) -> None:
        """Nobody looks."""
