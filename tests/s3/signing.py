"""Requests signed by botocore, turned into what a gate would have received."""

from __future__ import annotations

from datetime import UTC, datetime
from unittest import mock
from urllib.parse import urlsplit

from botocore.auth import HmacV1Auth, HmacV1QueryAuth, S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from s3gate.s3.credentials import Credential
from s3gate.s3.request import Request

ACCESS_KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
NOW = datetime(2013, 5, 24, 0, 0, 0, tzinfo=UTC)
EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def secret_of(access_key: str) -> Credential | None:
    return Credential(ACCESS_KEY, SECRET_KEY) if access_key == ACCESS_KEY else None


def received(method: str, url: str, headers: dict[str, str], base_domains: tuple[str, ...] = ()) -> Request:
    """What arrives at the gate when this is sent."""
    parts = urlsplit(url)
    sent = {"host": parts.netloc} | {name.lower(): value for name, value in headers.items()}
    raw = [(name.encode(), value.encode()) for name, value in sent.items()]
    path = parts.path.encode() or b"/"
    return Request.parse(method, path, parts.query.encode(), raw, base_domains=base_domains)


def _aws_request(
    method: str, url: str, headers: dict[str, str], data: bytes, auth_path: str | None = None
) -> AWSRequest:
    request = AWSRequest(method=method, url=url, headers=headers, data=data, auth_path=auth_path)
    request.context["signing"] = {"payload_signing_enabled": True}
    request.context["payload_signing_enabled"] = True
    return request


def _frozen(when: datetime):
    """botocore's clocks, stopped."""
    naive = when.replace(tzinfo=None)
    return (
        mock.patch("botocore.auth.get_current_datetime", lambda *_: naive, create=True),
        mock.patch("botocore.auth.time.time", lambda: when.timestamp()),
        mock.patch("botocore.auth.formatdate", lambda usegmt: f"{when:%a, %d %b %Y %H:%M:%S GMT}"),
    )


def sign(
    signer: str,
    method: str,
    url: str,
    headers: dict[str, str] | None = None,
    *,
    data: bytes = b"",
    when: datetime = NOW,
    region: str = "us-east-1",
    expires: int = 600,
    secret: str = SECRET_KEY,
    token: str | None = None,
    base_domains: tuple[str, ...] = (),
    auth_path: str | None = None,
) -> Request:
    """Signs with v4, v4-query, v2 or v2-query."""
    credentials = Credentials(ACCESS_KEY, secret, token)
    request = _aws_request(method, url, dict(headers or {}), data, auth_path)
    clock, seconds, date = _frozen(when)
    with clock, seconds, date:
        if signer == "v4":
            S3SigV4Auth(credentials, "s3", region).add_auth(request)
        elif signer == "v4-query":
            S3SigV4QueryAuth(credentials, "s3", region, expires=expires).add_auth(request)
        elif signer == "v2":
            HmacV1Auth(credentials).add_auth(request)
        else:
            HmacV1QueryAuth(credentials, expires=expires).add_auth(request)
    kept = {} if signer.endswith("query") else dict(request.headers.items())
    return received(method, request.url, kept, base_domains)
