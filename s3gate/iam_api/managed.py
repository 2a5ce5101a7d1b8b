"""Managed policies: finding one by its ARN, be it the account's or AWS's."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, NamedTuple

from s3gate.catalog.identity_rows import ATTACHED, BOUNDARY, POLICY, IdentityRow, PolicyRow
from s3gate.iam_api.errors import invalid, refusal
from s3gate.iam_api.query import Query
from s3gate.identity.bearing import policy_name
from s3gate.identity.documents import said
from s3gate.identity.managed import ALL, BY_ARN, SINCE, VERSION, ManagedPolicy
from s3gate.identity.naming import arn_of

FIRST_VERSION: Final = "v1"


class Version(NamedTuple):
    """One document of a managed policy."""

    name: str
    document: bytes
    is_default: bool
    created_at: datetime


class Managed(NamedTuple):
    """A managed policy. `row` is None for one of AWS's, which nobody changes."""

    arn: str
    name: str
    policy_id: str
    path: str
    description: str
    created_at: datetime
    row: IdentityRow | None


def of_row(row: IdentityRow) -> Managed:
    """One of the account's."""
    description = str(said(row).get("description", ""))
    return Managed(arn_of(row), row.name, row.identity_id, row.path, description, row.created_at, row)


def of_aws(policy: ManagedPolicy) -> Managed:
    """One of AWS's."""
    return Managed(policy.arn, policy.name, policy.policy_id, policy.path, policy.description, SINCE, None)


def all_of_aws() -> list[Managed]:
    """In the order of their names."""
    return sorted(map(of_aws, ALL), key=lambda policy: policy.name.lower())


async def found(query: Query, arn: str) -> Managed:
    """The policy of this ARN, or NoSuchEntity."""
    if not arn.startswith("arn:"):
        raise refusal("InvalidInput", f"ARN {arn} is not valid.")
    policy = await found_in(query, query.account_id, arn)
    if policy is None:
        query.allow(arn)
        raise refusal("NoSuchEntity", f"Policy {arn} does not exist or is not attachable.")
    return policy


async def found_in(query: Query, account_id: str, arn: str) -> Managed | None:
    """The policy of this ARN, be it AWS's or this account's."""
    if arn in BY_ARN:
        return of_aws(BY_ARN[arn])
    row = await query.tables.find(account_id, POLICY, policy_name(arn))
    return None if row is None or arn_of(row) != arn else of_row(row)


async def asked(query: Query) -> Managed:
    """The one that the request names, once it is clear that the caller may do this to it."""
    policy = await found(query, query.parameters.arn("PolicyArn"))
    query.allow(policy.arn, policy.row)
    return policy


async def own(query: Query) -> tuple[Managed, IdentityRow]:
    """As `asked`, for changes: one of the account's."""
    policy = await asked(query)
    if policy.row is None:
        raise refusal("AccessDenied", f"Policy {policy.arn} is managed by AWS and cannot be changed.")
    return policy, policy.row


async def versions(query: Query, policy: Managed) -> list[Version]:
    """All documents of a policy, newest first."""
    if policy.row is None:
        return [Version(VERSION, BY_ARN[policy.arn].document, True, SINCE)]
    rows = await query.tables.policies(policy.row.account_id, [(POLICY, policy.row.folded)])
    return sorted(map(_version, rows), key=lambda one: -int(one.name[1:]))


def _version(row: PolicyRow) -> Version:
    return Version(row.name, row.document, row.in_force, row.created_at)


async def version(query: Query, policy: Managed) -> Version:
    """The one that the request names."""
    name = query.parameters.text("VersionId", 32)
    if name[:1] != "v" or not name[1:].isdecimal():
        raise invalid(
            "VersionId", name, r"Member must satisfy regular expression pattern: v[1-9][0-9]*(\.[A-Za-z0-9-]*)?"
        )
    for one in await versions(query, policy):
        if one.name == name:
            return one
    raise refusal("NoSuchEntity", f"Policy {policy.arn} version {name} does not exist or is not attachable.")


async def default(query: Query, policy: Managed) -> Version:
    """The one that is in force."""
    return next(one for one in await versions(query, policy) if one.is_default)


def shown(policy: Managed, current: Version, counts: dict[tuple[str, str], int], **more: Any) -> dict[str, Any]:
    """The element of a policy."""
    return {
        "PolicyName": policy.name,
        "PolicyId": policy.policy_id,
        "Arn": policy.arn,
        "Path": policy.path,
        "DefaultVersionId": current.name,
        "AttachmentCount": counts.get((ATTACHED, policy.arn), 0),
        "PermissionsBoundaryUsageCount": counts.get((BOUNDARY, policy.arn), 0),
        "IsAttachable": True,
        "CreateDate": policy.created_at,
        "UpdateDate": max(policy.created_at, current.created_at),
        **more,
    }
