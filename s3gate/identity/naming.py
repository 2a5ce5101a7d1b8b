"""How AWS names things of an account: ids with their prefixes, ARNs, key pairs. Pure but for random letters."""

from __future__ import annotations

import hashlib
import secrets
import string
from typing import Final

from s3gate.catalog.identity_rows import GROUP, POLICY, PROVIDER, ROLE, USER, IdentityRow

MAIN_ACCOUNT_ID: Final = "000000000000"
"""Of the installation's account, unless an identities file says otherwise."""
MAIN_CANONICAL_ID: Final = hashlib.sha256(b"s3gate account: root").hexdigest()
MANAGED: Final = "arn:aws:iam::aws:policy/"

_ID_LETTERS: Final = string.ascii_uppercase + "234567"
_SECRET_LETTERS: Final = string.ascii_letters + string.digits + "+/"
_PREFIXES: Final = {USER: "AIDA", GROUP: "AGPA", ROLE: "AROA", POLICY: "ANPA", PROVIDER: ""}
LASTING: Final = "AKIA"
TEMPORARY: Final = "ASIA"


def canonical_id(account_id: str) -> str:
    """What an account is called in ACLs, when nobody has said."""
    return hashlib.sha256(b"s3gate account: " + account_id.encode("ascii")).hexdigest()


def account_id_of(name: str) -> str:
    """A number for an account of which only the name is known: the same whenever it is asked for."""
    return f"{int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) % 899_999_999_999 + 100_000_000_000}"


def new_identity_id(kind: str) -> str:
    """AIDA… for users, and so on."""
    return _PREFIXES[kind] + _random(_ID_LETTERS, 17)


def new_access_key(prefix: str = LASTING) -> str:
    """Twenty letters, the first four of which tell lasting keys from temporary ones."""
    return prefix + _random(_ID_LETTERS, 16)


def new_secret() -> str:
    """Forty letters."""
    return _random(_SECRET_LETTERS, 40)


def identity_arn(account_id: str, kind: str, path: str, name: str) -> str:
    """A user, group, role or policy below its path; a provider by its address."""
    what = f"oidc-provider/{name}" if kind == PROVIDER else f"{kind}{path}{name}"
    return f"arn:aws:iam::{account_id}:{what}"


def arn_of(row: IdentityRow) -> str:
    """As identity_arn, of a row."""
    return identity_arn(row.account_id, row.kind, row.path, row.name)


def _random(letters: str, length: int) -> str:
    return "".join(secrets.choice(letters) for _ in range(length))
