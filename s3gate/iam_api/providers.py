"""OpenID Connect providers: whose tokens AssumeRoleWithWebIdentity believes."""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import urlsplit

from s3gate.catalog import identity_changes as changes
from s3gate.catalog.identity_rows import PROVIDER, IdentityRow, fold
from s3gate.iam_api import entities
from s3gate.iam_api.errors import exists, invalid, limit, refusal
from s3gate.iam_api.query import MOST_ITEMS, Answer, Query
from s3gate.iam_api.quotas import check_quota
from s3gate.identity.documents import changed, said, tags_of, written
from s3gate.identity.naming import arn_of, identity_arn

MOST_CLIENT_IDS: Final = 100
MOST_THUMBPRINTS: Final = 5
_THUMBPRINT = re.compile(r"[0-9a-fA-F]{40}").fullmatch
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def is_acceptable_url(url: str) -> bool:
    """https; plain http to this machine only, where there is no wire to listen on."""
    try:
        parts = urlsplit(url)
        good = parts.port is None or parts.port > 0
    except ValueError:
        return False
    scheme = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
    return good and scheme and bool(parts.hostname) and not (parts.query or parts.fragment or parts.username)


def name_of(url: str) -> str:
    """How a provider's ARN and trust policies name it: its address without the scheme."""
    return url.partition("://")[2].rstrip("/")


async def _provider(query: Query) -> IdentityRow | None:
    """The provider that the request names, once it is clear that the caller may do this to it; None: there is none."""
    arn = query.parameters.arn("OpenIDConnectProviderArn")
    row = await query.tables.find(query.account_id, PROVIDER, fold(arn.partition(":oidc-provider/")[2]))
    row = row if row is not None and arn_of(row) == arn else None
    query.allow(arn, row)
    return row


async def asked_provider(query: Query) -> IdentityRow:
    """The same, or NoSuchEntity."""
    row = await _provider(query)
    if row is None:
        arn = query.parameters.find("OpenIDConnectProviderArn")
        raise refusal("NoSuchEntity", f"OpenIDConnect Provider not found for arn {arn}")
    return row


def _thumbprints(query: Query) -> list[str]:
    found = query.parameters.members("ThumbprintList")
    if len(found) > MOST_THUMBPRINTS:
        raise refusal("InvalidInput", f"Thumbprint list must contain fewer than {MOST_THUMBPRINTS} entries.")
    for one in found:
        if not _THUMBPRINT(one):
            raise invalid("ThumbprintList", one, "Member must have length equal to 40 and hexadecimal digits only")
    return [one.lower() for one in found]


def _client_id(value: str) -> str:
    if not 1 <= len(value) <= 255:
        raise invalid("ClientID", value, "Member must have length less than or equal to 255")
    return value


async def create_provider(query: Query) -> Answer:
    url = query.parameters.text("Url", 255)
    if not is_acceptable_url(url):
        raise refusal("ValidationError", "Invalid Open ID Connect Provider URL")
    arn = identity_arn(query.account_id, PROVIDER, "/", name_of(url))
    query.allow(arn)
    clients = [_client_id(one) for one in query.parameters.members("ClientIDList")]
    if len(clients) > MOST_CLIENT_IDS:
        raise limit("ClientIdsPerOpenIdConnectProvider", MOST_CLIENT_IDS)
    tags = query.parameters.tags()
    if await query.tables.find(query.account_id, PROVIDER, fold(name_of(url))) is not None:
        raise exists(f"Provider with url {url} already exists.")
    await check_quota(query, PROVIDER)
    words = written(url=url, clients=clients, thumbprints=_thumbprints(query), tags=tags)
    row = IdentityRow(query.account_id, PROVIDER, name_of(url), "", "/", words, query.now)
    query.steps += changes.put_identity(row)
    return {"OpenIDConnectProviderArn": arn, "Tags": entities.shown_tags(tags) if tags else None}


async def get_provider(query: Query) -> Answer:
    row = await asked_provider(query)
    words: dict[str, Any] = said(row)
    return {
        "Url": row.name,
        "ClientIDList": words.get("clients", []),
        "ThumbprintList": words.get("thumbprints", []),
        "CreateDate": row.created_at,
        "Tags": entities.shown_tags(tags_of(row)),
    }


async def list_providers(query: Query) -> Answer:
    query.allow("*")
    rows = await query.tables.below(query.account_id, PROVIDER, "/", "", MOST_ITEMS)
    return {"OpenIDConnectProviderList": [{"Arn": arn_of(row)} for row in rows]}


async def delete_provider(query: Query) -> Answer:
    """One that is not there is as good as gone, as AWS has it."""
    row = await _provider(query)
    if row is not None:
        query.steps += changes.drop_identity(row)
    return None


async def add_client_id(query: Query) -> Answer:
    row = await asked_provider(query)
    clients = list(said(row).get("clients", []))
    client = _client_id(query.parameters.text("ClientID", 255))
    if client in clients:
        return None
    if len(clients) >= MOST_CLIENT_IDS:
        raise limit("ClientIdsPerOpenIdConnectProvider", MOST_CLIENT_IDS)
    query.steps += changes.put_identity(changed(row, clients=[*clients, client]))
    return None


async def remove_client_id(query: Query) -> Answer:
    row = await asked_provider(query)
    gone = query.parameters.text("ClientID", 255)
    clients = [one for one in said(row).get("clients", []) if one != gone]
    query.steps += changes.put_identity(changed(row, clients=clients))
    return None


async def update_thumbprints(query: Query) -> Answer:
    row = await asked_provider(query)
    query.steps += changes.put_identity(changed(row, thumbprints=_thumbprints(query)))
    return None
