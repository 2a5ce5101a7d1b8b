"""Managed policies attached to users, groups and roles."""

from __future__ import annotations

from s3gate.catalog import identity_changes as changes
from s3gate.catalog.identity_rows import ATTACHED, BOUNDARY, GROUP, ROLE, USER, LinkRow
from s3gate.iam_api import entities, managed
from s3gate.iam_api.errors import limit, refusal
from s3gate.iam_api.query import Answer, Query
from s3gate.iam_api.quotas import ATTACHED_PER_ENTITY


async def attach(kind: str, query: Query) -> Answer:
    policy = await managed.found(query, query.parameters.arn("PolicyArn"))
    row = await entities.named(query, kind, limited=True, PolicyARN=policy.arn)
    link = LinkRow(row.account_id, kind, row.folded, ATTACHED, policy.arn)
    links = await entities.links_of(query, row, ATTACHED)
    if link in links:
        return None
    if len(links) >= ATTACHED_PER_ENTITY:
        raise limit(f"PoliciesPer{entities.NOUN[kind]}", ATTACHED_PER_ENTITY)
    query.steps += changes.put_link(link)
    return None


async def detach(kind: str, query: Query) -> Answer:
    arn = query.parameters.arn("PolicyArn")
    row = await entities.named(query, kind, limited=True, PolicyARN=arn)
    link = LinkRow(row.account_id, kind, row.folded, ATTACHED, arn)
    if link not in await entities.links_of(query, row, ATTACHED):
        raise refusal("NoSuchEntity", f"Policy {arn} was not found.")
    query.steps += changes.drop_link(link)
    return None


async def list_attached(kind: str, query: Query) -> Answer:
    row = await entities.named(query, kind)
    path = query.parameters.path("PathPrefix")
    links = await entities.links_of(query, row, ATTACHED)
    below = [link for link in links if f":policy{path}" in link.target]
    page, rest = query.page(below, lambda link: link.target)
    shown = []
    for link in page:
        policy = await managed.found(query, link.target)
        shown.append({"PolicyName": policy.name, "PolicyArn": policy.arn})
    return {"AttachedPolicies": shown, **rest}


async def list_entities_for_policy(query: Query) -> Answer:
    """Who has it attached, or has it as a boundary."""
    policy = await managed.asked(query)
    usage = query.parameters.choice(
        "PolicyUsageFilter", ("PermissionsPolicy", "PermissionsBoundary"), "PermissionsPolicy"
    )
    which = query.parameters.find("EntityFilter")
    if which is not None:
        query.parameters.choice("EntityFilter", ("User", "Role", "Group", "LocalManagedPolicy", "AWSManagedPolicy"))
    path = query.parameters.path("PathPrefix")
    link = ATTACHED if usage == "PermissionsPolicy" else BOUNDARY
    found = []
    for one in await query.tables.linked(query.account_id, link, policy.arn):
        row = await query.tables.find(query.account_id, one.kind, one.owner)
        if row is not None and row.path.startswith(path) and which in (None, entities.NOUN[row.kind]):
            found.append(row)
    page, rest = query.page(found, lambda row: f"{row.kind}/{row.folded}")
    lists: dict[str, list[dict[str, str]]] = {GROUP: [], USER: [], ROLE: []}
    for row in page:
        noun = entities.NOUN[row.kind]
        lists[row.kind].append({f"{noun}Name": row.name, f"{noun}Id": row.identity_id})
    return {"PolicyGroups": lists[GROUP], "PolicyUsers": lists[USER], "PolicyRoles": lists[ROLE], **rest}
