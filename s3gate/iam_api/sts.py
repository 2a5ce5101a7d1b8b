"""STS: who am I, and temporary credentials for a user, for the root and for whoever may assume a role."""

from __future__ import annotations

import re
from typing import Any, Final

from s3gate.catalog.identity_rows import ROLE, USER, IdentityRow, fold
from s3gate.iam.policy import parse
from s3gate.iam.principal import Kind, role_session
from s3gate.iam_api import managed
from s3gate.iam_api.authorise import is_trusted, keys_of
from s3gate.iam_api.errors import invalid, refusal
from s3gate.iam_api.parameters import Parameters
from s3gate.iam_api.query import Answer, Query
from s3gate.iam_api.roles import LEAST_SECONDS, MOST_SECONDS, session_seconds, trust_of
from s3gate.iam_api.session_tags import SessionTags, wanted_tags, words_of_tags
from s3gate.identity.identities import Identities
from s3gate.identity.naming import TEMPORARY, arn_of, new_access_key, new_secret
from s3gate.identity.sessions import MAX_TOKEN_CHARACTERS, Session

LEAST_DURATION: Final = 900
MOST_DURATION: Final = 129_600
MOST_ROOT_DURATION: Final = 3600
USUAL_DURATION: Final = 43_200
"""Of a session for a user, or for somebody whom a user vouches for."""
MOST_POLICIES: Final = 10
SESSION_NAME: Final = r"[\w+=,.@-]{2,64}"
_SESSION_NAME_FITS = re.compile(SESSION_NAME, re.ASCII).fullmatch
_ROLE_ARN = re.compile(r"arn:aws:iam::([0-9]{12}):role/(?:[\x21-\x7e]+/)?([\w+=,.@-]{1,64})", re.ASCII).fullmatch
_UNBUILT: Final = ("SerialNumber", "TokenCode", "ProviderId", "ProvidedContexts.member.1.ProviderArn")


async def get_caller_identity(query: Query) -> Answer:
    """Nobody is ever refused this."""
    query.was_asked = True
    principal = query.identity.principal
    return {"UserId": principal.user_id, "Account": principal.account_id, "Arn": principal.arn}


async def get_access_key_info(query: Query) -> Answer:
    query.allow("*")
    access_key = query.parameters.text("AccessKeyId", 128, 16)
    row = await query.tables.find_key(access_key)
    if row is not None:
        return {"Account": row.account_id}
    if access_key != query.identities.root_access_key:
        raise refusal("ValidationError", f"The access key {access_key} is not known.")
    return {"Account": next(one.account_id for one in (await query.identities.accounts()).values() if one.is_main)}


async def get_session_token(query: Query) -> Answer:
    """The caller's own permissions for a while."""
    query.was_asked = True
    refuse_unbuilt(query.parameters)
    caller = query.identity
    if caller.expires:
        raise refusal("AccessDenied", "Cannot call GetSessionToken with session credentials")
    principal = caller.principal
    most = MOST_ROOT_DURATION if principal.is_root else MOST_DURATION
    seconds = query.parameters.number("DurationSeconds", min(USUAL_DURATION, most), LEAST_DURATION, MOST_DURATION)
    session = new_session(
        query,
        min(seconds, most),
        kind="" if principal.is_root else USER,
        name=fold(principal.name),
        identity_id=principal.user_id,
        source_key=caller.source_key,
    )
    return {"Credentials": credentials(query.identities, session)}


async def assume_role(query: Query) -> Answer:
    """Another's permissions for a while, if the role trusts the caller and the caller may go there."""
    query.was_asked = True
    refuse_unbuilt(query.parameters)
    arn, name = role_and_session(query.parameters)
    role = await trusted_role(query, arn)
    policies = await session_policies(query, role.account_id)
    chained = query.identity.principal.kind is Kind.ROLE_SESSION
    seconds = duration(query.parameters, LEAST_SECONDS if chained else session_seconds(role), chained=chained)
    source = wanted_source(query)
    session = role_of(query, role, name, seconds, policies, wanted_tags(query), source_identity=source)
    account = (await query.identities.accounts())[role.account_id]
    who = role_session(role.account_id, account.canonical_id, role.name, role.identity_id, name)
    answer: dict[str, Any] = {
        "Credentials": credentials(query.identities, session),
        "AssumedRoleUser": {"AssumedRoleId": who.user_id, "Arn": who.arn},
        "SourceIdentity": source or None,
    }
    return {**answer, **packed(query.identities, session)}


def refuse_unbuilt(parameters: Parameters) -> None:
    """What would make the credentials mean less than the caller believes is refused, not ignored."""
    for name in _UNBUILT:
        if parameters.find(name) is not None:
            raise refusal("ValidationError", f"{name} is not supported.")


def wanted_source(query: Query) -> str:
    """Who the session is to say is behind it: once said it stays, from role to role."""
    there = query.identity.principal.source_identity
    if query.parameters.find("SourceIdentity") is None:
        return there
    asked = check_source(query.parameters.text("SourceIdentity", 64, 2))
    if there and asked != there:
        raise refusal("AccessDenied", "The source identity of the calling session cannot be changed.")
    return asked


def check_source(value: str) -> str:
    """A source identity that may be one."""
    if not _SESSION_NAME_FITS(value):
        raise invalid("SourceIdentity", value, rf"Member must satisfy regular expression pattern: {SESSION_NAME}")
    return value


def role_and_session(parameters: Parameters) -> tuple[str, str]:
    """The role's ARN and the name of the session."""
    arn = parameters.arn("RoleArn")
    name = parameters.text("RoleSessionName", 64, 2)
    if not _ROLE_ARN(arn):
        raise refusal("ValidationError", f"{arn} is invalid")
    if not _SESSION_NAME_FITS(name):
        raise invalid("RoleSessionName", name, rf"Member must satisfy regular expression pattern: {SESSION_NAME}")
    return arn, name


async def find_role(identities: Identities, arn: str) -> IdentityRow | None:
    """The role of an ARN, of any account."""
    match = _ROLE_ARN(arn)
    row = None if match is None else await identities.tables.find(match[1], ROLE, fold(match[2]))
    return row if row is not None and arn_of(row) == arn else None


async def trusted_role(query: Query, arn: str) -> IdentityRow:
    """The role, if the caller may assume it. That there is none looks the same as not to be trusted."""
    if query.identity.principal.kind is Kind.FEDERATED_USER:
        raise refusal("AccessDenied", "Cannot call AssumeRole with federated user credentials")
    role = await find_role(query.identities, arn)
    principal = query.identity.principal
    tags = wanted_tags(query)
    words = words_of_tags(tags)
    external_id = query.parameters.find("ExternalId")
    words["sts:RoleSessionName"] = query.parameters.find("RoleSessionName") or ""
    if external_id is not None:
        words["sts:ExternalId"] = query.parameters.text("ExternalId", 1224, 2)
    words["sts:SourceIdentity"] = wanted_source(query)
    for action in actions_asked("sts:AssumeRole", tags, wanted_source(query)):
        allowed = False
        if role is not None:
            values = keys_of(query.identity, query.circumstances, words)
            trust = trust_of(role)
            same = role.account_id == principal.account_id
            allowed = is_trusted(query.identity, trust, action, arn, same, values)
        if not allowed or role is None:
            what = "User" if principal.kind is not Kind.ROOT else "Account"
            raise refusal(
                "AccessDenied", f"{what}: {principal.arn} is not authorized to perform: {action} on resource: {arn}"
            )
    assert role is not None
    return role


def actions_asked(action: str, tags: SessionTags, source_identity: str) -> list[str]:
    """What a role's trust policy has to allow for such a session."""
    more = ["sts:TagSession"] if tags.named else []
    return [action, *more, "sts:SetSourceIdentity"] if source_identity else [action, *more]


async def session_policies(query: Query, account_id: str) -> tuple[str, ...]:
    """What the session is to be limited to. Managed policies are taken as they are now."""
    found = []
    document = query.parameters.find("Policy")
    if document is not None:
        parse(document, "session")
        found.append(document)
    number = 1
    while (arn := query.parameters.find(f"PolicyArns.member.{number}.arn")) is not None:
        if number > MOST_POLICIES:
            raise refusal("ValidationError", f"PolicyArns may have {MOST_POLICIES} members at most.")
        policy = await managed.found_in(query, account_id, arn)
        if policy is None:
            raise refusal("ValidationError", f"Policy {arn} does not exist in the role's account.")
        found.append((await managed.default(query, policy)).document.decode())
        number += 1
    return tuple(found)


def duration(parameters: Parameters, most: int, *, chained: bool) -> int:
    """How long the session is to last."""
    seconds = parameters.number("DurationSeconds", LEAST_SECONDS, LEAST_DURATION, MOST_SECONDS)
    if seconds > most:
        why = (
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining."
            if chained
            else "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
        )
        raise refusal("ValidationError", why)
    return seconds


def role_of(
    query: Query,
    role: IdentityRow,
    name: str,
    seconds: int,
    policies: tuple[str, ...],
    tags: SessionTags,
    **words: Any,
) -> Session:
    """A session of a role. It ends with the role, not with the key of whoever assumed it."""
    return new_session(
        query,
        seconds,
        account_id=role.account_id,
        kind=ROLE,
        name=role.folded,
        identity_id=role.identity_id,
        session_name=name,
        policies=policies,
        tags={**tags.named, **tags.inherited},
        transitive=tags.transitive,
        **words,
    )


def new_session(query: Query, seconds: int, **words: Any) -> Session:
    """Fresh keys for so long."""
    now = int(query.now.timestamp())
    words.setdefault("account_id", query.account_id)
    return Session(new_access_key(TEMPORARY), new_secret(), now + seconds, now, **words)


def credentials(identities: Identities, session: Session) -> dict[str, Any]:
    """The element that has the keys and the token."""
    token = identities.token_of(session)
    if len(token) > MAX_TOKEN_CHARACTERS:
        raise refusal(
            "PackedPolicyTooLarge",
            f"The session's policies and tags take {packed_percent(token)}% of what a session may have.",
        )
    return {
        "AccessKeyId": session.access_key,
        "SecretAccessKey": session.secret_key,
        "SessionToken": token,
        "Expiration": session.expires_at(),
    }


def packed(identities: Identities, session: Session) -> dict[str, int]:
    """How much of the room for policies and tags is taken, if there are any."""
    if not session.policies and not session.tags:
        return {}
    return {"PackedPolicySize": packed_percent(identities.token_of(session))}


def packed_percent(token: str) -> int:
    return -(-100 * len(token) // MAX_TOKEN_CHARACTERS)
