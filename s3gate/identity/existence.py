"""Whether those whom a policy names exist: AWS keeps no policy for somebody who may yet come."""

from __future__ import annotations

from s3gate.catalog.identity_rows import fold
from s3gate.iam.principal import parse_arn
from s3gate.iam.statement import Policy
from s3gate.identity.identities import Identities

_SESSION = "assumed-role"
_UNIQUE_ID = "A"
"""What stands for a principal that was deleted begins so, and not like an ARN."""


async def unknown_principal(identities: Identities, policy: Policy) -> tuple[str, str] | None:
    """The first that does not exist: how the policy lists it (AWS, CanonicalUser), and its name."""
    named = [each.principals for each in policy.statements if each.principals is not None]
    accounts = await identities.accounts()
    canonical_ids = {row.canonical_id for row in accounts.values()}
    for principals in named:
        for account_id in sorted(principals.accounts - accounts.keys()):
            return "AWS", account_id
        for canonical_id in sorted(principals.canonical_ids - canonical_ids):
            return "CanonicalUser", canonical_id
    for arn in sorted(frozenset().union(*(principals.arns for principals in named))):
        if not arn.startswith(_UNIQUE_ID) and not await _exists(identities, arn):
            return "AWS", arn
    return None


async def _exists(identities: Identities, arn: str) -> bool:
    account_id, kind, path, name = parse_arn(arn)
    if kind == _SESSION:  # of a role that is named by the first part; who will call the session what, nobody knows
        kind, name, path = "role", path.strip("/"), ""
    row = await identities.tables.find(account_id, kind, fold(name))
    return row is not None and row.name == name and path in ("", row.path)
