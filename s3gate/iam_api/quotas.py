"""How much of everything an account may have: AWS's quotas, the raised ones where it raises them on request."""

from __future__ import annotations

from typing import Final

from s3gate.catalog.identity_rows import GROUP, POLICY, PROVIDER, ROLE, USER
from s3gate.iam_api.errors import limit
from s3gate.iam_api.query import Query

KEYS_PER_USER: Final = 2
ATTACHED_PER_ENTITY: Final = 10
VERSIONS_PER_POLICY: Final = 5
GROUPS_PER_USER: Final = 10
INLINE_CHARACTERS: Final = {USER: 2048, GROUP: 5120, ROLE: 10240}
POLICY_CHARACTERS: Final = 6144
TRUST_CHARACTERS: Final = 4096

PER_ACCOUNT: Final = {
    USER: ("UsersPerAccount", 5000),
    GROUP: ("GroupsPerAccount", 500),
    ROLE: ("RolesPerAccount", 5000),
    POLICY: ("PoliciesPerAccount", 5000),
    PROVIDER: ("OpenIdConnectProvidersPerAccount", 100),
}


async def check_quota(query: Query, kind: str) -> None:
    """LimitExceeded, when the account has as many of these as it may."""
    name, most = PER_ACCOUNT[kind]
    if (await query.tables.count(query.account_id)).get(kind, 0) >= most:
        raise limit(name, most)
