"""The decision: every policy that applies to a request, and AWS's rules by which they are weighed.

    an explicit deny anywhere                                  -> denied
    same account: the resource's policy names the one who asks -> allowed; whoever it names by a role is still
                                                                  limited by boundary and session policy
    same account: an identity policy allows, within boundary
        and session policy; the account's root needs none      -> allowed
    other account: the resource's policy and the identity's
        own policies (boundary, session) both allow            -> allowed
    nobody in particular: the resource's policy allows "*"     -> allowed
    all else                                                   -> denied, for nothing allows it

(IAM user guide: "Policy evaluation logic", "Cross-account policy evaluation logic", "Permissions boundaries".)
This file knows no S3: ACLs come in as one more grant of the resource's, made by whoever knows them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from s3gate.iam.patterns import Values
from s3gate.iam.principal import Principal
from s3gate.iam.statement import Named, Policy, Statement


class Verdict(Enum):
    ALLOW = "allow"
    DENY = "explicit deny"
    IMPLICIT_DENY = "implicit deny"


class Decision(NamedTuple):
    """What is decided, by which kind of policy, and the Sid of the statement, if it has one: for the log."""

    verdict: Verdict
    by: str = ""
    sid: str = ""

    @property
    def allowed(self) -> bool:
        return self.verdict is Verdict.ALLOW


NOTHING_ALLOWS = Decision(Verdict.IMPLICIT_DENY)


@dataclass(frozen=True, slots=True)
class Asked:
    """One action on one resource by one principal. `keys` gives the request's context when a condition wants it."""

    principal: Principal
    action: str
    resource_arn: str
    keys: Values
    federated: str = ""
    """The identity provider that vouched for the one who asks, in the question of a role's trust policy."""


def evaluate(
    asked: Asked,
    *,
    identity: Sequence[Policy] = (),
    resource: Policy | None = None,
    boundary: Policy | None = None,
    session: Policy | None = None,
    same_account: bool = True,
    granted: Named = Named.NOT,
    resource_allows: bool = True,
) -> Decision:
    """Allow, explicit deny or implicit deny.

    `granted` is what the resource's owner grants beside its policy (by an ACL); with `resource_allows` off, the
    resource's policy still denies but gives nothing.
    """
    limits = [policy for policy in (boundary, session) if policy is not None]
    denied = _denied(asked, identity, limits, resource)
    if denied is not None:
        return denied
    given, by, sid = granted, "acl", ""
    if resource is not None and resource_allows:
        named, statement = _named(asked, resource)
        if named > given:
            given, by, sid = named, "resource policy", statement
    who = asked.principal
    if who.is_anonymous:
        return Decision(Verdict.ALLOW, by, sid) if given else NOTHING_ALLOWS
    if same_account and given is Named.EXACTLY:
        return Decision(Verdict.ALLOW, by, sid)
    if not all(_allowing(asked, (policy,)) for policy in limits):
        return NOTHING_ALLOWS
    if same_account and given is Named.ROLE:
        return Decision(Verdict.ALLOW, by, sid)
    if not same_account and not given:
        return NOTHING_ALLOWS
    if who.is_root:
        return Decision(Verdict.ALLOW, "root of the account") if same_account else Decision(Verdict.ALLOW, by, sid)
    statement_allows = _allowing(asked, identity)
    if statement_allows is None:
        return NOTHING_ALLOWS
    return Decision(Verdict.ALLOW, "identity policy", statement_allows.sid)


def _denied(
    asked: Asked, identity: Iterable[Policy], limits: Iterable[Policy], resource: Policy | None
) -> Decision | None:
    for by, policies in (("identity policy", identity), ("boundary or session policy", limits)):
        for policy in policies:
            for statement in policy.about(asked.action)[0]:
                if statement.applies(asked.resource_arn, asked.keys):
                    return Decision(Verdict.DENY, by, statement.sid)
    if resource is not None:
        for statement in resource.about(asked.action)[0]:
            if statement.names(asked.principal, asked.federated) and statement.applies(asked.resource_arn, asked.keys):
                return Decision(Verdict.DENY, "resource policy", statement.sid)
    return None


def _allowing(asked: Asked, policies: Iterable[Policy]) -> Statement | None:
    """The first statement that allows it."""
    for policy in policies:
        for statement in policy.about(asked.action)[1]:
            if statement.applies(asked.resource_arn, asked.keys):
                return statement
    return None


def _named(asked: Asked, resource: Policy) -> tuple[Named, str]:
    """How closely a statement that allows it names the one who asks, and that statement's Sid."""
    best, sid = Named.NOT, ""
    for statement in resource.about(asked.action)[1]:
        named = statement.names(asked.principal, asked.federated)
        if named > best and statement.applies(asked.resource_arn, asked.keys):
            best, sid = named, statement.sid
            if best is Named.EXACTLY:
                break
    return best, sid
