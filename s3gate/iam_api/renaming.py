"""Another name or path for a user or a group."""

from __future__ import annotations

from s3gate.catalog import identity_changes as changes
from s3gate.catalog.connection import Step
from s3gate.catalog.identity_rows import GROUP, IdentityRow, fold
from s3gate.iam_api.entities import NOUN
from s3gate.iam_api.errors import exists
from s3gate.iam_api.query import Query
from s3gate.identity.naming import arn_of


async def renamed(query: Query, row: IdentityRow, parameter: str) -> list[Step]:
    """The changes; the caller must be allowed to do this to what it becomes, too."""
    name = row.name
    if query.parameters.find(parameter) is not None:
        name = query.parameters.name(parameter, 128 if row.kind == GROUP else 64)
    path = row.path if query.parameters.find("NewPath") is None else query.parameters.path("NewPath")
    new = row._replace(name=name, path=path)
    query.allow(arn_of(new), row)
    if new == row:
        return []
    if new.folded != row.folded and await query.tables.find(row.account_id, row.kind, fold(name)) is not None:
        raise exists(f"{NOUN[row.kind]} with name {name} already exists.")
    return changes.rename_identity(row, new) if name != row.name else changes.put_identity(new)
