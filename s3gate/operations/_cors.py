"""The cross-origin rules of a bucket as they stand now: for preflights, and for the answers to requests from pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from s3gate.catalog.errors import CatalogError
from s3gate.operations.exchange import RawHeaders
from s3gate.s3 import cors, xml_cors
from s3gate.s3.errors import S3Error
from s3gate.s3.names import check_bucket_name

if TYPE_CHECKING:
    from s3gate.gate import Gate
    from s3gate.s3.request import Request


async def find_rules(gate: Gate, bucket: str) -> Sequence[cors.CorsRule] | None:
    """None: the bucket has no configuration, or there is no such bucket."""
    row = await gate.catalog.find_bucket(bucket, fresh=True)
    document = None if row is None else row.settings.get("cors")
    return None if document is None else xml_cors.rules(document)


async def headers_for_page(gate: Gate, request: Request) -> RawHeaders:
    """What the answer to this request, which has an Origin, carries for the page; refusals too, or it sees nothing.

    It never fails: what is wrong with the request, or with the catalog, its operation says. A preflight is itself the
    question, and answered by its own operation.
    """
    if request.method == "OPTIONS":
        return []
    try:
        check_bucket_name(request.bucket)
        rules = await find_rules(gate, request.bucket)
    except (S3Error, CatalogError):
        return []
    return cors.actual(rules, request.headers, request.method) if rules else []
