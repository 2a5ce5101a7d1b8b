"""Tags of users, roles, managed policies and OIDC providers."""

from __future__ import annotations

from s3gate.catalog import identity_changes as changes
from s3gate.catalog.identity_rows import POLICY, PROVIDER, IdentityRow
from s3gate.iam_api import entities, managed
from s3gate.iam_api.errors import invalid
from s3gate.iam_api.parameters import check_tags
from s3gate.iam_api.providers import asked_provider
from s3gate.iam_api.query import Answer, Query
from s3gate.identity.documents import changed, tags_of, tags_with


async def _row(kind: str, query: Query) -> IdentityRow:
    """What is to be changed."""
    if kind == POLICY:
        return (await managed.own(query))[1]
    return await asked_provider(query) if kind == PROVIDER else await entities.named(query, kind)


async def tag(kind: str, query: Query) -> Answer:
    new = query.parameters.tags()
    if not new:
        raise invalid("Tags", None, "Member must not be null")
    row = await _row(kind, query)
    query.steps += changes.put_identity(changed(row, tags=check_tags(tags_with(row, new))))
    return None


async def untag(kind: str, query: Query) -> Answer:
    row = await _row(kind, query)
    gone = {name.lower() for name in query.parameters.members("TagKeys")}
    kept = {name: value for name, value in tags_of(row).items() if name.lower() not in gone}
    if kept != tags_of(row):
        query.steps += changes.put_identity(changed(row, tags=kept))
    return None


async def list_tags(kind: str, query: Query) -> Answer:
    row = (await managed.asked(query)).row if kind == POLICY else await _row(kind, query)
    tags = {} if row is None else tags_of(row)
    page, rest = query.page(sorted(tags.items()), lambda pair: pair[0])
    return {"Tags": entities.shown_tags(dict(page)), **rest}
