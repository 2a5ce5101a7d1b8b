"""What the tables of identities hold, as values. Documents and secrets are opaque here."""

from __future__ import annotations

from datetime import datetime
from typing import Final, NamedTuple

USER: Final = "user"
GROUP: Final = "group"
ROLE: Final = "role"
POLICY: Final = "policy"
PROVIDER: Final = "provider"

MEMBER_OF: Final = "group"
ATTACHED: Final = "policy"
BOUNDARY: Final = "boundary"


class AccountRow(NamedTuple):
    """An account; `is_main`: that of the installation's root key."""

    account_id: str
    canonical_id: str
    name: str
    email: str
    alias: str
    is_main: bool
    created_at: datetime


class IdentityRow(NamedTuple):
    """A user, group, role, managed policy or OIDC provider."""

    account_id: str
    kind: str
    name: str
    identity_id: str
    path: str
    document: bytes
    created_at: datetime

    @property
    def folded(self) -> str:
        """How other rows name it."""
        return fold(self.name)


class PolicyRow(NamedTuple):
    """An inline policy of `owner`, or a version of the managed policy `owner`."""

    account_id: str
    kind: str
    owner: str
    name: str
    document: bytes
    in_force: bool
    created_at: datetime


class LinkRow(NamedTuple):
    """A membership, an attachment or a boundary."""

    account_id: str
    kind: str
    owner: str
    link: str
    target: str


class KeyRow(NamedTuple):
    """An access key of a user, or of the account's root when `owner` is empty."""

    access_key: str
    account_id: str
    owner: str
    secret: bytes
    active: bool
    created_at: datetime
    last_used_at: datetime | None = None
    last_used_service: str = ""
    last_used_region: str = ""


def fold(name: str) -> str:
    """Names are ASCII, and no two differ by case alone."""
    return name.lower()
