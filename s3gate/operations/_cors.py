"""The cross-origin rules of a bucket as they stand now: for preflights, and for the answers to requests from pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from s3gate.catalog.errors import CatalogError
from s3gate.operations.exchange import Call, RawHeaders
from s3gate.s3 import cors, xml_cors
from s3gate.s3.errors import S3Error
from s3gate.s3.names import check_bucket_name

if TYPE_CHECKING:
    from s3gate.catalog.rows import BucketRow
    from s3gate.gate import Gate
    from s3gate.s3.request import Request


async def find_rules(gate: Gate, bucket: str) -> Sequence[cors.CorsRule] | None:
    """None: there is no such bucket. No rules: it has no configuration."""
    row = await gate.catalog.find_bucket(bucket, fresh=True)
    return None if row is None else _rules_of(row)


async def headers_for_page(gate: Gate, request: Request, call: Call | None) -> RawHeaders:
    """What the answer to this request, which has an Origin, carries for the page; refusals too, or it sees nothing.

    `call` is one that succeeded: the bucket that it was let into need not be looked up again. It never fails: what is
    wrong with the request, or with the catalog, its operation says. A preflight is itself the question, and answered by
    its own operation.
    """
    if request.method == "OPTIONS":
        return []
    try:
        check_bucket_name(request.bucket)
        row = None if call is None else call.bucket
        rules = await find_rules(gate, request.bucket) if row is None else _rules_of(row)
    except (S3Error, CatalogError):
        return []
    return cors.actual(rules, request.headers, request.method) if rules else []


def _rules_of(row: BucketRow) -> Sequence[cors.CorsRule]:
    document = row.settings.get("cors")
    return () if document is None else xml_cors.rules(document)
