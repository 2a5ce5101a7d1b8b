"""Requests that are not HTTP, too large or oddly named, over real sockets against a running store."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any
from urllib.parse import quote, quote_from_bytes, unquote_to_bytes

import pytest
from lxml import etree

from tests.fix_store import Store
from tests.limits.wire import Reply, Signer, Wire

# The slow clients take their time beside all tests of this directory: see test_slow_clients.
pytestmark = pytest.mark.usefixtures("slow_clients", "healthy")

# --- what is no request ---

GET = b"GET / HTTP/1.1\r\nhost: h\r\n"
PUT = b"PUT /b/k HTTP/1.1\r\nhost: h\r\n"

# name -> bytes, status, code
FRAMING = {
    "nonsense": (b"nonsense\r\n\r\n", 400, "BadRequest"),
    "no path": (b"GET HTTP/1.1\r\nhost: h\r\n\r\n", 400, "BadRequest"),
    "no version": (b"GET /\r\nhost: h\r\n\r\n", 400, "BadRequest"),
    "version 9": (b"GET / HTTP/9.9\r\nhost: h\r\n\r\n", 400, "BadRequest"),
    "version 2": (b"GET / HTTP/2.0\r\nhost: h\r\n\r\n", 400, "BadRequest"),
    "no method": (b" / HTTP/1.1\r\nhost: h\r\n\r\n", 400, "BadRequest"),
    "unknown method": (b"FROB / HTTP/1.1\r\nhost: h\r\n\r\n", 400, "BadRequest"),
    "lower case method": (b"get / HTTP/1.1\r\nhost: h\r\n\r\n", 400, "BadRequest"),
    "a tunnel": (b"CONNECT h:443 HTTP/1.1\r\nhost: h\r\n\r\n", 400, "InvalidURI"),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100), 400, "BadRequest"),
    "NUL in the path": (b"GET /\0 HTTP/1.1\r\nhost: h\r\n\r\n", 400, "BadRequest"),
    "raw UTF-8 in the path": ("GET /ä HTTP/1.1\r\nhost: h\r\n\r\n".encode(), 400, "BadRequest"),
    "a space in the path": (b"GET /a b HTTP/1.1\r\nhost: h\r\n\r\n", 400, "BadRequest"),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400, "InvalidRequest"),
    "two hosts": (GET + b"host: h\r\n\r\n", 400, "InvalidRequest"),
    "an empty host": (b"GET / HTTP/1.1\r\nhost:\r\n\r\n", 403, "AccessDenied"),
    "no colon": (GET + b"x-a\r\n\r\n", 400, "BadRequest"),
    "no name": (GET + b": a\r\n\r\n", 400, "BadRequest"),
    "a space before the colon": (GET + b"x-a : b\r\n\r\n", 400, "BadRequest"),
    "a folded header": (GET + b"x-a: b\r\n c\r\n\r\n", 400, "BadRequest"),
    "NUL in a header": (GET + b"x-a: a\0b\r\n\r\n", 400, "BadRequest"),
    "a control character in a header": (GET + b"x-a: a\x01b\r\n\r\n", 400, "BadRequest"),
    "bare line feeds": (b"GET / HTTP/1.1\nhost: h\n\n", 400, "BadRequest"),
    "a negative length": (PUT + b"content-length: -1\r\n\r\n", 400, "BadRequest"),
    "a signed length": (PUT + b"content-length: +5\r\n\r\nhello", 400, "BadRequest"),
    "a length in words": (PUT + b"content-length: five\r\n\r\nhello", 400, "BadRequest"),
    "a length in hex": (PUT + b"content-length: 0x5\r\n\r\nhello", 400, "BadRequest"),
    "an empty length": (PUT + b"content-length:\r\n\r\n", 400, "BadRequest"),
    "two lengths": (PUT + b"content-length: 5\r\ncontent-length: 6\r\n\r\nhello", 400, "BadRequest"),
    "a list of lengths": (PUT + b"content-length: 5, 5\r\n\r\nhello", 400, "BadRequest"),
    "a length beyond 64 bits": (PUT + b"content-length: 99999999999999999999\r\n\r\n", 400, "BadRequest"),
    "a length and chunks": (PUT + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n", 400, "BadRequest"),
    "chunks and a length": (PUT + b"transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n", 400, "BadRequest"),
    "another coding": (PUT + b"transfer-encoding: gzip\r\n\r\n", 501, "NotImplemented"),
    "a coding on top": (PUT + b"transfer-encoding: gzip, chunked\r\n\r\n", 501, "NotImplemented"),
    "8 KiB of headers": (GET + b"x-a: %b\r\n\r\n" % (b"a" * 8192), 400, "RequestHeaderSectionTooLarge"),
    "8 KiB of path": (b"GET /%b HTTP/1.1\r\nhost: h\r\n\r\n" % (b"a" * 8192), 400, "RequestHeaderSectionTooLarge"),
    "a header without end": (GET + b"x-a: %b" % (b"a" * 17_000), 400, "RequestHeaderSectionTooLarge"),
    "headers without end": (GET + b"x-a: b\r\n" * 3000, 400, "RequestHeaderSectionTooLarge"),
    "201 headers": (GET + b"a: b\r\n" * 200 + b"\r\n", 400, "RequestHeaderSectionTooLarge"),
    "a broken escape": (b"GET /%zz HTTP/1.1\r\nhost: h\r\n\r\n", 400, "InvalidURI"),
    "a cut escape": (b"GET /b/k% HTTP/1.1\r\nhost: h\r\n\r\n", 400, "InvalidURI"),
    "no UTF-8": (b"GET /b/%FF%FE HTTP/1.1\r\nhost: h\r\n\r\n", 400, "InvalidURI"),
    "no UTF-8 in the bucket": (b"GET /%80 HTTP/1.1\r\nhost: h\r\n\r\n", 400, "InvalidURI"),
    "overlong UTF-8": (b"GET /b/%C0%AF HTTP/1.1\r\nhost: h\r\n\r\n", 400, "InvalidURI"),
    "a lone surrogate": (b"GET /b/%ED%A0%80 HTTP/1.1\r\nhost: h\r\n\r\n", 400, "InvalidURI"),
    "beyond Unicode": (b"GET /b/%F4%90%80%80 HTTP/1.1\r\nhost: h\r\n\r\n", 400, "InvalidURI"),
    "no UTF-8 in the query": (b"GET /b?prefix=%FF HTTP/1.1\r\nhost: h\r\n\r\n", 400, "InvalidURI"),
    "a broken escape in the query": (b"GET /b?prefix=%1 HTTP/1.1\r\nhost: h\r\n\r\n", 400, "InvalidURI"),
    "a surrogate in the query": (b"GET /b?%ED%BF%BF=1 HTTP/1.1\r\nhost: h\r\n\r\n", 400, "InvalidURI"),
}  # fmt: skip


@pytest.mark.parametrize("case", FRAMING)
def test_what_is_no_request(ask: Callable[[bytes], Reply], case: str) -> None:
    data, status, code = FRAMING[case]
    reply = ask(data)
    assert (reply.status, reply.code) == (status, code)


@pytest.mark.parametrize("count", [2, 30])
def test_a_header_section_just_fits(ask: Callable[[bytes], Reply], signer: Signer, bucket: str, count: int) -> None:
    """S3's 8 KiB: 7,900 bytes of headers and what the signature needs are too much, a little less is not."""
    for size, status in ((7_000, 200), (8_190, 400)):
        headers = [(f"x-{number}", "a" * (size // count - 10)) for number in range(count)]
        assert ask(signer.request("GET", f"/{bucket}/ten", unsigned=headers).raw).status == status


# --- keys ---

ODD_KEYS = [
    b"/", b"//", b"/lead", b"lead", b"a//b", b"a/b", b"trail/", b"trail", b".", b"..", b"./a", b"../a", b"a/../b",
    b"a/./b", b"a/..", b"\x00", b"a\x00b", b"\x01\x02\x1f\x7f", b"\t", b"\r\n", b" ", b"  lead and trail  ", b"+", b"%",
    b"%41", b"%2F", b"?", b"?acl", b"#", b"&=;", b"\\", b"\\..\\", b'"<&>\'', "é".encode(), "e\u0301".encode(),
    "日本".encode(), "\U0001f600".encode(), "\ufeff".encode(), "\ufffe\uffff".encode(), "\u202e".encode(), b"-", b"-/-",
    b"_", b"*", b"$(id)", b"null", b"a" * 1024, "é".encode() * 512, b"/" * 1024,
]  # fmt: skip


def test_odd_keys_are_keys(store: Store, signer: Signer) -> None:
    """Every one is a key of its own, which reads back and is listed exactly as it was, and in the order of bytes."""
    name = f"keys-{time.time_ns():x}"
    with Wire(signer.port) as wire:
        assert wire.ask(signer.request("PUT", f"/{name}").raw).status == 200
        for key in ODD_KEYS:
            target = f"/{name}/{quote_from_bytes(key, safe='/')}"
            assert wire.ask(signer.request("PUT", target, body=b"=" + key).raw).status == 200, key
        for key in ODD_KEYS:
            target = f"/{name}/{quote_from_bytes(key, safe='/')}"
            reply = wire.ask(signer.request("GET", target).raw)
            assert (reply.status, reply.body) == (200, b"=" + key), key
        assert listed(wire, signer, name) == sorted(ODD_KEYS)
        for key in ODD_KEYS:
            target = f"/{name}/{quote_from_bytes(key, safe='/')}"
            assert wire.ask(signer.request("DELETE", target).raw).status == 204, key
        assert wire.ask(signer.request("DELETE", f"/{name}").raw).status == 204


def listed(wire: Wire, signer: Signer, name: str) -> list[bytes]:
    """All keys by pages of seven, through tokens that are keys like these."""
    found: list[bytes] = []
    token = ""
    while True:
        more = f"&continuation-token={quote(token, safe='')}" if token else ""
        reply = wire.ask(signer.request("GET", f"/{name}?encoding-type=url&list-type=2&max-keys=7{more}").raw)
        assert reply.status == 200, reply.body
        page: Any = etree.fromstring(reply.body)
        namespace = {"s": page.nsmap[None]}
        found += [unquote_to_bytes(text) for text in page.xpath("s:Contents/s:Key/text()", namespaces=namespace)]
        if page.findtext("s:IsTruncated", namespaces=namespace) == "false":
            assert all(one < other for one, other in pairwise(found))
            return found
        token = page.findtext("s:NextContinuationToken", namespaces=namespace)


@pytest.mark.parametrize("key", [b"a" * 1025, "é".encode() * 513, b"/" * 1025], ids=["ascii", "utf-8", "slashes"])
@pytest.mark.parametrize("method", ["PUT", "GET", "HEAD", "DELETE"])
def test_longer_keys_are_refused(
    ask: Callable[[bytes], Reply], signer: Signer, bucket: str, key: bytes, method: str
) -> None:
    reply = ask(signer.request(method, f"/{bucket}/{quote_from_bytes(key, safe='/')}").raw)
    assert reply.status == 400
    assert reply.code == ("" if method == "HEAD" else "KeyTooLongError")
