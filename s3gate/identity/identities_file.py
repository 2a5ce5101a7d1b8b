"""The identities file: what it may say, read into values or refused with the place where it is wrong. Pure.

{"accounts": [{"id": "111111111111", "canonical_id": "64 hex", "name": "main", "email": "main@example.com",
               "keys": [{"access_key": "...", "secret_key": "..."}],
               "users": [{"name": "...", "path": "/", "keys": [...], "policies": ["...", {...}]}],
               "kms_keys": ["testkey-1"]}]}
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

_ACCOUNT_ID = re.compile(r"[0-9]{12}").fullmatch
_CANONICAL_ID = re.compile(r"[0-9a-f]{64}").fullmatch
_NAME = re.compile(r"[\w+=,.@-]{1,64}", re.ASCII).fullmatch
_PATH = re.compile(r"/|/[\x21-\x7e]{1,510}/").fullmatch
_ACCESS_KEY = re.compile(
    r"[\x21-\x2b\x2d\x2e\x30-\x7e]{3,128}"
).fullmatch  # neither "," nor "/": they end it in a header
_SECRET = re.compile(r"[\x21-\x7e]{8,128}").fullmatch


class BadFile(ValueError):
    """The file says something that cannot be; the message says where."""


@dataclass(frozen=True, slots=True)
class GivenKey:
    """A key pair; without a secret one is made, or the one that is there is kept."""

    access_key: str
    secret_key: str = ""

    def __repr__(self) -> str:
        return f"GivenKey({self.access_key})"


@dataclass(frozen=True, slots=True)
class GivenUser:
    """A user; what is None or empty was not said and stays as it is."""

    name: str
    path: str
    keys: tuple[GivenKey, ...] | None
    policies: tuple[str, ...] | None
    """Names or ARNs of managed policies, and documents as JSON text."""


@dataclass(frozen=True, slots=True)
class GivenAccount:
    """An account; what is empty was not said."""

    account_id: str
    canonical_id: str
    name: str
    email: str
    keys: tuple[GivenKey, ...] | None
    users: tuple[GivenUser, ...]
    kms_keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Given:
    """The whole file."""

    accounts: tuple[GivenAccount, ...]

    @property
    def kms_keys(self) -> tuple[str, ...]:
        """Of all accounts: one file holds them for the whole installation."""
        return tuple(dict.fromkeys(name for account in self.accounts for name in account.kms_keys))


def read(text: str) -> Given:
    """What a file says. Raises BadFile, which quotes no secret."""
    try:
        found = json.loads(text)
    except ValueError as error:
        raise BadFile(f"it is not JSON: {error}") from None
    top = _Part(found, "the file", {"accounts"})
    accounts = tuple(_account(one, f"accounts[{n}]") for n, one in enumerate(top.list("accounts") or ()))
    _check_given_once(accounts)
    return Given(accounts)


def _check_given_once(accounts: tuple[GivenAccount, ...]) -> None:
    """A key is somebody's, an e-mail address finds one account, and a user is described in one place."""
    users = [(account, user) for account in accounts for user in account.users]
    owners = [*(account.keys for account in accounts), *(user.keys for _, user in users)]
    said = [f"the access key {key.access_key}" for keys in owners for key in keys or ()]
    said += [f"the e-mail address {account.email.lower()}" for account in accounts if account.email]
    said += [f"the account {account.account_id}" for account in accounts if account.account_id]
    said += [f"the user {user.name.lower()} of account {account.account_id or account.name}" for account, user in users]
    for one, times in Counter(said).items():
        if times > 1:
            raise BadFile(f"{one} is given twice")


class _Part:
    """One object of the file, and where it stands."""

    def __init__(self, found: Any, where: str, names: set[str]) -> None:
        if not isinstance(found, dict):
            raise BadFile(f"{where}: expected an object")
        if unknown := sorted(found.keys() - names):
            raise BadFile(f"{where}: {', '.join(unknown)} means nothing here")
        self._found = found
        self.where = where

    def text(self, name: str, fits: Any, expected: str) -> str:
        value = self._found.get(name)
        if value is None:
            return ""
        if not isinstance(value, str) or (fits is not None and not fits(value)):
            raise BadFile(f"{self.where}.{name}: expected {expected}")
        return value

    def list(self, name: str) -> list[Any] | None:
        value = self._found.get(name)
        if value is not None and not isinstance(value, list):
            raise BadFile(f"{self.where}.{name}: expected a list")
        return value


def _account(found: Any, where: str) -> GivenAccount:
    part = _Part(found, where, {"id", "canonical_id", "name", "email", "keys", "users", "kms_keys"})
    kms_keys = tuple(part.list("kms_keys") or ())
    if not all(isinstance(one, str) for one in kms_keys):
        raise BadFile(f"{where}.kms_keys: expected names")
    account = GivenAccount(
        part.text("id", _ACCOUNT_ID, "twelve digits"),
        part.text("canonical_id", _CANONICAL_ID, "64 hexadecimal digits in lower case"),
        part.text("name", None, "a name"),
        part.text("email", None, "an address"),
        _keys(part),
        tuple(_user(one, f"{where}.users[{n}]") for n, one in enumerate(part.list("users") or ())),
        kms_keys,
    )
    if not (account.account_id or account.name or account.keys):
        raise BadFile(f"{where}: give an id, a name or a key")
    return account


def _user(found: Any, where: str) -> GivenUser:
    part = _Part(found, where, {"name", "path", "keys", "policies"})
    name = part.text("name", _NAME, "up to 64 letters, digits and +=,.@_-")
    if not name:
        raise BadFile(f"{where}.name: expected a name")
    policies = part.list("policies")
    given = None if policies is None else tuple(_policy(one, where) for one in policies)
    return GivenUser(name, part.text("path", _PATH, "a path that begins and ends with /"), _keys(part), given)


def _policy(found: Any, where: str) -> str:
    if isinstance(found, dict):
        return json.dumps(found)
    if isinstance(found, str) and found:
        return found
    raise BadFile(f"{where}.policies: expected names, ARNs or documents")


def _keys(part: _Part) -> tuple[GivenKey, ...] | None:
    listed = part.list("keys")
    if listed is None:
        return None
    keys = []
    for number, one in enumerate(listed):
        key = _Part(one, f"{part.where}.keys[{number}]", {"access_key", "secret_key"})
        access_key = key.text("access_key", _ACCESS_KEY, "3 to 128 printable characters without comma and slash")
        if not access_key:
            raise BadFile(f"{key.where}.access_key: expected an access key")
        keys.append(GivenKey(access_key, key.text("secret_key", _SECRET, "8 to 128 printable characters")))
    return tuple(keys)
