"""AWS Signature Version 2: the Authorization header and presigned URLs (boto3 still presigns with it).

It signs the method, four headers, every x-amz-* header and the resource with those query parameters that name
a sub-resource. It knows no regions and no payload hash; `now` and the secrets come from the caller.
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote

from s3gate.s3.credentials import (
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
from s3gate.s3.errors import S3Error, invalid_argument
from s3gate.s3.operation import SUBRESOURCES
from s3gate.s3.request import Headers, Query, Request

MAX_EPOCH_SECONDS = 253_402_300_799
"""The end of the year 9999: no datetime can hold what is later."""

SIGNED_PARAMETERS = frozenset(
    (
        b"accelerate acl analytics cors defaultObjectAcl delete inventory lifecycle location logging metrics "
        b"notification object-lock partNumber policy replication requestPayment response-cache-control "
        b"response-content-disposition response-content-encoding response-content-language "
        b"response-content-type response-expires restore select select-type storageClass tagging torrent "
        b"uploadId uploads versionId versioning versions website"
    ).split()
)


def check_enabled(enabled: bool) -> None:
    """InvalidRequest where an operator has switched version 2 off."""
    if not enabled:
        raise S3Error.of(
            "InvalidRequest",
            "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.",
        )


def authenticate_header(request: Request, now: datetime, secret_of: SecretOf) -> Authentication:
    """Verifies `Authorization: AWS access-key:signature`."""
    headers = request.headers
    authorization = headers.get("authorization") or ""
    access_key, _, signature = authorization.removeprefix("AWS ").rpartition(":")
    if not access_key or not signature:
        raise invalid_argument(
            "Authorization",
            authorization,
            "AWS authorization header is invalid.  Expected AwsAccessKeyId:signature",
        )
    signed_at = _date(headers)
    credential = known_credential(secret_of, access_key)
    check_skew(signed_at, now)
    check_token(credential, headers.get("x-amz-security-token"))
    date = "" if "x-amz-date" in headers else headers.get("date") or ""
    _verify(request, credential, dict(headers.items()), date, signature)
    return _authentication(request, access_key, presigned=False)


def authenticate_query(request: Request, now: datetime, secret_of: SecretOf) -> Authentication:
    """Verifies `?AWSAccessKeyId=…&Expires=…&Signature=…`."""
    query = request.query
    access_key, signature, expires = (query.get(name) for name in ("AWSAccessKeyId", "Signature", "Expires"))
    if not access_key or not signature or not expires:
        raise S3Error.of(
            "AccessDenied",
            "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters",
        )
    expires_at = _epoch(expires)
    credential = known_credential(secret_of, access_key)
    if now >= expires_at:
        raise S3Error.of(
            "AccessDenied",
            "Request has expired",
            Expires=iso_seconds(expires_at),
            ServerTime=iso_seconds(now),
        )
    check_token(credential, query.get("x-amz-security-token") or request.headers.get("x-amz-security-token"))
    headers = hoisted(query)
    headers.update(request.headers.items())
    _verify(request, credential, headers, expires, signature)
    return _authentication(request, access_key, presigned=True)


def hoisted(query: Query) -> dict[bytes, bytes]:
    """The headers that a signer moved into the query: botocore does it with these when it presigns."""
    moved: dict[bytes, bytes] = {}
    for name, value in query.pairs:
        lower = name.lower()
        if lower.startswith("x-amz-") or lower in ("content-type", "content-md5"):
            moved.setdefault(lower.encode(), value.encode())
    return moved


def string_to_sign(request: Request, headers: dict[bytes, bytes], date: str, path: bytes) -> bytes:
    """What is signed, for this spelling of the path."""
    lines = [
        request.method.encode(),
        headers.get(b"content-md5", b"").strip(),
        headers.get(b"content-type", b"").strip(),
        date.encode("latin-1"),
    ]
    for name in sorted(headers):
        if name.startswith(b"x-amz-"):
            lines.append(name + b":" + headers[name].strip())
    lines.append(path + _signed_parameters(request.query))
    return b"\n".join(lines)


def _verify(request: Request, credential: Credential, headers: dict[bytes, bytes], date: str, signature: str) -> None:
    """SignatureDoesNotMatch, unless the signature fits one of the spellings of the resource."""
    _check_covered(request)
    given = signature.encode()
    secret = credential.secret_key.encode()
    for path in _resource_paths(request):
        to_sign = string_to_sign(request, headers, date, path)
        if hmac.compare_digest(b64encode(hmac.digest(secret, to_sign, "sha1")), given):
            return
    raise S3Error.of(
        "SignatureDoesNotMatch",
        AWSAccessKeyId=credential.access_key,
        StringToSign=to_sign.decode("utf-8", "replace"),
        SignatureProvided=signature,
        StringToSignBytes=to_sign.hex(" "),
    )


def _check_covered(request: Request) -> None:
    """Nothing newer than version 2 is in what it signs: a link to PUT an object must not become one to lock it."""
    if request.method in ("GET", "HEAD"):
        return
    for name in request.query.names():
        if name in SUBRESOURCES and name.encode() not in SIGNED_PARAMETERS:
            message = f"Signature Version 2 does not cover the sub-resource {name}. Please use AWS4-HMAC-SHA256."
            raise S3Error.of("InvalidRequest", message)


def _resource_paths(request: Request) -> list[bytes]:
    """The path with its bucket, as received. `/bucket` is `/bucket/`, so either may have been signed."""
    path = request.raw_path
    if not request.bucket:
        return [path]
    if request.bucket_in_host:
        return [b"/" + request.bucket.encode() + path]
    if request.key:
        return [path]
    bare = path.removesuffix(b"/")
    return [bare + b"/", bare]


def _signed_parameters(query: Query) -> bytes:
    """`?a&b=decoded value`, sorted by name, a name without "=" left without."""
    wanted = []
    for field in query.raw.split(b"&"):
        name, equals, value = field.partition(b"=")
        if name in SIGNED_PARAMETERS:
            wanted.append((name, equals + unquote(value.decode("latin-1")).encode()))
    if not wanted:
        return b""
    wanted.sort()
    return b"?" + b"&".join([name + rest for name, rest in wanted])


def _date(headers: Headers) -> datetime:
    text = headers.get("x-amz-date") or headers.get("date") or ""
    moment = parse_http_date(text)
    if moment is None:
        raise S3Error.of("AccessDenied", "AWS authentication requires a valid Date or x-amz-date header")
    return moment


def _epoch(text: str) -> datetime:
    if not (text.isascii() and text.isdecimal() and len(text) <= 12 and int(text) <= MAX_EPOCH_SECONDS):
        raise S3Error.of("AccessDenied", f"Invalid date (should be seconds since epoch): {text}")
    return datetime.fromtimestamp(0, UTC) + timedelta(seconds=int(text))


def _authentication(request: Request, access_key: str, presigned: bool) -> Authentication:
    """The signature does not cover the body; a hash that came along is still held to."""
    claim = request.headers.get("x-amz-content-sha256")
    if claim is None:
        return Authentication(access_key, PayloadMode.UNSIGNED, presigned=presigned)
    mode, body_hash = payload_mode(claim)
    if mode.signs_chunks:
        raise S3Error.of("InvalidRequest", "Signed chunks need Signature Version 4")
    return Authentication(access_key, mode, body_hash, presigned=presigned)
