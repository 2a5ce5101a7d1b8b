"""Heads of requests: what is accepted, and that nothing can be read in two ways."""

from __future__ import annotations

import pytest

from chunkd.head import HeadRefused, parse_head


def test_a_plain_head() -> None:
    head = parse_head(b"PUT /shards/00?x=1 HTTP/1.1\r\nHost: a\r\nContent-Length:  12 \r\nX-A:\r\nConnection: Close")
    assert (head.method, head.target, head.path, head.query) == ("PUT", "/shards/00?x=1", "/shards/00", "x=1")
    assert head.length == 12
    assert head.headers["x-a"] == ""
    assert not head.keep_alive
    bare = parse_head(b"GET / HTTP/1.1")
    assert bare.keep_alive and bare.length is None and bare.headers == {}


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"", 400),
        (b"GET", 400),
        (b"GET  / HTTP/1.1", 400),
        (b"get / HTTP/1.1", 400),
        (b"GET http://a/ HTTP/1.1", 400),
        (b"GET /\x7f HTTP/1.1", 400),
        (b"GET /\xc3 HTTP/1.1", 400),
        (b"GET / HTTP/1.0", 505),
        (b"GET / HTTP/2.0", 505),
        (b"GET / HTTP/1.1 ", 400),
        (b"GET /" + b"a" * 3000 + b" HTTP/1.1", 414),
        (b"GET / HTTP/1.1\nHost: a", 400),
        (b"GET / HTTP/1.1\r\nA: b\nC: d", 400),
        (b"GET / HTTP/1.1\r\nA: b\rC: d", 400),
        (b"GET / HTTP/1.1\r\nA: b\x00", 400),
        (b"GET / HTTP/1.1\r\nA: b\r\n c", 400),
        (b"GET / HTTP/1.1\r\n: b", 400),
        (b"GET / HTTP/1.1\r\nA : b", 400),
        (b"GET / HTTP/1.1\r\nA", 400),
        (b"GET / HTTP/1.1\r\nA: b\r\na: c", 400),
        (b"PUT / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1", 400),
        (b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked", 411),
        (b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5", 411),
        (b"GET / HTTP/1.1" + b"".join(b"\r\na%d: b" % i for i in range(70)), 431),
    ]
    + [
        (b"PUT / HTTP/1.1\r\nContent-Length: " + text, 400)
        for text in (b"", b"-1", b"+1", b"0x1", b"1,1", b"1 1", b"01", b"1_0", b"9" * 16, b"\xb2")
    ],
)
def test_refused_heads(raw: bytes, status: int) -> None:
    with pytest.raises(HeadRefused) as refused:
        parse_head(raw)
    assert refused.value.status == status
