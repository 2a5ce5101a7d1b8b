"""Configurations of which a bucket has many: each kind is put, shown, removed and listed the same way.

It knows the catalog's settings and S3's ids; what a document may say is `xml_configurations`' to judge.
"""

from __future__ import annotations

from s3gate.catalog.errors import TooManySettings
from s3gate.operations._bucket import find_bucket
from s3gate.operations._configs import read_configuration
from s3gate.operations._replies import xml
from s3gate.operations.exchange import Call, Response
from s3gate.s3 import xml_configurations
from s3gate.s3.errors import S3Error
from s3gate.s3.listing import decode_token, encode_token
from s3gate.s3.xml_configurations import MOST_CONFIGURATIONS, PAGE_CONFIGURATIONS, Kind


async def put_named(call: Call, kind: Kind) -> Response:
    """A document whose Id is the request's; it replaces the one of this id."""
    bucket = await find_bucket(call)
    setting_id = call.request.query.get("id") or ""
    document = xml_configurations.configuration(kind, await read_configuration(call), setting_id)
    try:
        await call.gate.catalog.put_setting(bucket.name, kind.setting, document, setting_id, MOST_CONFIGURATIONS)
    except TooManySettings:
        raise S3Error.of("TooManyConfigurations") from None
    return Response()


async def get_named(call: Call, kind: Kind) -> Response:
    """The document of the request's id, or NoSuchConfiguration."""
    bucket = await find_bucket(call)
    document = await call.gate.catalog.find_setting(bucket.bucket_id, kind.setting, call.request.query.get("id") or "")
    if document is None:
        raise S3Error.of("NoSuchConfiguration")
    return xml(document)


async def delete_named(call: Call, kind: Kind) -> Response:
    """Gone, or NoSuchConfiguration."""
    bucket = await find_bucket(call)
    if not await call.gate.catalog.delete_setting(bucket.name, kind.setting, call.request.query.get("id") or ""):
        raise S3Error.of("NoSuchConfiguration")
    return Response(204)


async def list_named(call: Call, kind: Kind) -> Response:
    """One page in the order of the ids. The token is the last id of the page before."""
    bucket = await find_bucket(call)
    token = call.request.query.get("continuation-token")
    after = decode_token(token).decode("utf-8", "replace") if token else ""
    found = await call.gate.catalog.list_settings(bucket.bucket_id, kind.setting, after, PAGE_CONFIGURATIONS + 1)
    page = found[:PAGE_CONFIGURATIONS]
    next_token = encode_token(page[-1][0].encode()) if len(found) > len(page) else None
    return xml(xml_configurations.configurations(kind, [document for _, document in page], token, next_token))
