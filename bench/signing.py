"""SigV4 for the load generator: header signatures, made ahead of the timed run.

It shares nothing with the server it measures, so that it can be pointed at any S3 endpoint.
Source: AWS, "Authenticating Requests (AWS Signature Version 4)".
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime
from urllib.parse import quote

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")


class Signer:
    """Builds complete request heads for one endpoint and one key pair."""

    def __init__(self, host: str, access_key: str, secret_key: str, region: str) -> None:
        now = datetime.now(UTC)
        self.host = host
        self.stamp = now.strftime("%Y%m%dT%H%M%SZ")
        self.scope = f"{self.stamp[:8]}/{region}/s3/aws4_request"
        self.access_key = access_key
        key = _hmac(b"AWS4" + secret_key.encode(), self.stamp[:8])
        for part in (region, "s3", "aws4_request"):
            key = _hmac(key, part)
        self.key = key

    def head(
        self, method: str, path: str, query: dict[str, str], body_hash: str = EMPTY_SHA256, length: int = 0
    ) -> bytes:
        """The request line and headers, blank line included. `path` is unescaped, with its leading slash."""
        target = quote(path, safe="/-_.~")
        pairs = sorted((quote(k, safe="-_.~"), quote(v, safe="-_.~")) for k, v in query.items())
        search = "&".join(f"{k}={v}" for k, v in pairs)
        signed = "host;x-amz-content-sha256;x-amz-date"
        canonical = (
            f"{method}\n{target}\n{search}\nhost:{self.host}\nx-amz-content-sha256:{body_hash}\n"
            f"x-amz-date:{self.stamp}\n\n{signed}\n{body_hash}"
        )
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        to_sign = f"AWS4-HMAC-SHA256\n{self.stamp}\n{self.scope}\n{digest}"
        signature = hmac.new(self.key, to_sign.encode(), "sha256").hexdigest()
        return (
            f"{method} {target}{'?' + search if search else ''} HTTP/1.1\r\nHost: {self.host}\r\n"
            f"x-amz-date: {self.stamp}\r\nx-amz-content-sha256: {body_hash}\r\n"
            f"Authorization: AWS4-HMAC-SHA256 Credential={self.access_key}/{self.scope}, "
            f"SignedHeaders={signed}, Signature={signature}\r\nContent-Length: {length}\r\n\r\n"
        ).encode()
