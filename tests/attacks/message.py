"""One request as its parts, so that an attack can change one of them; and signatures of version 2."""

from __future__ import annotations

import hmac
import re
import time
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import format_datetime
from urllib.parse import quote

from tests.limits.wire import Signer

Headers = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True)
class Message:
    """What goes over the wire. `query` as it stands there, without its question mark."""

    method: str
    path: str
    query: str
    headers: Headers
    body: bytes = b""

    @classmethod
    def parse(cls, raw: bytes) -> Message:
        """The parts of a well-formed request."""
        head, _, body = raw.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        method, target, _ = first.decode().split(" ")
        path, _, query = target.partition("?")
        pairs = [line.partition(b": ") for line in lines]
        return cls(method, path, query, tuple((name.decode().lower(), value) for name, _, value in pairs), body)

    @property
    def raw(self) -> bytes:
        target = f"{self.path}?{self.query}" if self.query else self.path
        head = f"{self.method} {target} HTTP/1.1\r\n".encode()
        return head + b"".join(b"%b: %b\r\n" % (n.encode(), v) for n, v in self.headers) + b"\r\n" + self.body

    def header(self, name: str) -> bytes:
        return next((value for sent, value in self.headers if sent == name), b"")

    def to(self, path: str) -> Message:
        return replace(self, path=path)

    def asking(self, more: str) -> Message:
        """With one more parameter."""
        return replace(self, query=f"{self.query}&{more}" if self.query else more)

    def with_query(self, name: str, value: str) -> Message:
        """With another value of the parameter."""
        changed = re.sub(
            rf"(^|&){re.escape(name)}=[^&]*", lambda m: f"{m[1]}{name}={quote(value, safe='')}", self.query
        )
        return replace(self, query=changed)

    def adding(self, name: str, value: str | bytes) -> Message:
        data = value.encode() if isinstance(value, str) else value
        return replace(self, headers=(*self.headers, (name, data)))

    def before(self, name: str, value: str | bytes) -> Message:
        """As the first of the headers."""
        data = value.encode() if isinstance(value, str) else value
        return replace(self, headers=((name, data), *self.headers))

    def without(self, name: str) -> Message:
        return replace(self, headers=tuple(pair for pair in self.headers if pair[0] != name))

    def having(self, name: str, value: str | bytes) -> Message:
        """With another value of the header."""
        return self.without(name).adding(name, value)

    def substituting(self, name: str, old: bytes, new: bytes) -> Message:
        """With something else in a header's value; it must have been there."""
        value = self.header(name)
        assert old in value, (name, value, old)
        return self.having(name, value.replace(old, new))


def _string_to_sign(method: str, target: str, date: str, headers: Sequence[tuple[str, str]]) -> bytes:
    """`target` names no parameter but those that version 2 signs."""
    named = dict(headers)
    amz = "".join(f"{name}:{value}\n" for name, value in sorted(headers) if name.startswith("x-amz-"))
    first = f"{method}\n{named.get('content-md5', '')}\n{named.get('content-type', '')}\n{date}\n"
    return f"{first}{amz}{target}".encode()


def _sign(signer: Signer, text: bytes) -> str:
    return b64encode(hmac.digest(signer.secret_key.encode(), text, "sha1")).decode()


def _lines(signer: Signer, headers: Sequence[tuple[str, str]], body: bytes) -> list[tuple[str, bytes]]:
    sent = [("host", signer.host), *headers, ("content-length", str(len(body)))]
    return [(name, value.encode()) for name, value in sent]


def version_2(
    signer: Signer, method: str, target: str, headers: Sequence[tuple[str, str]] = (), body: bytes = b""
) -> Message:
    """Signed in its header."""
    date = format_datetime(datetime.now(UTC), usegmt=True)
    signature = _sign(signer, _string_to_sign(method, target, date, headers))
    lines = [*_lines(signer, headers, body), ("date", date.encode())]
    lines.append(("authorization", f"AWS {signer.access_key}:{signature}".encode()))
    path, _, query = target.partition("?")
    return Message(method, path, query, tuple(lines), body)


def version_2_link(
    signer: Signer, method: str, target: str, headers: Sequence[tuple[str, str]] = (), body: bytes = b""
) -> Message:
    """Signed in its query, for ten minutes."""
    expires = str(int(time.time()) + 600)
    signature = _sign(signer, _string_to_sign(method, target, expires, headers))
    path, _, query = target.partition("?")
    own = f"AWSAccessKeyId={signer.access_key}&Expires={expires}&Signature={quote(signature, safe='')}"
    query = f"{query}&{own}" if query else own
    return Message(method, path, query, tuple(_lines(signer, headers, body)), body)


def version_4(
    signer: Signer, method: str, target: str, headers: Sequence[tuple[str, str]] = (), body: bytes = b""
) -> Message:
    """Signed in its header, all of its headers and its body."""
    return Message.parse(signer.request(method, target, headers, body).raw)


def version_4_link(
    signer: Signer, method: str, target: str, headers: Sequence[tuple[str, str]] = (), body: bytes = b""
) -> Message:
    """Signed in its query, for ten minutes; of the headers only the host is signed, and others must not come."""
    assert not any(name.startswith("x-amz-") for name, _ in headers)
    made = Message.parse(signer.presigned(method, target))
    for name, value in headers:
        made = made.adding(name, value)
    return replace(made, headers=(*made.headers, ("content-length", b"%d" % len(body))), body=body)
