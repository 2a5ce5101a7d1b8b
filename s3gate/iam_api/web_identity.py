"""AssumeRoleWithWebIdentity: a role for whoever brings a token of an OIDC provider that the role's account knows.

The request is not signed: the token is all there is. Who it names is believed only when the provider's key made the
signature, the token is for one of the clients that the provider was made for, and its time has come and not passed.
"""

from __future__ import annotations

from typing import Any, Final

from s3gate.catalog.identity_rows import PROVIDER, IdentityRow, fold
from s3gate.iam.principal import role_session
from s3gate.iam_api import tokens
from s3gate.iam_api.authorise import is_trusted, keys_of
from s3gate.iam_api.errors import refusal
from s3gate.iam_api.jwks import ProviderKeys
from s3gate.iam_api.providers import is_acceptable_url, name_of
from s3gate.iam_api.query import Query
from s3gate.iam_api.roles import session_seconds, trust_of
from s3gate.iam_api.session_tags import SessionTags, tags_of_token, words_of_tags
from s3gate.iam_api.sts import (
    actions_asked,
    check_source,
    credentials,
    duration,
    find_role,
    packed,
    refuse_unbuilt,
    role_and_session,
    role_of,
    session_policies,
)
from s3gate.identity.documents import said
from s3gate.identity.naming import arn_of

SKEW_SECONDS: Final = 60
_ACTION: Final = "sts:AssumeRoleWithWebIdentity"
_SOURCE_CLAIM: Final = "https://aws.amazon.com/source_identity"
_CLAIMS: Final = ("sub", "azp", "amr", "email")
"""What trust policies can ask for under the provider's name, beside for whom the token was made."""


async def assume_role_with_web_identity(query: Query, keys: ProviderKeys) -> dict[str, Any]:
    query.was_asked = True
    refuse_unbuilt(query.parameters)
    arn, name = role_and_session(query.parameters)
    token = tokens.read(query.parameters.text("WebIdentityToken", tokens.MOST_CHARACTERS, 4))
    role = await find_role(query.identities, arn)
    if role is None:
        raise _not_authorised()
    provider = await _provider(query, role, token)
    await _believe(query, provider, token, keys)
    audience = _audience(provider, token)
    tags, source = tags_of_token(token), token.text(_SOURCE_CLAIM)
    if source:
        check_source(source)
    claims = _claims(provider, token, audience)
    _check_trust(query, role, provider, token, claims, tags)
    policies = await session_policies(query, role.account_id)
    seconds = duration(query.parameters, session_seconds(role), chained=False)
    words = {"source_identity": source, "provider": arn_of(provider), "claims": claims}
    session = role_of(query, role, name, seconds, policies, tags, **words)
    who = role_session(role.account_id, "", role.name, role.identity_id, name)
    return {
        "Credentials": credentials(query.identities, session),
        "SubjectFromWebIdentityToken": token.text("sub"),
        "AssumedRoleUser": {"AssumedRoleId": who.user_id, "Arn": who.arn},
        "Provider": token.text("iss"),
        "Audience": audience,
        "SourceIdentity": source or None,
        **packed(query.identities, session),
    }


def _not_authorised(action: str = _ACTION) -> Exception:
    return refusal("AccessDenied", f"Not authorized to perform {action}")


async def _provider(query: Query, role: IdentityRow, token: tokens.Token) -> IdentityRow:
    """The one that the role's account knows by the token's issuer."""
    issuer = token.text("iss")
    row = None
    if is_acceptable_url(issuer):
        row = await query.tables.find(role.account_id, PROVIDER, fold(name_of(issuer)))
    if row is None or said(row)["url"].rstrip("/") != issuer.rstrip("/"):
        raise tokens.not_a_token("No OpenIDConnect provider found in your account for the issuer of the token.")
    return row


async def _believe(query: Query, provider: IdentityRow, token: tokens.Token, keys: ProviderKeys) -> None:
    """The signature first, then the times."""
    words = said(provider)
    found = await keys.find(words["url"], words.get("thumbprints", []), token.key_id)
    tokens.verify(token, found)
    now, expires = query.now.timestamp(), token.moment("exp")
    if expires is None or not token.text("sub"):
        raise tokens.not_a_token("Missing a required claim: exp, sub")
    if expires <= now - SKEW_SECONDS:
        raise refusal(
            "ExpiredTokenException", "Token expired: current date/time must be before the expiration date/time"
        )
    for claim in ("nbf", "iat"):
        if (token.moment(claim) or 0) > now + SKEW_SECONDS:
            raise tokens.not_a_token(f"The token is not valid yet: {claim}")


def _audience(provider: IdentityRow, token: tokens.Token) -> str:
    """Who the token was made for: one of the provider's clients. Made for several, it is for whom it was given to."""
    clients = said(provider).get("clients", [])
    azp = token.text("azp")
    for one in [azp] if azp and len(token.audiences()) > 1 else [*token.audiences(), azp]:
        if one in clients:
            return one
    raise tokens.not_a_token("Incorrect token audience")


def _claims(provider: IdentityRow, token: tokens.Token, audience: str) -> dict[str, tuple[str, ...]]:
    """What policies can ask of the token, by condition key: the role's own too, as long as the session lasts."""
    found = {name: token.texts(name) for name in _CLAIMS}
    found |= {"aud": (audience,), "oaud": token.audiences()}
    return {f"{provider.name}:{name}".lower(): values for name, values in found.items() if values}


def _check_trust(
    query: Query,
    role: IdentityRow,
    provider: IdentityRow,
    token: tokens.Token,
    claims: dict[str, tuple[str, ...]],
    tags: SessionTags,
) -> None:
    words: dict[str, str | tuple[str, ...]] = {
        **words_of_tags(tags),
        **claims,
        "aws:FederatedProvider": arn_of(provider),
        "sts:RoleSessionName": query.parameters.find("RoleSessionName") or "",
        "sts:SourceIdentity": token.text(_SOURCE_CLAIM),
    }
    values = keys_of(query.identity, query.circumstances, words)
    trust = trust_of(role)
    for action in actions_asked(_ACTION, tags, token.text(_SOURCE_CLAIM)):
        if not is_trusted(query.identity, trust, action, arn_of(role), False, values, arn_of(provider)):
            raise _not_authorised(action)
