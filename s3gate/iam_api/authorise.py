"""May the caller do this to IAM? The evaluator decides; here is what it is told of the request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from s3gate.iam.evaluate import Asked, evaluate
from s3gate.iam.patterns import Values
from s3gate.iam.principal import Principal
from s3gate.iam.statement import Policy
from s3gate.identity.bearing import compiled
from s3gate.identity.identity import Identity
from s3gate.identity.managed import BY_NAME


@dataclass(frozen=True, slots=True)
class Circumstances:
    """From where and how a request came."""

    now: datetime
    remote: str = ""
    secure: bool = False
    user_agent: str = ""
    region: str = ""


def keys_of(principal: Principal, circumstances: Circumstances, more: Mapping[str, str | tuple[str, ...]]) -> Values:
    """The condition keys: those that every service has, and `more`. A key without a value is not there."""
    found: dict[str, str | tuple[str, ...]] = {
        "aws:currenttime": f"{circumstances.now:%Y-%m-%dT%H:%M:%SZ}",
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
        **{f"aws:principaltag/{name}": value for name, value in principal.tags.items()},
    }
    for name, value in more.items():
        service, slash, tag = name.partition("/")
        found[service.lower() + slash + tag] = value

    def values(key: str) -> tuple[str, ...] | None:
        value = found.get(key) or None
        return (value,) if isinstance(value, str) else value

    return values


def is_allowed(
    identity: Identity, action: str, resource: str, circumstances: Circumstances, more: Mapping[str, str]
) -> bool:
    """Whether the caller's own policies allow it: identities have no policies of their resources' own."""
    asked = Asked(identity.principal, action, resource, keys_of(identity.principal, circumstances, more))
    return evaluate(asked, identity=identity.policies, boundary=identity.boundary, session=identity.session).allowed


def is_trusted(
    identity: Identity, trust: Policy, action: str, role: str, same_account: bool, values: Values, federated: str = ""
) -> bool:
    """Whether a role's trust policy lets somebody in, and their own policies let them go there.

    Unlike any other resource a role has to say so itself: to be allowed by one's own policies alone is not enough.
    """
    asked = Asked(identity.principal, action, role, values, federated)
    if not evaluate(asked, identity=_EVERYTHING, resource=trust, same_account=False).allowed:
        return False
    return evaluate(
        asked,
        identity=identity.policies,
        resource=trust,
        boundary=identity.boundary,
        session=identity.session,
        same_account=same_account,
    ).allowed


_EVERYTHING = (compiled(BY_NAME["administratoraccess"].document),)
