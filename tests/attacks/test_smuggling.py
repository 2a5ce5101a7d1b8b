"""Where one request ends and the next begins is never in doubt: whatever could be read in two ways is refused.

Behind each shape a second request is hidden. If it were answered, somebody in front of the gate who read the first
one otherwise would hand its answer to the wrong client.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.attacks.conftest import Prey
from tests.fix_store import Store
from tests.limits.wire import UNSIGNED, Signer, Wire

pytestmark = pytest.mark.usefixtures("unharmed")

HIDDEN = b"GET /-/live HTTP/1.1\r\nhost: h\r\n\r\n"
LIVE = b'{"live":true}'
BODY = b"5\r\nhello\r\n0\r\n\r\n"
LENGTH, CHUNKED = b"content-length: 15\r\n", b"transfer-encoding: chunked\r\n"

# name -> lines of framing, and what follows the header section
AMBIGUOUS: dict[str, tuple[bytes, bytes]] = {
    "length and chunked": (LENGTH + CHUNKED, BODY),
    "chunked and length": (CHUNKED + LENGTH, BODY),
    "length of nothing and chunked": (b"content-length: 0\r\n" + CHUNKED, BODY),
    "two lengths": (LENGTH + b"content-length: 5\r\n", BODY),
    "a list of lengths": (b"content-length: 15, 15\r\n", BODY),
    "a length with a sign": (b"content-length: +15\r\n", BODY),
    "a hexadecimal length": (b"content-length: 0xf\r\n", BODY),
    "a length with a letter": (b"content-length: 15a\r\n", BODY),
    "no length in its header": (b"content-length:\r\n", BODY),
    "a length over 64 bits": (b"content-length: 18446744073709551631\r\n", BODY),
    "chunked twice": (b"transfer-encoding: chunked, chunked\r\n", BODY),
    "another coding": (b"transfer-encoding: gzip, chunked\r\n", BODY),
    "chunked in quotes": (b'transfer-encoding: "chunked"\r\n', BODY),
    "nearly chunked": (b"transfer-encoding: xchunked\r\n", BODY),
    "identity": (b"transfer-encoding: identity\r\n" + LENGTH, BODY),
    "a vertical tab": (b"transfer-encoding: \x0bchunked\r\n", BODY),
    "a space before the colon": (b"transfer-encoding : chunked\r\n", BODY),
    "a space before the name": (b" transfer-encoding: chunked\r\n", BODY),
    "a folded line": (b"transfer-encoding:\r\n chunked\r\n", BODY),
    "a line without colon": (CHUNKED + b"nonsense\r\n", BODY),
    "a bare line feed": (b"x-a: b\n" + CHUNKED, BODY),
    "a bare carriage return": (b"x-a: b\rtransfer-encoding: chunked\r\n", BODY),
    "NUL": (b"x-a: \0\r\n" + CHUNKED, BODY),
    "NUL in a name": (b"x\0a: b\r\n" + CHUNKED, BODY),
    "a chunk with a sign": (CHUNKED, b"+5\r\nhello\r\n0\r\n\r\n"),
    "a chunk with 0x": (CHUNKED, b"0x5\r\nhello\r\n0\r\n\r\n"),
    "a negative chunk": (CHUNKED, b"-5\r\nhello\r\n0\r\n\r\n"),
    "a chunk over 64 bits": (CHUNKED, b"10000000000000005\r\nhello\r\n0\r\n\r\n"),
    "a chunk without size": (CHUNKED, b"\r\nhello\r\n0\r\n\r\n"),
    "a chunk longer than it says": (CHUNKED, b"5\r\nhello!\r\n0\r\n\r\n"),
    "a chunk ended by a line feed": (CHUNKED, b"5\nhello\r\n0\r\n\r\n"),
    "data ended by a line feed": (CHUNKED, b"5\r\nhello\n0\r\n\r\n"),
}  # fmt: skip

# What has one meaning, however odd it looks: the hidden request is the second one on this connection, nothing else.
PLAIN: dict[str, tuple[bytes, bytes]] = {
    "a length": (b"content-length: 5\r\n", b"hello"),
    "a request as the body": (b"content-length: %d\r\n" % len(HIDDEN), HIDDEN),
    "the same length twice in zeros": (b"content-length: 005\r\n", b"hello"),
}


@pytest.fixture(scope="module")
def yard(store: Store, prey: Prey) -> Iterator[str]:
    name = prey.bucket.replace("prey", "wire")
    store.client().create_bucket(Bucket=name)
    yield name


def head_of(signer: Signer, yard: str) -> bytes:
    """Of a signed PUT whose framing is to follow."""
    head = signer.request("PUT", f"/{yard}/put", payload=UNSIGNED, leave_out="length").head
    return head.removesuffix(b"\r\n")


@pytest.mark.parametrize("shape", AMBIGUOUS)
def test_what_can_be_read_in_two_ways(signer: Signer, yard: str, shape: str) -> None:
    framing, body = AMBIGUOUS[shape]
    with Wire(signer.port) as wire:
        wire.send(head_of(signer, yard) + framing + b"\r\n" + body + HIDDEN)
        reply = wire.reply()
        assert reply.status in (400, 411, 501), reply
        assert reply.closes and wire.at_end()


@pytest.mark.parametrize("shape", PLAIN)
def test_what_has_one_meaning(signer: Signer, yard: str, shape: str) -> None:
    framing, body = PLAIN[shape]
    with Wire(signer.port) as wire:
        wire.send(head_of(signer, yard) + framing + b"\r\n" + body + HIDDEN)
        assert wire.reply().status == 200
        second = wire.reply()
        assert (second.status, second.body) == (200, LIVE)
        stored = wire.ask(signer.request("GET", f"/{yard}/put").raw)
        assert stored.body == body


LINES = {
    "HTTP/0.9": b"GET /-/live\r\n\r\n",
    "HTTP/2": b"GET /-/live HTTP/2.0\r\nhost: h\r\n\r\n",
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a version twice": b"GET /-/live HTTP/1.1 HTTP/1.1\r\nhost: h\r\n\r\n",
    "a tab": b"GET\t/-/live HTTP/1.1\r\nhost: h\r\n\r\n",
    "a line feed in the target": b"GET /-/li\nve HTTP/1.1\r\nhost: h\r\n\r\n",
    "two hosts": b"GET /-/live HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
    "no host": b"GET /-/live HTTP/1.1\r\n\r\n",
    "a tunnel": b"CONNECT h:80 HTTP/1.1\r\nhost: h\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("shape", LINES)
def test_request_lines(signer: Signer, shape: str) -> None:
    with Wire(signer.port) as wire:
        wire.send(LINES[shape] + HIDDEN)
        reply = wire.reply()
        assert reply.status == 400 and reply.closes and wire.at_end()


@pytest.mark.parametrize(
    "lines",
    [
        b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",
        b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n",
    ],
)
def test_no_upgrade(signer: Signer, prey: Prey, lines: bytes) -> None:
    """The request is answered as if it had not asked; what follows is not read as anything."""
    head = signer.request("GET", prey.target).head.removesuffix(b"\r\n")
    with Wire(signer.port) as wire:
        wire.send(head + lines + b"\r\n" + HIDDEN)
        reply = wire.reply()
        assert reply.status == 200 and reply.closes and wire.at_end()


@pytest.mark.parametrize(
    "name",
    ["x-forwarded-for", "x-forwarded-host", "x-original-url", "x-rewrite-url", "x-http-method-override", "forwarded"],
)
def test_no_header_of_a_proxy_is_believed(signer: Signer, prey: Prey, name: str) -> None:
    """Neither as what was asked for, nor as who asked."""
    with Wire(signer.port) as wire:
        for value in (prey.target, "127.0.0.1", "DELETE", "for=127.0.0.1;host=h"):
            anonymous = f"GET /{prey.bucket}/none HTTP/1.1\r\nhost: {signer.host}\r\n{name}: {value}\r\n\r\n"
            assert wire.ask(anonymous.encode()).status == 403
            signed = signer.request("GET", f"/{prey.bucket}/none", unsigned=[(name, value)])
            assert wire.ask(signed.raw).status == 404


def test_a_hop_by_hop_list_takes_nothing_away(signer: Signer, prey: Prey) -> None:
    """Whoever names Authorization in Connection is still asked for it, and it still counts."""
    with Wire(signer.port) as wire:
        lines = [("connection", "keep-alive, authorization, x-amz-date, host")]
        assert wire.ask(signer.request("GET", prey.target, unsigned=lines).raw).status == 200
