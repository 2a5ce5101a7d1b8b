"""Roles and whom they trust."""

from __future__ import annotations

import json
from typing import Any, Final

from s3gate.catalog import identity_changes as changes
from s3gate.catalog.identity_rows import ATTACHED, BOUNDARY, ROLE, IdentityRow, LinkRow, fold
from s3gate.iam.kept import parse_kept
from s3gate.iam.policy import parse
from s3gate.iam.statement import Policy
from s3gate.iam_api import entities
from s3gate.iam_api.boundaries import wanted_boundary
from s3gate.iam_api.errors import conflict, exists, refusal
from s3gate.iam_api.query import Answer, Query
from s3gate.iam_api.quotas import TRUST_CHARACTERS, check_quota
from s3gate.identity.documents import changed, said, written
from s3gate.identity.existence import UnknownPrincipal, as_kept, as_shown
from s3gate.identity.naming import new_identity_id

LEAST_SECONDS: Final = 3600
MOST_SECONDS: Final = 43_200


def session_seconds(row: IdentityRow) -> int:
    """How long a session of the role may last."""
    return int(said(row).get("session_seconds", LEAST_SECONDS))


def trust_of(row: IdentityRow) -> Policy:
    """The trust policy."""
    return parse_kept(_kept_trust(row), "trust")


def _kept_trust(row: IdentityRow) -> bytes:
    return str(said(row)["trust"]).encode()


async def _trust(query: Query, parameter: str) -> str:
    document = query.parameters.document(parameter)
    try:
        policy = parse(document, "trust", limit=TRUST_CHARACTERS)
        return (await as_kept(query.identities, document.encode(), policy)).decode()
    except UnknownPrincipal as unknown:
        listed = ":".join(map(json.dumps, (unknown.listed_as, unknown.name)))
        raise refusal("MalformedPolicyDocument", f"Invalid principal in policy: {listed}") from None


async def _shown(query: Query, row: IdentityRow, boundary: str = "", *, whole: bool = True) -> dict[str, Any]:
    words = said(row)
    return {
        **entities.shown(row, boundary, tags=whole),
        "AssumeRolePolicyDocument": entities.shown_document(await as_shown(query.identities, _kept_trust(row))),
        "Description": words.get("description"),
        "MaxSessionDuration": session_seconds(row),
    }


async def role_details(query: Query, row: IdentityRow) -> dict[str, Any]:
    """What a role's full description has beside what all bearers of policies have."""
    return {
        "AssumeRolePolicyDocument": entities.shown_document(await as_shown(query.identities, _kept_trust(row))),
        "InstanceProfileList": [],
        "RoleLastUsed": {},
    }


async def create_role(query: Query) -> Answer:
    name, path = query.parameters.name("RoleName"), query.parameters.path()
    trust = await _trust(query, "AssumeRolePolicyDocument")
    description = query.parameters.text("Description", 1000, 0, default="")
    seconds = query.parameters.number("MaxSessionDuration", LEAST_SECONDS, LEAST_SECONDS, MOST_SECONDS)
    tags = query.parameters.tags()
    boundary = await wanted_boundary(query)
    query.allow(query.arn(ROLE, name, path), None, **({"PermissionsBoundary": boundary} if boundary else {}))
    if await query.tables.find(query.account_id, ROLE, fold(name)) is not None:
        raise exists(f"Role with name {name} already exists.")
    await check_quota(query, ROLE)
    words = written(trust=trust, description=description, session_seconds=seconds, tags=tags)
    row = IdentityRow(query.account_id, ROLE, name, new_identity_id(ROLE), path, words, query.now)
    query.steps += changes.put_identity(row)
    if boundary:
        query.steps += changes.put_link(LinkRow(row.account_id, ROLE, row.folded, BOUNDARY, boundary))
    return {"Role": await _shown(query, row, boundary)}


async def get_role(query: Query) -> Answer:
    row = await entities.named(query, ROLE)
    return {"Role": {**await _shown(query, row, await entities.boundary_of(query, row)), "RoleLastUsed": {}}}


async def list_roles(query: Query) -> Answer:
    rows, rest = await entities.listed(query, ROLE)
    return {"Roles": [await _shown(query, row, whole=False) for row in rows], **rest}


async def update_role(query: Query) -> Answer:
    row = await entities.named(query, ROLE)
    news: dict[str, Any] = {}
    if query.parameters.find("Description") is not None:
        news["description"] = query.parameters.text("Description", 1000, 0)
    seconds = query.parameters.number("MaxSessionDuration", session_seconds(row), LEAST_SECONDS, MOST_SECONDS)
    query.steps += changes.put_identity(changed(row, session_seconds=seconds, **news))
    return {}


async def update_role_description(query: Query) -> Answer:
    row = await entities.named(query, ROLE)
    new = changed(row, description=query.parameters.text("Description", 1000, 0))
    query.steps += changes.put_identity(new)
    return {"Role": await _shown(query, new, await entities.boundary_of(query, row))}


async def update_assume_role_policy(query: Query) -> Answer:
    row = await entities.named(query, ROLE)
    trust = await _trust(query, "PolicyDocument")
    query.steps += changes.put_identity(changed(row, trust=trust))
    return None


async def list_instance_profiles_for_role(query: Query) -> Answer:
    """There are no machines here that could have profiles; tools ask before they delete a role."""
    await entities.named(query, ROLE)
    return {"InstanceProfiles": [], "IsTruncated": False}


async def delete_role(query: Query) -> Answer:
    row = await entities.named(query, ROLE)
    if await entities.links_of(query, row, ATTACHED):
        raise conflict("must detach all policies first")
    if await query.tables.policies(row.account_id, [(ROLE, row.folded)]):
        raise conflict("must delete policies first")
    query.steps += changes.drop_identity(row)
    return None
