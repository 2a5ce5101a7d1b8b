"""Who may sign, what a verified request turned out to be, and the checks that every signature version shares.

It knows no canonical form and computes no signature.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import ClassVar

from s3gate.s3.dates import iso_seconds
from s3gate.s3.errors import S3Error, invalid_argument, not_implemented
from s3gate.s3.request import Request

MAX_SKEW = timedelta(minutes=15)

CLASSIC_REGION = "us-east-1"
_CLASSIC_ALIASES = frozenset(("US",))
"""What s3cmd signs with when nobody told it a region."""

_SHA256 = re.compile(r"[0-9a-fA-F]{64}").fullmatch


@dataclass(frozen=True, slots=True)
class Credential:
    """A key pair; `session_token` is empty for a lasting one."""

    access_key: str
    secret_key: str
    session_token: str = ""


SecretOf = Callable[[str], Credential | None]


class PayloadMode(Enum):
    """How the body is bound to the signature, and whether it is framed as aws-chunked."""

    SIGNED = "hash"
    UNSIGNED = "UNSIGNED-PAYLOAD"
    STREAMING_SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
    STREAMING_SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
    STREAMING_UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"

    streaming: bool
    """The body is framed as aws-chunked."""
    signs_chunks: bool
    has_trailer: bool


for _mode in PayloadMode:  # attributes and not properties: they are read for every request
    _mode.streaming = _mode.value.startswith("STREAMING-")
    _mode.signs_chunks = _mode.value.startswith("STREAMING-AWS4-")
    _mode.has_trailer = _mode.value.endswith("-TRAILER")

_MODES = {mode.value: mode for mode in PayloadMode if mode is not PayloadMode.SIGNED}


@dataclass(slots=True)
class Authentication:
    """What the signature vouches for. The last fields are what chunk signatures are computed from."""

    access_key: str
    payload: PayloadMode
    payload_sha256: str = ""
    """The hex hash that the body must have; only under SIGNED."""
    signing_key: bytes = b""
    seed_signature: str = ""
    scope: str = ""
    timestamp: str = ""
    presigned: bool = False

    ANONYMOUS: ClassVar[Authentication]

    @property
    def is_anonymous(self) -> bool:
        return not self.access_key


Authentication.ANONYMOUS = Authentication("", PayloadMode.UNSIGNED)


def region_aliases(region: str) -> frozenset[str]:
    """Other names that clients sign with when they mean this region."""
    return _CLASSIC_ALIASES if region == CLASSIC_REGION else frozenset()


def payload_mode(claim: str) -> tuple[PayloadMode, str]:
    """What x-amz-content-sha256 says: the mode, and the hash in lower case under SIGNED."""
    mode = _MODES.get(claim)
    if mode is not None:
        return mode, ""
    if _SHA256(claim):
        return PayloadMode.SIGNED, claim.lower()
    if claim.startswith("STREAMING-AWS4-ECDSA-"):
        raise not_implemented("x-amz-content-sha256", f"{claim} is not implemented")
    raise invalid_argument(
        "x-amz-content-sha256",
        claim,
        "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, "
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid "
        "sha256 value.",
    )


def claimed_key(request: Request) -> tuple[str, str]:
    """The access key that a request says it was signed with, and its session token: neither is verified yet."""
    headers, query = request.headers, request.query
    text = headers.get("authorization")
    if text:  # an empty one names nobody
        v2 = text.startswith("AWS ")
        access_key = text[4:].rpartition(":")[0].strip() if v2 else _claimed_scope(request)[0]
        return access_key, headers.get("x-amz-security-token") or ""
    if not query.raw:
        return "", ""
    token = query.get("X-Amz-Security-Token") or query.get("x-amz-security-token")
    token = headers.get("x-amz-security-token") if token is None else token
    return _claimed_scope(request)[0] or query.get("AWSAccessKeyId") or "", token or ""


def claimed_service(request: Request) -> str:
    """The service that a request says it was signed for, by version 4; "" where it does not say."""
    words = _claimed_scope(request)
    return words[3] if len(words) == 5 else ""


def _claimed_scope(request: Request) -> list[str]:
    """The words of the Credential in the header or the query, the access key first: five if it has its form."""
    text = request.headers.get("authorization")
    if text:
        credential = text.partition("Credential=")[2].partition(",")[0].strip()
    else:
        credential = request.query.get("X-Amz-Credential") or ""
    return credential.rsplit("/", 4)


def known_credential(secret_of: SecretOf, access_key: str) -> Credential:
    """The credential of the access key, or InvalidAccessKeyId."""
    credential = secret_of(access_key)
    if credential is None:
        raise S3Error.of("InvalidAccessKeyId", AWSAccessKeyId=access_key)
    return credential


def check_token(credential: Credential, token: str | None) -> None:
    """A temporary key needs its own token, and is nothing without; a lasting key comes without one."""
    if credential.session_token and not token:
        raise S3Error.of("InvalidAccessKeyId", AWSAccessKeyId=credential.access_key)
    if not hmac.compare_digest(credential.session_token.encode(), (token or "").encode()):
        raise S3Error.of("InvalidToken")


def check_skew(signed_at: datetime, now: datetime) -> None:
    """RequestTimeTooSkewed when the clocks are too far apart, in either direction."""
    if abs(now - signed_at) > MAX_SKEW:
        raise S3Error.of(
            "RequestTimeTooSkewed",
            RequestTime=f"{signed_at:%Y%m%dT%H%M%SZ}",
            ServerTime=iso_seconds(now),
            MaxAllowedSkewMilliseconds=str(MAX_SKEW // timedelta(milliseconds=1)),
        )
