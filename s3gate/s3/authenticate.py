"""The one question asked of every request before routing: who signed this (law 12)?

It picks the mechanism and refuses two at once; the verification itself is in sigv4 and sigv2. Whether the
caller may do what is asked is not decided here: an anonymous request is a valid answer. One thing it changes:
headers that a presigner moved into the query become headers of the request.
"""

from __future__ import annotations

import re
from datetime import datetime

from s3gate.s3 import sigv2, sigv4
from s3gate.s3.credentials import Authentication, PayloadMode, SecretOf, payload_mode
from s3gate.s3.errors import S3Error, invalid_argument, not_implemented
from s3gate.s3.request import Headers, Request

_TOKEN = re.compile(rb"[a-z0-9!#$%&'*+.^_`|~-]+").fullmatch
_AUTHENTICATION_PARAMETERS = frozenset(
    name.lower().encode() for name in (*sigv4.QUERY_PARAMETERS, "X-Amz-Security-Token", "X-Amz-Content-Sha256")
)


def authenticate(
    request: Request,
    now: datetime,
    secret_of: SecretOf,
    region: str,
    *,
    region_aliases: frozenset[str] = frozenset(),
    sigv2_enabled: bool = True,
) -> Authentication:
    """Who signed the request and what of it; `now` has a time zone. Raises S3Error."""
    if request.method == "OPTIONS":  # a browser's preflight; a presigned URL in it was signed for another method
        return Authentication.ANONYMOUS
    authorization = request.headers.get("authorization") or None  # an empty one names nobody
    query = request.query
    in_query = query.raw != b"" and any(
        name in query for name in ("X-Amz-Algorithm", "X-Amz-Signature", "X-Amz-Credential")
    )
    v2_query = query.raw != b"" and ("Signature" in query or "AWSAccessKeyId" in query)
    if (authorization is not None) + in_query + v2_query > 1:
        raise invalid_argument(
            "Authorization",
            authorization or "",
            "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query "
            "string parameter or the Authorization header should be specified",
        )
    if authorization is not None:
        if authorization.startswith(sigv4.ALGORITHM):
            return sigv4.authenticate_header(request, now, secret_of, region, region_aliases=region_aliases)
        if authorization.startswith(sigv4.ASYMMETRIC_ALGORITHM):
            raise not_implemented("Authorization", "SigV4A (AWS4-ECDSA-P256-SHA256) is not implemented")
        if authorization.count(" ") != 1:  # in S3's words: laurilehmijoki/s3_website#178
            raise invalid_argument(
                "Authorization",
                authorization,
                "Authorization header is invalid -- one and only one ' ' (space) required",
            )
        if authorization.startswith("AWS "):
            sigv2.check_enabled(sigv2_enabled)
            return sigv2.authenticate_header(request, now, secret_of)
        raise invalid_argument("Authorization", authorization, "Unsupported Authorization Type")
    if in_query:
        found = sigv4.authenticate_query(request, now, secret_of, region, region_aliases=region_aliases)
    elif v2_query:
        sigv2.check_enabled(sigv2_enabled)
        found = sigv2.authenticate_query(request, now, secret_of)
    else:
        return _anonymous(request)
    _take_hoisted_headers(request)
    return found


def _take_hoisted_headers(request: Request) -> None:
    """Signed headers that the presigner moved into the query count as headers: x-amz-acl, x-amz-meta-* …

    A header that was sent as well stands; what only authenticates is left where it is.
    """
    moved = [
        (name, value)
        for name, value in sigv2.hoisted(request.query).items()
        if name not in _AUTHENTICATION_PARAMETERS and request.headers.get_bytes(name) is None
    ]
    for name, _ in moved:
        if _TOKEN(name) is None:
            raise invalid_argument(name.decode(), "", "A query parameter is not the name of a header.")
    if moved:
        request.headers = Headers([*request.headers.raw, *moved])


def _anonymous(request: Request) -> Authentication:
    """Nobody signed; the body may still be hashed or framed, but no chunk of it can be signed."""
    claim = request.headers.get("x-amz-content-sha256")
    if claim is None:
        return Authentication.ANONYMOUS
    mode, body_hash = payload_mode(claim)
    if mode.signs_chunks:
        raise S3Error.of("AccessDenied", "Signed chunks need a signed request")
    return Authentication("", mode, body_hash) if mode is not PayloadMode.UNSIGNED else Authentication.ANONYMOUS
