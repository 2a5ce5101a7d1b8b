"""Would it be allowed? Answered by the evaluator itself, for an entity's policies as they are, and for any others."""

from __future__ import annotations

from typing import Any, Final

from s3gate.catalog.identity_rows import GROUP, ROLE, USER, IdentityRow, fold
from s3gate.iam import principal as principals
from s3gate.iam.evaluate import Asked, Verdict, evaluate
from s3gate.iam.policy import parse
from s3gate.iam.principal import Principal
from s3gate.iam.statement import Policy
from s3gate.iam_api.authorise import keys_of
from s3gate.iam_api.errors import invalid, refusal
from s3gate.iam_api.parameters import MOST_DOCUMENT
from s3gate.iam_api.query import Answer, Query
from s3gate.identity.bearing import borne_by
from s3gate.identity.documents import tags_of
from s3gate.identity.identity import NO_KEY, Identity
from s3gate.identity.naming import arn_of

_WORDS = {Verdict.ALLOW: "allowed", Verdict.DENY: "explicitDeny", Verdict.IMPLICIT_DENY: "implicitDeny"}
_UNBUILT: Final = ("ResourcePolicy", "ResourceOwner", "CallerArn", "ResourceHandlingOption")


async def simulate_principal_policy(query: Query) -> Answer:
    """What an entity could do, if it had the policies of the request as well."""
    source = query.parameters.arn("PolicySourceArn")
    query.allow(source)
    row = await _source(query, source)
    borne = await borne_by(query.tables, row.account_id, row.kind, row.folded)
    boundary = _boundary(query) or borne.boundary
    return _simulated(query, _acting(query, row), (*borne.policies, *_given(query, "PolicyInputList")), boundary)


async def simulate_custom_policy(query: Query) -> Answer:
    """What these policies would allow to whoever had no others."""
    query.allow("*")
    policies = _given(query, "PolicyInputList")
    if not policies:
        raise invalid("PolicyInputList", None, "Member must not be null")
    canonical_id = query.identity.principal.canonical_id
    nobody = principals.user(query.account_id, canonical_id, "simulated", "simulated")
    return _simulated(query, nobody, policies, _boundary(query))


def _simulated(query: Query, who: Principal, policies: tuple[Policy, ...], boundary: Policy | None) -> Answer:
    for name in _UNBUILT:
        if query.parameters.find(name) is not None:
            raise refusal("ValidationError", f"{name} is not supported.")
    actions = query.parameters.members("ActionNames")
    if not actions:
        raise invalid("ActionNames", None, "Member must not be null")
    values = keys_of(Identity(who, NO_KEY, 0), query.circumstances, _context(query))
    found = []
    for action in actions:
        for resource in query.parameters.members("ResourceArns") or ["*"]:
            asked = Asked(who, action, resource, values)
            decision = evaluate(asked, identity=policies, boundary=boundary)
            found.append(
                {
                    "EvalActionName": action,
                    "EvalResourceName": resource,
                    "EvalDecision": _WORDS[decision.verdict],
                    "MatchedStatements": [],
                    "MissingContextValues": [],
                }
            )
    page, rest = query.page(list(enumerate(found)), lambda one: f"{one[0]:06}")
    return {"EvaluationResults": [one for _, one in page], **rest}


def _given(query: Query, parameter: str) -> tuple[Policy, ...]:
    return tuple(parse(each, "identity", limit=MOST_DOCUMENT) for each in query.parameters.members(parameter))


def _boundary(query: Query) -> Policy | None:
    given = _given(query, "PermissionsBoundaryPolicyInputList")
    if len(given) > 1:
        raise refusal("ValidationError", "PermissionsBoundaryPolicyInputList may have one member at most.")
    return given[0] if given else None


async def _source(query: Query, arn: str) -> IdentityRow:
    kind = arn.rpartition(":")[2].partition("/")[0]
    if kind in (USER, GROUP, ROLE):
        row = await query.tables.find(query.account_id, kind, fold(arn.rpartition("/")[2]))
        if row is not None and arn_of(row) == arn:
            return row
    raise refusal("NoSuchEntity", f"The entity {arn} cannot be found.")


def _acting(query: Query, row: IdentityRow) -> Principal:
    """Somebody with these policies: a group acts as a user of no name."""
    make = principals.role_session if row.kind == ROLE else principals.user
    more: dict[str, Any] = {"path": row.path, "tags": tags_of(row)}
    names = (row.name, row.identity_id, "simulated") if row.kind == ROLE else (row.name, row.identity_id)
    return make(row.account_id, query.identity.principal.canonical_id, *names, **more)


def _context(query: Query) -> dict[str, str | tuple[str, ...]]:
    """The values of every key that the request supposes."""
    found: dict[str, str | tuple[str, ...]] = {}
    number = 1
    while (name := query.parameters.find(f"ContextEntries.member.{number}.ContextKeyName")) is not None:
        found[name] = tuple(query.parameters.members(f"ContextEntries.member.{number}.ContextKeyValues"))
        number += 1
    return found
