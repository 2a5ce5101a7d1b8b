"""Users, groups and roles as IAM shows and finds them: what the nouns share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from s3gate.catalog.identity_rows import BOUNDARY, GROUP, MEMBER_OF, ROLE, USER, IdentityRow, LinkRow, fold
from s3gate.iam_api.errors import no_such
from s3gate.iam_api.query import MOST_ITEMS, Query, truncation
from s3gate.identity.documents import tags_of
from s3gate.identity.naming import arn_of

PARAMETER: Final = {USER: "UserName", GROUP: "GroupName", ROLE: "RoleName"}
NOUN: Final = {USER: "User", GROUP: "Group", ROLE: "Role"}


async def existing(query: Query, kind: str, name: str) -> IdentityRow:
    """The entity of this name, or NoSuchEntity."""
    row = await query.tables.find(query.account_id, kind, fold(name))
    if row is None:
        query.allow(query.arn(kind, name))  # who may not ask is not told what there is
        raise no_such(f"The {kind} with name {name}")
    return row


async def named(query: Query, kind: str, *, limited: bool = False, **keys: str) -> IdentityRow:
    """The entity that the request names, once it is clear that the caller may do this to it.

    `limited`: what the caller may do to it may depend on the boundary that it has.
    """
    row = await existing(query, kind, query.parameters.name(PARAMETER[kind], 64 if kind == ROLE else 128))
    if limited and (boundary := await boundary_of(query, row)):
        keys["PermissionsBoundary"] = boundary
    query.allow(arn_of(row), row, **keys)
    return row


async def every(query: Query, kind: str) -> list[IdentityRow]:
    """All of a kind that the account has, in the order of their names."""
    found: list[IdentityRow] = []
    while rows := await query.tables.below(query.account_id, kind, "/", found[-1].folded if found else "", MOST_ITEMS):
        found += rows
    return found


async def links_of(query: Query, row: IdentityRow, link: str) -> list[LinkRow]:
    """What the entity is linked to in this way."""
    found = await query.tables.links(row.account_id, [(row.kind, row.folded)])
    return [one for one in found if one.link == link]


async def boundary_of(query: Query, row: IdentityRow) -> str:
    """The ARN of its permissions boundary; empty without one."""
    found = await links_of(query, row, BOUNDARY)
    return found[0].target if found else ""


async def members(query: Query, group: IdentityRow) -> list[IdentityRow]:
    """The users of a group, in the order of their names."""
    found = []
    for link in await query.tables.linked(group.account_id, MEMBER_OF, group.folded):
        row = await query.tables.find(group.account_id, USER, link.owner)
        if row is not None:
            found.append(row)
    return found


def shown(row: IdentityRow, boundary: str = "", *, tags: bool = False) -> dict[str, Any]:
    """The element that describes a user or a group, and what every description begins with."""
    noun = NOUN[row.kind]
    return {
        "Path": row.path,
        f"{noun}Name": row.name,
        f"{noun}Id": row.identity_id,
        "Arn": arn_of(row),
        "CreateDate": row.created_at,
        "Tags": shown_tags(tags_of(row)) if tags and tags_of(row) else None,
        "PermissionsBoundary": shown_boundary(boundary),
    }


def shown_tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Keys and values."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def shown_boundary(arn: str) -> dict[str, str] | None:
    """The element of a boundary, if there is one."""
    return {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": arn} if arn else None


def shown_document(document: bytes | str) -> str:
    """Policies are given out percent-encoded."""
    return quote(document, safe="")


async def listed(query: Query, kind: str) -> tuple[list[IdentityRow], dict[str, Any]]:
    """A page of entities below a path."""
    path = query.parameters.path("PathPrefix")
    query.allow(query.arn(kind, "*", path))
    after, limit = query.paging()
    rows = await query.tables.below(query.account_id, kind, path, after, limit + 1)
    return rows[:limit], truncation(rows, limit, lambda row: row.folded)
