"""May the caller do this to IAM? The evaluator decides; here is what it is told of the request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from s3gate.iam.evaluate import Asked, Decision, evaluate
from s3gate.iam.patterns import Values
from s3gate.iam.statement import Policy
from s3gate.identity.bearing import ALL_OF_ROOT
from s3gate.identity.identity import Identity
from s3gate.s3.dates import iso_seconds


@dataclass(frozen=True, slots=True)
class Circumstances:
    """From where and how a request came."""

    now: datetime
    remote: str = ""
    secure: bool = False
    user_agent: str = ""
    region: str = ""


Words = Mapping[str, str | tuple[str, ...]]
"""Condition keys and their values."""


def keys_of(identity: Identity, circumstances: Circumstances, more: Words) -> Values:
    """The condition keys: those that every service has, and `more`. A key without a value is not there.

    The keys of IAM's tags are the same in any case, as all names of keys are.
    """
    principal, issued = identity.principal, identity.issued
    found: dict[str, str | tuple[str, ...]] = {
        "aws:currenttime": iso_seconds(circumstances.now),
        "aws:epochtime": str(int(circumstances.now.timestamp())),
        "aws:securetransport": "true" if circumstances.secure else "false",
        "aws:sourceip": circumstances.remote,
        "aws:useragent": circumstances.user_agent,
        "aws:requestedregion": circumstances.region,
        "aws:userid": principal.user_id,
        "aws:username": principal.name,
        "aws:principalaccount": principal.account_id,
        "aws:principalarn": principal.entity_arn,
        "aws:principaltype": principal.kind.value,
        "aws:sourceidentity": principal.source_identity,
        "aws:federatedprovider": principal.provider,
        "aws:principalisawsservice": "false",
        "aws:viaawsservice": "false",
        "aws:multifactorauthpresent": "false" if issued else "",
        "aws:tokenissuetime": iso_seconds(datetime.fromtimestamp(issued, UTC)) if issued else "",
        **principal.claims,
        **{f"aws:principaltag/{name}".lower(): value for name, value in principal.tags.items()},
        **{name.lower(): value for name, value in more.items()},
    }

    def values(key: str) -> tuple[str, ...] | None:
        value = found.get(key.lower()) or None
        return (value,) if isinstance(value, str) else value

    return values


def judge(identity: Identity, action: str, resource: str, circumstances: Circumstances, more: Words) -> Decision:
    """Whether the caller's own policies allow it: identities have no policies of their resources' own."""
    asked = Asked(identity.principal, action, resource, keys_of(identity, circumstances, more))
    return evaluate(asked, identity=identity.policies, boundary=identity.boundary, session=identity.session)


def is_trusted(
    identity: Identity, trust: Policy, action: str, role: str, same_account: bool, values: Values, federated: str = ""
) -> bool:
    """Whether a role's trust policy lets somebody in, and their own policies let them go there.

    Unlike any other resource a role has to say so itself: to be allowed by one's own policies alone is not enough.
    """
    asked = Asked(identity.principal, action, role, values, federated)
    if not evaluate(asked, identity=ALL_OF_ROOT.policies, resource=trust, same_account=False).allowed:
        return False
    return evaluate(
        asked,
        identity=identity.policies,
        resource=trust,
        boundary=identity.boundary,
        session=identity.session,
        same_account=same_account,
    ).allowed
