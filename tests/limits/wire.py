"""Requests byte by byte over a socket, and their signatures made here: no client stands between a test and the gate.

The signer is written from AWS's description of Signature Version 4 and shares no line with what it is verified by.
It signs what it is told to sign, right or wrong.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes

from lxml import etree

from tests.fix_store import Store

ALGORITHM = "AWS4-HMAC-SHA256"
EMPTY_SHA256 = hashlib.sha256().hexdigest()
UNSIGNED = "UNSIGNED-PAYLOAD"
TIMEOUT_SECONDS = 40.0

Pairs = Sequence[tuple[str, str | bytes]]


@dataclass(frozen=True)
class Reply:
    """An answer: header names in lower case; whether the server keeps the connection."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def closes(self) -> bool:
        return self.headers.get("connection", "").lower() == "close"

    @property
    def error(self) -> dict[str, str]:
        """The elements of the error document, which must be one: parseable, with the ids of the headers."""
        assert self.headers["content-type"] == "application/xml", self
        root = etree.fromstring(self.body, etree.XMLParser(resolve_entities=False))
        assert root.tag == "Error", self.body
        found = {str(child.tag): child.text or "" for child in root}
        assert found["RequestId"] == self.headers["x-amz-request-id"], self
        assert found["HostId"] == self.headers["x-amz-id-2"], self
        return found

    @property
    def code(self) -> str:
        """The code of an error, "" of a success or of what has no body."""
        return self.error["Code"] if self.status >= 400 and self.body else ""


class Wire:
    """One connection."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS)
        self._received = b""

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Sends what the other side will take: an answer may come, and the connection end, before all is sent."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return

    def ask(self, data: bytes) -> Reply:
        self.send(data)
        return self.reply(bodiless=data.startswith(b"HEAD "))

    def reply(self, bodiless: bool = False) -> Reply:
        """The next answer; 100 Continue is passed over."""
        while (end := self._received.find(b"\r\n\r\n")) < 0:
            self._more()
        head, self._received = self._received[:end], self._received[end + 4 :]
        lines = head.decode("latin-1").split("\r\n")
        status = int(lines[0].split(" ")[1])
        if status == 100:
            return self.reply(bodiless)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        length = 0 if bodiless or status in (204, 304) else int(headers["content-length"])
        while len(self._received) < length:
            self._more()
        body, self._received = self._received[:length], self._received[length:]
        return Reply(status, headers, body)

    def _more(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError(f"the gate closed the connection after {self._received!r}")
        self._received += data

    def at_end(self) -> bool:
        """Whether the gate closes without another word."""
        try:
            return not self._received and not self.socket.recv(1)
        except ConnectionResetError:
            return True


class Signed(NamedTuple):
    """A request, and what the signatures of its chunks are chained to."""

    head: bytes
    body: bytes
    key: bytes
    signature: str
    context: str

    @property
    def raw(self) -> bytes:
        return self.head + self.body

    def chunk(self, data: bytes, previous: str) -> tuple[bytes, str]:
        """A signed chunk and its signature."""
        hashed = hashlib.sha256(data).hexdigest()
        text = f"{ALGORITHM}-PAYLOAD\n{self.context}\n{previous}\n{EMPTY_SHA256}\n{hashed}"
        signature = _hmac(self.key, text).hex()
        return b"%x;chunk-signature=%b\r\n%b\r\n" % (len(data), signature.encode(), data), signature

    def chunks(self, pieces: Iterable[bytes]) -> list[bytes]:
        """Signed chunks in a row, the empty one last."""
        made, previous = [], self.signature
        for piece in (*pieces, b""):
            chunk, previous = self.chunk(piece, previous)
            made.append(chunk)
        return made


class Signer:
    """Signs for one store; every piece of a signature can be replaced by another value."""

    def __init__(self, store: Store, gate: int = 0) -> None:
        self.access_key, self.secret_key, self.region = store.access_key, store.secret_key, store.region
        self.port = store.gates[gate].port
        self.host = f"127.0.0.1:{self.port}"

    def request(
        self,
        method: str,
        target: str,
        headers: Pairs = (),
        body: bytes = b"",
        *,
        payload: str | None = None,
        unsigned: Pairs = (),
        timestamp: str = "",
        leave_out: str = "",
        **scope: str,
    ) -> Signed:
        """A whole request. `payload` is the claim about the body (by default the truth), `unsigned` are headers that
        the signature does not cover, `leave_out` is one that it should and is not sent, `scope` replaces date,
        region, service, terminator, access_key, secret_key or signature."""
        timestamp = timestamp or f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        claim = hashlib.sha256(body).hexdigest() if payload is None else payload
        own = [("host", self.host), ("x-amz-date", timestamp), ("x-amz-content-sha256", claim)]
        sent = [(name.lower(), _bytes(value)) for name, value in (*own, *headers) if name.lower() != leave_out]
        names = ";".join(sorted({name for name, _ in sent}))
        pieces = (method, *_canonical_target(target), _canonical_headers(sent), names, claim)
        canonical = b"\n".join(_bytes(piece) for piece in pieces)
        context, key = self._context(timestamp, scope)
        text = f"{ALGORITHM}\n{context}\n{hashlib.sha256(canonical).hexdigest()}"
        signature = scope.get("signature", _hmac(key, text).hex())
        credential = f"{scope.get('access_key', self.access_key)}/{context.partition(chr(10))[2]}"
        authorization = f"{ALGORITHM} Credential={credential}, SignedHeaders={names}, Signature={signature}"
        lines = [*sent, ("authorization", authorization.encode())]
        lines += [(name, _bytes(value)) for name, value in unsigned]
        if not any(name in ("content-length", "transfer-encoding") for name, _ in lines) and leave_out != "length":
            lines.append(("content-length", b"%d" % len(body)))
        head = b"%b %b HTTP/1.1\r\n" % (method.encode(), target.encode())
        head += b"".join(b"%b: %b\r\n" % (name.encode(), value) for name, value in lines) + b"\r\n"
        return Signed(head, body, key, signature, context)

    def presigned(self, method: str, target: str, *, without: str = "", **given: str) -> bytes:
        """A GET-like request signed in its query; `given` replaces parameters (X-Amz- left out, _ for -) or scope."""
        timestamp = given.get("Date", f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
        context, key = self._context(timestamp, given)
        access_key = given.get("access_key", self.access_key)
        values = {
            "Algorithm": ALGORITHM,
            "Credential": f"{access_key}/{context.partition(chr(10))[2]}",
            "Date": timestamp,
            "Expires": "600",
            "SignedHeaders": "host",
        }
        values |= {name: value for name, value in given.items() if name in values}
        query = "&".join(f"X-Amz-{name}={quote(value, safe='')}" for name, value in values.items() if name != without)
        target += ("&" if "?" in target else "?") + query
        pieces = (method, *_canonical_target(target), _canonical_headers([("host", self.host.encode())]), "host")
        canonical = b"\n".join(_bytes(piece) for piece in (*pieces, UNSIGNED))
        text = f"{ALGORITHM}\n{context}\n{hashlib.sha256(canonical).hexdigest()}"
        signature = given.get("signature", _hmac(key, text).hex())
        if without != "Signature":
            target += f"&X-Amz-Signature={signature}"
        return f"{method} {target} HTTP/1.1\r\nhost: {self.host}\r\n\r\n".encode()

    def _context(self, timestamp: str, scope: dict[str, str]) -> tuple[str, bytes]:
        """The timestamp and the scope, a line each, and the key derived for that scope."""
        date = scope.get("date", timestamp[:8])
        region, service = scope.get("region", self.region), scope.get("service", "s3")
        terminator = scope.get("terminator", "aws4_request")
        key = b"AWS4" + scope.get("secret_key", self.secret_key).encode()
        for step in (date, region, service, terminator):
            key = _hmac(key, step)
        return f"{timestamp}\n{date}/{region}/{service}/{terminator}", key


def _canonical_target(target: str) -> tuple[str, str]:
    path, _, query = target.partition("?")
    pairs = []
    for field in filter(None, query.split("&")):
        name, _, value = field.partition("=")
        pairs.append((_requoted(name), _requoted(value)))
    return path, "&".join(f"{name}={value}" for name, value in sorted(pairs))


def _requoted(text: str) -> str:
    return quote(unquote_to_bytes(text.replace("+", " ")), safe="")


def _canonical_headers(sent: list[tuple[str, bytes]]) -> bytes:
    joined: dict[str, list[bytes]] = {}
    for name, value in sent:
        joined.setdefault(name, []).append(re.sub(rb" +", b" ", value.strip()))
    return b"".join(b"%b:%b\n" % (name.encode(), b",".join(joined[name])) for name in sorted(joined))


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")
