"""Whom a policy names: AWS keeps none that names somebody who does not exist, and keeps whom it meant, not the name."""

from __future__ import annotations

from s3gate.catalog.identity_rows import ROLE, USER, IdentityRow, fold
from s3gate.iam.kept import pack, unpack, with_principals
from s3gate.iam.principal import is_unique_id, parse_arn
from s3gate.iam.statement import Policy
from s3gate.identity.identities import Identities
from s3gate.identity.naming import arn_of

_ROLE_SESSION = "assumed-role"
_FEDERATED_USER = "federated-user"


class UnknownPrincipal(Exception):
    """The first that does not exist: how the policy lists it (AWS, CanonicalUser), and its name."""

    def __init__(self, listed_as: str, name: str) -> None:
        super().__init__(listed_as, name)
        self.listed_as, self.name = listed_as, name


async def as_kept(identities: Identities, document: bytes, policy: Policy) -> bytes:
    """The document with those whom it means. Raises UnknownPrincipal."""
    named = [each.principals for each in policy.statements if each.principals is not None]
    accounts = await identities.accounts()
    canonical_ids = {row.canonical_id for row in accounts.values()}
    for principals in named:
        for account_id in sorted(principals.accounts - accounts.keys()):
            raise UnknownPrincipal("AWS", account_id)
        for canonical_id in sorted(principals.canonical_ids - canonical_ids):
            raise UnknownPrincipal("CanonicalUser", canonical_id)
    ids: dict[str, str] = {}
    for name in sorted(frozenset().union(*(principals.arns for principals in named))):
        found = await _id_of(identities, name)
        if found is None:
            raise UnknownPrincipal("AWS", name)
        if found:
            ids[name] = found
    return pack(document, ids)


async def as_shown(identities: Identities, kept: bytes) -> bytes:
    """The document with the names that its principals have now, and the ids of those that are gone."""
    document, ids = unpack(kept)
    names = {arn: await _name_of(identities, arn, unique_id) for arn, unique_id in ids.items()}
    if all(arn == name for arn, name in names.items()):
        return document
    return with_principals(document, names)


async def _id_of(identities: Identities, name: str) -> str | None:
    """The unique id behind an ARN; empty for what is as it is written, None for nobody."""
    if is_unique_id(name):
        return None if await identities.tables.find_by_id(name) is None else ""
    account_id, kind, _, _ = parse_arn(name)
    if kind == _FEDERATED_USER:  # who will be called so, nobody knows
        return "" if account_id in await identities.accounts() else None
    row, session = await _named(identities, name)
    return None if row is None else row.identity_id + session


async def _named(identities: Identities, arn: str) -> tuple[IdentityRow | None, str]:
    """The user or role of this ARN; of a role's session the role, and ":" with the session's name."""
    account_id, kind, path, name = parse_arn(arn)
    session = ""
    if kind == _ROLE_SESSION:
        kind, name, path, session = ROLE, path.strip("/"), "", f":{name}"
    row = await identities.tables.find(account_id, kind, fold(name))
    if row is None or kind not in (USER, ROLE) or row.name != name or path not in ("", row.path):
        return None, session
    return row, session


async def _name_of(identities: Identities, arn: str, unique_id: str) -> str:
    row, session = await _named(identities, arn)
    if row is not None and row.identity_id + session == unique_id:
        return arn
    row = None if session else await identities.tables.find_by_id(unique_id)
    return unique_id if row is None else arn_of(row)
