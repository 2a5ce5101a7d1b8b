"""Bodies in signed chunks: cut anywhere, spliced from other uploads, with trailers changed. Nothing of it is stored.

(Each chunk's own faults are in tests/limits/test_bad_signatures.py.)
"""

from __future__ import annotations

import hashlib
import hmac
import random
from base64 import b64encode
from collections.abc import Callable, Sequence
from zlib import crc32

import pytest

from tests.attacks.conftest import Prey, assert_refused
from tests.limits.wire import ALGORITHM, Reply, Signed, Signer, Wire

pytestmark = pytest.mark.usefixtures("unharmed")

Ask = Callable[[bytes], Reply]

SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
CHUNKS = (b"first" * 2000, b"second" * 2000, b"last")
CONTENT = b"".join(CHUNKS)
CUTS = 60


def upload(signer: Signer, target: str, size: int, payload: str = SIGNED, trailer: str = "") -> Signed:
    """The head, to be followed by a framed body of this size."""
    headers = [("x-amz-decoded-content-length", str(len(CONTENT))), ("content-length", str(size))]
    if trailer:
        headers.append(("x-amz-trailer", trailer))
    return signer.request("PUT", target, headers, payload=payload)


def framed_size(chunks: Sequence[bytes]) -> int:
    return sum(len(b"%x;chunk-signature=%b\r\n%b\r\n" % (len(one), b"0" * 64, one)) for one in (*chunks, b""))


def whole(signer: Signer, target: str) -> tuple[Signed, list[bytes]]:
    made = upload(signer, target, framed_size(CHUNKS))
    return made, made.chunks(CHUNKS)


def test_cut_anywhere(signer: Signer, prey: Prey) -> None:
    """The client goes away in the middle: at every kind of place of the framing, and at some others."""
    request, chunks = whole(signer, prey.target)
    body = b"".join(chunks)
    ends = [sum(map(len, chunks[:n])) for n in range(1, len(chunks))]
    rand = random.Random(7)
    cuts = {0, 1, 4, 84, 86, 87, *ends, *[end - 1 for end in ends], *[end + 1 for end in ends], len(body) - 1}
    cuts |= {rand.randrange(len(body)) for _ in range(CUTS)}
    for cut in sorted(cuts):
        with Wire(signer.port) as wire:
            wire.send(request.head + body[:cut])


def test_a_chunk_of_another_upload(ask: Ask, signer: Signer, prey: Prey) -> None:
    """Signed with the same key for the same day: but chained to another request."""
    request, chunks = whole(signer, prey.target)
    _, others = whole(signer, prey.target + "-other")
    for number in range(len(chunks)):
        spliced = [*chunks[:number], others[number], *chunks[number + 1 :]]
        assert_refused(ask(request.head + b"".join(spliced)))
    assert_refused(ask(request.head + b"".join(others)))


def test_the_same_chunks_under_another_head(ask: Ask, signer: Signer, prey: Prey) -> None:
    """A body that was signed for one key, moved behind the head of another; and a head with a plain body."""
    request, chunks = whole(signer, prey.target + "-other")
    mine = upload(signer, prey.target, framed_size(CHUNKS))
    assert_refused(ask(mine.head + b"".join(chunks)))
    assert_refused(ask(mine.head + CONTENT.ljust(framed_size(CHUNKS))))
    for claim in (UNSIGNED_TRAILER, "UNSIGNED-PAYLOAD", hashlib.sha256(b"".join(chunks)).hexdigest()):
        assert_refused(ask(request.head.replace(SIGNED.encode(), claim.encode()) + b"".join(chunks)))


def test_lengths_that_lie(ask: Ask, signer: Signer, prey: Prey) -> None:
    """The sizes of chunks are signed by their data: no other cut of the same bytes holds."""
    request = upload(signer, prey.target, framed_size(CHUNKS))
    chunks = request.chunks(CHUNKS)
    first = chunks[0]
    for size in (b"270f", b"2711", b"0", b"ffffffffffffffff", b"00000000002710"):
        assert first.startswith(b"2710;")
        body = b"".join([size + first[4:], *chunks[1:]])
        assert_refused(ask(request.head + body.ljust(framed_size(CHUNKS), b"0")[: framed_size(CHUNKS)]))


# --- trailers ---


def trailer_signature(request: Signed, previous: str, text: bytes) -> str:
    to_sign = f"{ALGORITHM}-TRAILER\n{request.context}\n{previous}\n{hashlib.sha256(text).hexdigest()}"
    return hmac.digest(request.key, to_sign.encode(), "sha256").hex()


CRC = b64encode(crc32(CONTENT).to_bytes(4, "big"))
TRAILER = b"x-amz-checksum-crc32:" + CRC


def with_trailer(signer: Signer, target: str, sent: bytes, signed: bytes, signature: str = "") -> bytes:
    """An upload whose trailer says one thing, and whose trailer's signature another."""
    size = framed_size(CHUNKS) + len(sent) + len(b"\r\nx-amz-trailer-signature:\r\n\r\n") + 64 - 2
    request = upload(signer, target, size, SIGNED_TRAILER, "x-amz-checksum-crc32")
    pieces, previous = [], request.signature
    for piece in (*CHUNKS, b""):
        chunk, previous = request.chunk(piece, previous)
        pieces.append(chunk)
    pieces[-1] = pieces[-1].removesuffix(b"\r\n")  # the trailers come where the data of the last chunk would
    signature = signature or trailer_signature(request, previous, signed + b"\n")
    tail = b"%b\r\nx-amz-trailer-signature:%b\r\n\r\n" % (sent, signature.encode())
    return request.head + b"".join(pieces) + tail


def test_signed_trailers(ask: Ask, signer: Signer, prey: Prey) -> None:
    target = prey.target + "-trailer"
    right = ask(with_trailer(signer, target, TRAILER, TRAILER))
    assert right.status == 200, right.body
    assert ask(signer.request("GET", target).raw).body == CONTENT
    assert ask(signer.request("DELETE", target).raw).status == 204
    wrong = b"x-amz-checksum-crc32:" + b64encode(bytes(4))
    for sent, signed, signature in (
        (wrong, TRAILER, ""),
        (TRAILER, wrong, ""),
        (wrong, wrong, ""),
        (TRAILER, TRAILER, "0" * 64),
        (TRAILER, b"", ""),
        (TRAILER.replace(b"crc32:", b"crc32: "), TRAILER + b"x", ""),
    ):
        assert_refused(ask(with_trailer(signer, target, sent, signed, signature)))
    assert ask(signer.request("GET", target).raw).status == 404
