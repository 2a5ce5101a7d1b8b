"""Inline policies of users, groups and roles."""

from __future__ import annotations

from s3gate.catalog import identity_changes as changes
from s3gate.catalog.identity_rows import IdentityRow, PolicyRow
from s3gate.iam.policy import parse
from s3gate.iam_api import entities
from s3gate.iam_api.errors import no_such, refusal
from s3gate.iam_api.query import Answer, Query
from s3gate.iam_api.quotas import INLINE_CHARACTERS


async def put_inline(kind: str, query: Query) -> Answer:
    row = await entities.named(query, kind, limited=True)
    name = query.parameters.name("PolicyName", 128)
    document = query.parameters.document("PolicyDocument")
    most = INLINE_CHARACTERS[kind]
    parse(document, "identity", limit=len(document))  # how long it may be is asked of all of them together
    others = [one.document for one in await _all(query, row) if one.name != name]
    if sum(len(b"".join(one.split())) for one in (*others, document.encode())) > most:
        raise refusal("LimitExceeded", f"Maximum policy size of {most} bytes exceeded for {kind} {row.name}")
    query.steps += changes.put_policy(
        PolicyRow(row.account_id, kind, row.folded, name, document.encode(), True, query.now)
    )
    return None


async def get_inline(kind: str, query: Query) -> Answer:
    row, policy = await _named(kind, query)
    return {
        entities.PARAMETER[kind]: row.name,
        "PolicyName": policy.name,
        "PolicyDocument": entities.shown_document(policy.document),
    }


async def delete_inline(kind: str, query: Query) -> Answer:
    _, policy = await _named(kind, query, limited=True)
    query.steps += changes.drop_policy(policy)
    return None


async def list_inline(kind: str, query: Query) -> Answer:
    row = await entities.named(query, kind)
    policies, rest = query.page(await _all(query, row), lambda policy: policy.name)
    return {"PolicyNames": [policy.name for policy in policies], **rest}


async def _all(query: Query, row: IdentityRow) -> list[PolicyRow]:
    return await query.tables.policies(row.account_id, [(row.kind, row.folded)])


async def _named(kind: str, query: Query, *, limited: bool = False) -> tuple[IdentityRow, PolicyRow]:
    row = await entities.named(query, kind, limited=limited)
    name = query.parameters.name("PolicyName", 128)
    for policy in await _all(query, row):
        if policy.name == name:
            return row, policy
    raise no_such(f"The {kind} policy with name {name}")
