"""Who asks: an account's root, a user of it, a session of a role, or nobody in particular.

This file knows how AWS names principals and nothing of keys, policies or where principals are kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

ACCOUNT_ID = re.compile(r"[0-9]{12}").fullmatch
_ENTITY_ARN = re.compile(
    r"arn:aws:iam::[0-9]{12}:(root|user/[\x21-\x7e]+|role/[\x21-\x7e]+)"
    r"|arn:aws:sts::[0-9]{12}:(assumed-role|federated-user)/[\x21-\x7e]+"
).fullmatch
_PROVIDER = re.compile(
    r"arn:aws:iam::[0-9]{12}:(oidc|saml)-provider/[\x21-\x7e]+"
    r"|accounts\.google\.com|cognito-identity\.amazonaws\.com|graph\.facebook\.com|www\.amazon\.com"
).fullmatch
_SERVICE = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*\.amazonaws\.com(\.cn)?").fullmatch
_UNIQUE_ID = re.compile(r"A(IDA|ROA)[A-Z0-9]{12,28}").fullmatch


class Kind(Enum):
    """The value is what aws:PrincipalType says."""

    ANONYMOUS = "Anonymous"
    ROOT = "Account"
    USER = "User"
    ROLE_SESSION = "AssumedRole"
    FEDERATED_USER = "FederatedUser"


@dataclass(frozen=True, slots=True)
class Principal:
    """One who asks. `arn` is a session's own ARN; `role_arn` and `role_id` are of the role it was assumed from,
    or of the user that stands behind a federated one."""

    kind: Kind
    account_id: str
    canonical_id: str
    """Of the account: ACLs know accounts and nobody in them."""
    arn: str
    user_id: str
    name: str = ""
    """Of a user, which aws:username says; a session's name is in its ARN."""
    role_arn: str = ""
    role_id: str = ""
    source_identity: str = ""
    """What a role's session says of who is behind it; later sessions inherit it."""
    provider: str = ""
    """The ARN of the identity provider that vouched for a role's session."""
    tags: Mapping[str, str] = field(default_factory=dict, hash=False)
    claims: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    """What the provider's token said, by condition key in lower case: policies go on asking for it."""

    @property
    def is_anonymous(self) -> bool:
        return self.kind is Kind.ANONYMOUS

    @property
    def is_root(self) -> bool:
        """Root of some account, not of every one."""
        return self.kind is Kind.ROOT

    @property
    def entity_arn(self) -> str:
        """What aws:PrincipalArn says: of a session, its role."""
        return self.role_arn if self.kind is Kind.ROLE_SESSION else self.arn

    @property
    def is_limited(self) -> bool:
        """Whether what is given to everybody is given to it only as far as its session's policy goes."""
        return self.kind in (Kind.ROLE_SESSION, Kind.FEDERATED_USER)


ANONYMOUS = Principal(Kind.ANONYMOUS, "", "", "", "anonymous")


def root(account_id: str, canonical_id: str) -> Principal:
    """The account itself."""
    return Principal(Kind.ROOT, account_id, canonical_id, root_arn(account_id), account_id)


def user(
    account_id: str,
    canonical_id: str,
    name: str,
    user_id: str,
    *,
    path: str = "/",
    tags: Mapping[str, str] | None = None,
) -> Principal:
    """A user of the account."""
    arn = user_arn(account_id, name, path)
    return Principal(Kind.USER, account_id, canonical_id, arn, user_id, name, tags=tags or {})


def role_session(
    account_id: str,
    canonical_id: str,
    role_name: str,
    role_id: str,
    session_name: str,
    *,
    path: str = "/",
    tags: Mapping[str, str] | None = None,
    source_identity: str = "",
    provider: str = "",
    claims: Mapping[str, tuple[str, ...]] | None = None,
) -> Principal:
    """Whoever assumed the role, for as long as the session lasts. A session's ARN has no path."""
    return Principal(
        Kind.ROLE_SESSION,
        account_id,
        canonical_id,
        f"arn:aws:sts::{account_id}:assumed-role/{role_name}/{session_name}",
        f"{role_id}:{session_name}",
        role_arn=role_arn(account_id, role_name, path),
        role_id=role_id,
        source_identity=source_identity,
        provider=provider,
        tags=tags or {},
        claims=claims or {},
    )


def federated_user(behind: Principal, name: str, tags: Mapping[str, str]) -> Principal:
    """Somebody of this name, for whom a user or the root of an account got temporary credentials."""
    account_id = behind.account_id
    arn = f"arn:aws:sts::{account_id}:federated-user/{name}"
    user_id = f"{account_id}:{name}"
    by_arn, by_id = (behind.arn, behind.user_id) if behind.kind is Kind.USER else ("", "")
    return Principal(Kind.FEDERATED_USER, account_id, behind.canonical_id, arn, user_id, "", by_arn, by_id, tags=tags)


def root_arn(account_id: str) -> str:
    return f"arn:aws:iam::{account_id}:root"


def user_arn(account_id: str, name: str, path: str = "/") -> str:
    return f"arn:aws:iam::{account_id}:user{path}{name}"


def role_arn(account_id: str, name: str, path: str = "/") -> str:
    return f"arn:aws:iam::{account_id}:role{path}{name}"


def is_principal_arn(text: str) -> bool:
    """Whether a policy may name somebody so. There are no wildcards in the names of principals."""
    return _ENTITY_ARN(text) is not None and "*" not in text and "?" not in text


def is_unique_id(text: str) -> bool:
    """Whether it is the id of a user or role, which AWS shows in place of one that was deleted."""
    return _UNIQUE_ID(text) is not None


def is_provider(text: str) -> bool:
    """Whether an identity provider is named so."""
    return _PROVIDER(text) is not None


def is_service(text: str) -> bool:
    """Whether a service of AWS is named so."""
    return _SERVICE(text) is not None


def parse_arn(arn: str) -> tuple[str, str, str, str]:
    """Account, kind, path (with its slashes) and name of a principal that is named by its ARN."""
    account_id, entity = arn.split(":", 5)[4:]
    kind, _, rest = entity.partition("/")
    path, _, name = rest.rpartition("/")
    return account_id, kind, f"/{path}/" if path else "/", name
