"""The account itself: its alias, and what it has."""

from __future__ import annotations

import re

from s3gate.catalog import identity_changes as changes
from s3gate.catalog.identity_rows import GROUP, POLICY, PROVIDER, ROLE, USER
from s3gate.iam.principal import root_arn
from s3gate.iam_api import quotas
from s3gate.iam_api.errors import exists, invalid, refusal
from s3gate.iam_api.query import Answer, Query
from s3gate.s3.xml_query import Entries

_ALIAS = re.compile(r"[a-z0-9](?:[a-z0-9]|-(?!-)){1,61}[a-z0-9]").fullmatch


async def get_account_summary(query: Query) -> Answer:
    query.allow("*")
    count = await query.tables.count(query.account_id)
    counts = await query.tables.link_counts(query.account_id)
    root_keys = len(await query.tables.keys(query.account_id, ""))
    is_main = (await query.account()).is_main
    found = Entries(
        {
            "Users": count.get(USER, 0),
            "UsersQuota": quotas.PER_ACCOUNT[USER][1],
            "Groups": count.get(GROUP, 0),
            "GroupsQuota": quotas.PER_ACCOUNT[GROUP][1],
            "Roles": count.get(ROLE, 0),
            "RolesQuota": quotas.PER_ACCOUNT[ROLE][1],
            "Policies": count.get(POLICY, 0),
            "PoliciesQuota": quotas.PER_ACCOUNT[POLICY][1],
            "PolicyVersionsInUse": sum(1 for _, arn in counts if arn),
            "Providers": count.get(PROVIDER, 0),
            "AccessKeysPerUserQuota": quotas.KEYS_PER_USER,
            "AccountAccessKeysPresent": int(bool(root_keys) or is_main),
            "AccountMFAEnabled": 0,
            "AccountSigningCertificatesPresent": 0,
            "AttachedPoliciesPerGroupQuota": quotas.ATTACHED_PER_ENTITY,
            "AttachedPoliciesPerRoleQuota": quotas.ATTACHED_PER_ENTITY,
            "AttachedPoliciesPerUserQuota": quotas.ATTACHED_PER_ENTITY,
            "GroupsPerUserQuota": quotas.GROUPS_PER_USER,
            "GroupPolicySizeQuota": quotas.INLINE_CHARACTERS[GROUP],
            "RolePolicySizeQuota": quotas.INLINE_CHARACTERS[ROLE],
            "UserPolicySizeQuota": quotas.INLINE_CHARACTERS[USER],
            "PolicySizeQuota": quotas.POLICY_CHARACTERS,
            "AssumeRolePolicySizeQuota": quotas.TRUST_CHARACTERS,
            "VersionsPerPolicyQuota": quotas.VERSIONS_PER_POLICY,
            "MFADevices": 0,
            "MFADevicesInUse": 0,
            "ServerCertificates": 0,
            "InstanceProfiles": 0,
        }
    )
    return {"SummaryMap": found}


async def list_account_aliases(query: Query) -> Answer:
    query.allow("*")
    alias = (await query.account()).alias
    return {"AccountAliases": [alias] if alias else [], "IsTruncated": False}


async def create_account_alias(query: Query) -> Answer:
    """In place of the one that there is."""
    alias = query.parameters.text("AccountAlias", 63, 3)
    if not _ALIAS(alias):
        raise invalid(
            "AccountAlias",
            alias,
            "Member must satisfy regular expression pattern: ^[a-z0-9]([a-z0-9]|-(?!-)){1,61}[a-z0-9]$",
        )
    query.allow(root_arn(query.account_id))
    for row in (await query.identities.accounts()).values():
        if row.alias == alias and row.account_id != query.account_id:
            raise exists(f"The account alias {alias} already exists.")
    query.steps += changes.put_account((await query.account())._replace(alias=alias))
    return None


async def delete_account_alias(query: Query) -> Answer:
    alias = query.parameters.text("AccountAlias", 63, 3)
    query.allow(root_arn(query.account_id))
    account = await query.account()
    if account.alias != alias:
        raise refusal("NoSuchEntity", f"The account alias {alias} cannot be found.")
    query.steps += changes.put_account(account._replace(alias=""))
    return None
