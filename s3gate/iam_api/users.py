"""Users."""

from __future__ import annotations

from typing import Any

from s3gate.catalog import identity_changes as changes
from s3gate.catalog.identity_rows import ATTACHED, BOUNDARY, MEMBER_OF, USER, IdentityRow, LinkRow, fold
from s3gate.iam_api import entities
from s3gate.iam_api.boundaries import wanted_boundary
from s3gate.iam_api.errors import conflict, exists, refusal
from s3gate.iam_api.query import Answer, Query
from s3gate.iam_api.quotas import check_quota
from s3gate.iam_api.renaming import renamed
from s3gate.identity.documents import written
from s3gate.identity.naming import arn_of, new_identity_id


async def create_user(query: Query) -> Answer:
    name, path = query.parameters.name("UserName"), query.parameters.path()
    tags = query.parameters.tags()
    boundary = await wanted_boundary(query)
    query.allow(query.arn(USER, name, path), None, **({"PermissionsBoundary": boundary} if boundary else {}))
    if await query.tables.find(query.account_id, USER, fold(name)) is not None:
        raise exists(f"User with name {name} already exists.")
    await check_quota(query, USER)
    row = IdentityRow(query.account_id, USER, name, new_identity_id(USER), path, written(tags=tags), query.now)
    query.steps += changes.put_identity(row)
    if boundary:
        query.steps += changes.put_link(LinkRow(row.account_id, USER, row.folded, BOUNDARY, boundary))
    return {"User": entities.shown(row, boundary, tags=True)}


async def get_user(query: Query) -> Answer:
    """Without a name: who asks."""
    if query.parameters.find("UserName") is None and query.identity.principal.is_root:
        query.allow(query.identity.principal.arn)
        return {"User": await _shown_root(query)}
    row = await asked_user(query)
    return {"User": entities.shown(row, await entities.boundary_of(query, row), tags=True)}


async def asked_user(query: Query) -> IdentityRow:
    """The user that the request names, or the one who asks."""
    if query.parameters.find("UserName") is not None:
        return await entities.named(query, USER)
    name = query.identity.principal.name
    if not name:
        raise refusal("ValidationError", "Must specify userName when calling with non-User credentials")
    row = await entities.existing(query, USER, name)
    query.allow(arn_of(row), row)
    return row


async def _shown_root(query: Query) -> dict[str, Any]:
    account = await query.account()
    return {
        "UserName": account.name,
        "UserId": account.account_id,
        "Arn": query.identity.principal.arn,
        "CreateDate": account.created_at,
        "Path": "/",
    }


async def list_users(query: Query) -> Answer:
    rows, rest = await entities.listed(query, USER)
    return {"Users": [entities.shown(row) for row in rows], **rest}


async def update_user(query: Query) -> Answer:
    row = await entities.named(query, USER)
    query.steps += await renamed(query, row, "NewUserName")
    return None


async def delete_user(query: Query) -> Answer:
    row = await entities.named(query, USER)
    if await query.tables.keys(row.account_id, row.folded):
        raise conflict("must delete access keys first")
    links = {link.link for link in await query.tables.links(row.account_id, [(USER, row.folded)])}
    if ATTACHED in links:
        raise conflict("must detach all policies first")
    if MEMBER_OF in links:
        raise conflict("must remove users from group first")
    if await query.tables.policies(row.account_id, [(USER, row.folded)]):
        raise conflict("must delete policies first")
    query.steps += changes.drop_identity(row)
    return None
