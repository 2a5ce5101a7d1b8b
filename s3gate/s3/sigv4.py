"""AWS Signature Version 4, in the Authorization header and in the query: verification of one request.

It sees the request as it came over the wire, `now` as an argument and secrets through a function. It knows
nothing of permissions, bodies or buckets. Every refusal is an S3Error with AWS's code.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha256

from s3gate.s3.canonical import (
    TERMINATOR,
    canonical_headers,
    canonical_path,
    canonical_query,
    signing_key_of,
)
from s3gate.s3.credentials import (
    MAX_SKEW,
    Authentication,
    Credential,
    PayloadMode,
    SecretOf,
    check_skew,
    check_token,
    known_credential,
    payload_mode,
)
from s3gate.s3.dates import iso_seconds, parse_http_date
from s3gate.s3.errors import S3Error, not_implemented
from s3gate.s3.request import Headers, Request

ALGORITHM = "AWS4-HMAC-SHA256"
ASYMMETRIC_ALGORITHM = "AWS4-ECDSA-P256-SHA256"
MAX_EXPIRY_SECONDS = 604_800

QUERY_PARAMETERS = (
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Signature",
    "X-Amz-Date",
    "X-Amz-SignedHeaders",
    "X-Amz-Expires",
)

_TIMESTAMP = re.compile(r"[0-9]{8}T[0-9]{6}Z").fullmatch


def authenticate_header(
    request: Request,
    now: datetime,
    secret_of: SecretOf,
    region: str,
    service: str = "s3",
    region_aliases: frozenset[str] = frozenset(),
    computed_sha256: str | None = None,
) -> Authentication:
    """Verifies the Authorization header. The caller has seen that it starts with the algorithm.

    `computed_sha256` is the body's own hash, for services whose clients do not send it along.
    """
    headers = request.headers
    access_key, scope, signed_headers, signature = _parse_authorization(headers.get("authorization") or "")
    timestamp, signed_at = _header_timestamp(headers)
    check_scope(scope, timestamp, region, service, region_aliases, _header_error)
    credential = known_credential(secret_of, access_key)
    check_skew(signed_at, now)
    check_token(credential, headers.get("x-amz-security-token"))
    claim = headers.get("x-amz-content-sha256")
    claim = computed_sha256 if claim is None else claim
    if claim is None:
        raise S3Error.of("InvalidRequest", "Missing required header for this request: x-amz-content-sha256")
    mode, body_hash = payload_mode(claim)
    signing_key, seed = _verify(request, credential, scope, timestamp, signed_headers, claim, signature)
    return Authentication(access_key, mode, body_hash, signing_key, seed, "/".join(scope), timestamp)


def authenticate_query(
    request: Request,
    now: datetime,
    secret_of: SecretOf,
    region: str,
    service: str = "s3",
    region_aliases: frozenset[str] = frozenset(),
    computed_sha256: str | None = None,
) -> Authentication:
    """Verifies a presigned URL."""
    query = request.query
    algorithm, credential_text, signature, timestamp, signed_headers, expiry = _query_parameters(request)
    if algorithm != ALGORITHM:
        if algorithm == ASYMMETRIC_ALGORITHM:
            raise not_implemented("X-Amz-Algorithm", "SigV4A (AWS4-ECDSA-P256-SHA256) is not implemented")
        raise _query_error(f'X-Amz-Algorithm only supports "{ALGORITHM}"')
    access_key, scope = split_credential(credential_text, _credential_error)
    signed_at = instant(timestamp)
    if signed_at is None:
        raise _query_error("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
    expires_in = _expiry_seconds(expiry)
    check_scope(scope, timestamp, region, service, region_aliases, _credential_error)
    credential = known_credential(secret_of, access_key)
    _check_window(signed_at, expires_in, now)
    token = query.get("X-Amz-Security-Token")
    check_token(credential, request.headers.get("x-amz-security-token") if token is None else token)
    claim = query.get("X-Amz-Content-Sha256") or request.headers.get("x-amz-content-sha256") or computed_sha256
    mode, body_hash = (PayloadMode.UNSIGNED, "") if claim is None else payload_mode(claim)
    signing_key, seed = _verify(
        request, credential, scope, timestamp, signed_headers, claim or "UNSIGNED-PAYLOAD", signature
    )
    return Authentication(access_key, mode, body_hash, signing_key, seed, "/".join(scope), timestamp, presigned=True)


def _verify(
    request: Request,
    credential: Credential,
    scope: tuple[str, str, str, str],
    timestamp: str,
    signed_headers: str,
    payload: str,
    signature: str,
) -> tuple[bytes, str]:
    """The signing key and the signature, or SignatureDoesNotMatch."""
    raw_path = request.raw_path
    path = canonical_path(raw_path)
    query = request.query
    rest = b"\n".join(
        (
            canonical_query(query.pairs) if query.raw else b"",
            canonical_headers(request.headers, signed_headers),
            signed_headers.encode(),
            payload.encode(),
        )
    )
    date, region, service, _ = scope
    key = signing_key_of(credential.secret_key, date, region, service)
    prefix = f"{ALGORITHM}\n{timestamp}\n{'/'.join(scope)}\n"
    given = signature.encode()
    # Some clients (curl) sign the path as they spell it. That form never equals another path's canonical one.
    for spelling in (path,) if path == raw_path else (raw_path, path):
        canonical = b"%b\n%b\n%b" % (request.method.encode(), spelling, rest)
        to_sign = prefix + sha256(canonical).hexdigest()
        expected = hmac.digest(key, to_sign.encode(), "sha256").hex()
        if hmac.compare_digest(expected.encode(), given):
            return key, expected
    raise S3Error.of(
        "SignatureDoesNotMatch",
        AWSAccessKeyId=credential.access_key,
        StringToSign=to_sign,
        SignatureProvided=signature,
        StringToSignBytes=to_sign.encode().hex(" "),
        CanonicalRequest=canonical.decode("utf-8", "replace"),
        CanonicalRequestBytes=canonical.hex(" "),
    )


def _parse_authorization(text: str) -> tuple[str, tuple[str, str, str, str], str, str]:
    """(access key, scope, signed headers, signature) of the header."""
    fields = {}
    for field in text[len(ALGORITHM) :].split(","):
        name, _, value = field.strip().partition("=")
        fields[name] = value
    try:
        credential, signed, signature = fields["Credential"], fields["SignedHeaders"], fields["Signature"]
    except KeyError as missing:
        raise _header_error(f"missing {missing.args[0]}") from None
    if len(fields) != 3:
        raise _header_error("it has fields other than Credential, SignedHeaders and Signature")
    access_key, scope = split_credential(credential, _header_error)
    return access_key, scope, signed, signature


def split_credential(text: str, refuse: Callable[[str], S3Error]) -> tuple[str, tuple[str, str, str, str]]:
    """(access key, (date, region, service, terminator)) of a Credential; `refuse` makes the error of a bad one."""
    pieces = text.rsplit("/", 4)
    if len(pieces) != 5 or not pieces[0]:
        raise refuse(
            f'the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/{TERMINATOR}", got "{text}"'
        )
    access_key, date, region, service, terminator = pieces
    return access_key, (date, region, service, terminator)


def _query_parameters(request: Request) -> list[str]:
    values = [request.query.get(name) for name in QUERY_PARAMETERS]
    if not all(values):
        raise _query_error(
            "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, "
            "X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."
        )
    return [value or "" for value in values]


def check_scope(
    scope: tuple[str, str, str, str],
    timestamp: str,
    region: str,
    service: str,
    region_aliases: frozenset[str],
    refuse: Callable[[str], S3Error],
) -> None:
    """Whether the signature was made for this day, region and service; `refuse` makes the error of another one."""
    date, scope_region, scope_service, terminator = scope
    if scope_region != region and scope_region not in region_aliases:
        message = f"the region '{scope_region}' is wrong; expecting '{region}'"
        error = refuse(message)
        error.extra["Region"] = region
        raise error
    if scope_service != service:
        message = f'incorrect service "{scope_service}". This endpoint belongs to "{service}".'
        raise refuse(message)
    if terminator != TERMINATOR:
        message = f'incorrect terminal "{terminator}". This endpoint uses "{TERMINATOR}".'
        raise refuse(message)
    if date != timestamp[:8]:
        message = f'Invalid credential date "{date}". This date is not the same as X-Amz-Date: "{timestamp[:8]}".'
        raise refuse(message)


def _header_timestamp(headers: Headers) -> tuple[str, datetime]:
    """When the request says it was signed: x-amz-date, else Date; in the basic ISO form, and as a moment."""
    timestamp = headers.get("x-amz-date")
    if timestamp is None:
        timestamp = headers.get("date") or ""
        if not _TIMESTAMP(timestamp):
            timestamp = _basic_form(timestamp)
    signed_at = instant(timestamp)
    if signed_at is None:
        raise S3Error.of("AccessDenied", "AWS authentication requires a valid Date or x-amz-date header")
    return timestamp, signed_at


def _basic_form(http_date: str) -> str:
    moment = parse_http_date(http_date)
    return "" if moment is None else f"{moment:%Y%m%dT%H%M%SZ}"


@lru_cache(maxsize=256)
def instant(timestamp: str) -> datetime | None:
    """The moment of a basic ISO timestamp; many requests share one."""
    if not _TIMESTAMP(timestamp):
        return None
    try:
        return datetime.strptime(timestamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None


def _expiry_seconds(text: str) -> int:
    try:
        seconds = int(text[:20]) if text.lstrip("-").isdecimal() and text.isascii() else None
    except ValueError:
        seconds = None
    if seconds is None:
        raise _query_error("X-Amz-Expires should be a number")
    if seconds < 0:
        raise _query_error("X-Amz-Expires must be non-negative")
    if seconds > MAX_EXPIRY_SECONDS:
        raise _query_error(
            "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be "
            f"less than {MAX_EXPIRY_SECONDS} seconds"
        )
    return seconds


def _check_window(signed_at: datetime, expires_in: int, now: datetime) -> None:
    if signed_at - now > MAX_SKEW:
        raise S3Error.of("AccessDenied", "Request is not valid yet")
    expires_at = signed_at + timedelta(seconds=expires_in)
    if expires_in == 0 or now > expires_at:
        raise S3Error.of(
            "AccessDenied",
            "Request has expired",
            **{"X-Amz-Expires": str(expires_in)},
            Expires=iso_seconds(expires_at),
            ServerTime=iso_seconds(now),
        )


def _header_error(detail: str) -> S3Error:
    return S3Error.of("AuthorizationHeaderMalformed", f"The authorization header is malformed; {detail}")


def _query_error(message: str) -> S3Error:
    return S3Error.of("AuthorizationQueryParametersError", message)


def _credential_error(detail: str) -> S3Error:
    return _query_error(f"Error parsing the X-Amz-Credential parameter; {detail}")
