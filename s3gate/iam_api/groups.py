"""Groups and who is in them."""

from __future__ import annotations

from s3gate.catalog import identity_changes as changes
from s3gate.catalog.identity_rows import ATTACHED, GROUP, MEMBER_OF, USER, IdentityRow, LinkRow, fold
from s3gate.iam_api import entities
from s3gate.iam_api.errors import conflict, exists, limit, no_such
from s3gate.iam_api.query import Answer, Query
from s3gate.iam_api.quotas import GROUPS_PER_USER, check_quota
from s3gate.iam_api.renaming import renamed
from s3gate.identity.documents import written
from s3gate.identity.naming import new_identity_id


async def create_group(query: Query) -> Answer:
    name, path = query.parameters.name("GroupName", 128), query.parameters.path()
    query.allow(query.arn(GROUP, name, path))
    if await query.tables.find(query.account_id, GROUP, fold(name)) is not None:
        raise exists(f"Group with name {name} already exists.")
    await check_quota(query, GROUP)
    row = IdentityRow(query.account_id, GROUP, name, new_identity_id(GROUP), path, written(), query.now)
    query.steps += changes.put_identity(row)
    return {"Group": entities.shown(row)}


async def get_group(query: Query) -> Answer:
    """The group and a page of its users."""
    group = await entities.named(query, GROUP)
    users, rest = query.page(await entities.members(query, group), lambda row: row.folded)
    return {"Group": entities.shown(group), "Users": [entities.shown(row) for row in users], **rest}


async def list_groups(query: Query) -> Answer:
    rows, rest = await entities.listed(query, GROUP)
    return {"Groups": [entities.shown(row) for row in rows], **rest}


async def update_group(query: Query) -> Answer:
    row = await entities.named(query, GROUP)
    query.steps += await renamed(query, row, "NewGroupName")
    return None


async def delete_group(query: Query) -> Answer:
    row = await entities.named(query, GROUP)
    if await query.tables.linked(row.account_id, MEMBER_OF, row.folded):
        raise conflict("must remove users from group first")
    if await entities.links_of(query, row, ATTACHED):
        raise conflict("must detach all policies first")
    if await query.tables.policies(row.account_id, [(GROUP, row.folded)]):
        raise conflict("must delete policies first")
    query.steps += changes.drop_identity(row)
    return None


async def add_user_to_group(query: Query) -> Answer:
    link, groups = await _membership(query)
    if link not in groups and len(groups) >= GROUPS_PER_USER:
        raise limit("GroupsPerUser", GROUPS_PER_USER)
    query.steps += changes.put_link(link)
    return None


async def remove_user_from_group(query: Query) -> Answer:
    link, groups = await _membership(query)
    if link not in groups:
        raise no_such(f"The user with name {link.owner}")
    query.steps += changes.drop_link(link)
    return None


async def _membership(query: Query) -> tuple[LinkRow, list[LinkRow]]:
    """The one that is meant, and those that the user has. The resource is the group."""
    group = await entities.named(query, GROUP)
    user = await entities.existing(query, USER, query.parameters.name("UserName"))
    link = LinkRow(user.account_id, USER, user.folded, MEMBER_OF, group.folded)
    return link, await entities.links_of(query, user, MEMBER_OF)


async def list_groups_for_user(query: Query) -> Answer:
    user = await entities.named(query, USER)
    links, rest = query.page(await entities.links_of(query, user, MEMBER_OF), lambda link: link.target)
    groups = [await query.tables.find(user.account_id, GROUP, link.target) for link in links]
    return {"Groups": [entities.shown(row) for row in groups if row is not None], **rest}
