"""Permissions boundaries of users and roles."""

from __future__ import annotations

from s3gate.catalog import identity_changes as changes
from s3gate.catalog.identity_rows import BOUNDARY, LinkRow
from s3gate.iam_api import entities, managed
from s3gate.iam_api.errors import no_such
from s3gate.iam_api.query import Answer, Query


async def wanted_boundary(query: Query) -> str:
    """The ARN that a new user or role is to be limited by; empty for none."""
    arn = query.parameters.arn("PermissionsBoundary", "")
    return (await managed.found(query, arn)).arn if arn else ""


async def put_boundary(kind: str, query: Query) -> Answer:
    arn = query.parameters.arn("PermissionsBoundary")
    policy = await managed.found(query, arn)
    row = await entities.named(query, kind, PermissionsBoundary=policy.arn)
    for link in await entities.links_of(query, row, BOUNDARY):
        query.steps += changes.drop_link(link)
    query.steps += changes.put_link(LinkRow(row.account_id, kind, row.folded, BOUNDARY, policy.arn))
    return None


async def delete_boundary(kind: str, query: Query) -> Answer:
    row = await entities.named(query, kind, limited=True)
    links = await entities.links_of(query, row, BOUNDARY)
    if not links:
        raise no_such(f"The permissions boundary of {kind} {row.name}")
    for link in links:
        query.steps += changes.drop_link(link)
    return None
