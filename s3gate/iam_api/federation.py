"""GetFederationToken: temporary credentials for somebody whom the caller knows by a name of its own."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from s3gate.catalog.identity_rows import USER, fold
from s3gate.iam.principal import federated_user
from s3gate.iam_api.errors import invalid, refusal
from s3gate.iam_api.query import Answer, Query
from s3gate.iam_api.session_tags import wanted_tags
from s3gate.iam_api.sts import (
    LEAST_DURATION,
    MOST_DURATION,
    MOST_ROOT_DURATION,
    USUAL_DURATION,
    credentials,
    new_session,
    packed,
    session_policies,
)

_NAME: Final = r"[\w+=,.@-]*"
_NAME_FITS = re.compile(_NAME, re.ASCII).fullmatch


async def get_federation_token(query: Query) -> Answer:
    """They may what the caller may and the policies of the request allow both: without policies nothing."""
    name = query.parameters.text("Name", 32, 2)
    if not _NAME_FITS(name):
        raise invalid("Name", name, f"Member must satisfy regular expression pattern: {_NAME}")
    caller, behind = query.identity, query.identity.principal
    if caller.expires:
        raise refusal("AccessDenied", "Cannot call GetFederationToken with session credentials")
    tags = wanted_tags(query).named
    who = federated_user(behind, name, tags)
    query.allow(who.arn)
    if tags:
        replace(query, action="TagSession").allow(who.arn)
    most = MOST_ROOT_DURATION if behind.is_root else MOST_DURATION
    seconds = query.parameters.number("DurationSeconds", USUAL_DURATION, LEAST_DURATION, MOST_DURATION)
    session = new_session(
        query,
        min(seconds, most),
        kind="" if behind.is_root else USER,
        name=fold(behind.name),
        identity_id=behind.user_id,
        source_key=caller.source_key,
        federated_name=name,
        policies=await session_policies(query, query.account_id),
        tags=tags,
    )
    return {
        "Credentials": credentials(query.identities, session),
        "FederatedUser": {"FederatedUserId": who.user_id, "Arn": who.arn},
        **packed(query.identities, session),
    }


async def decode_authorization_message(query: Query) -> Answer:
    """Refusals say here what they say: none has an encoded message, so that there is none to decode."""
    query.allow("*")
    query.parameters.text("EncodedMessage", 10_240)
    raise refusal("InvalidAuthorizationMessageException", "Message is not valid.")
