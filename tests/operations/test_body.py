"""Bodies: every framing, every claim, every way to be wrong; rows, budget and threads."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from base64 import b64encode
from typing import Any

import pytest

from s3gate.operations._digests import POOL, Chain
from s3gate.operations.body import Body
from s3gate.s3 import algorithms
from s3gate.s3.algorithms import Algorithm
from s3gate.s3.checksums import Checksum
from s3gate.s3.credentials import Authentication, PayloadMode
from s3gate.s3.errors import S3Error
from s3gate.s3.request import Headers
from s3gate.store.budget import Budget

SMALL = b"hello world"
LARGE = bytes(range(256)) * 4096  # 1 MiB: hashed in threads
ROW = 300_000
SIZES = [1, 7, 1000, 1 << 20]


class Sender:
    """An ASGI receive: pieces of a size, then the end, a disconnect or a slow client."""

    def __init__(self, data: bytes, piece: int = 1 << 20, end: str = "end") -> None:
        self.pieces = [data[at : at + piece] for at in range(0, len(data), piece)]
        self.end = end
        self.calls = 0

    async def __call__(self) -> dict[str, Any]:
        self.calls += 1
        await asyncio.sleep(0)
        if self.pieces:
            piece = self.pieces.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(self.pieces) or self.end != "end"}
        if self.end == "end":
            return {"type": "http.request", "body": b"", "more_body": False}
        return {"type": "http.disconnect", "slow": self.end == "slow"}


def made(
    sender: Sender, headers: dict[str, str] | None = None, mode: PayloadMode = PayloadMode.UNSIGNED, sha256: str = ""
) -> Body:
    raw = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    auth = Authentication("key", mode, sha256, b"k" * 32, "a" * 64, "20260101/r/s3/aws4_request", "20260101T000000Z")
    return Body(sender, Headers(raw), auth)


def plain(data: bytes, piece: int = 1 << 20, **headers: str) -> Body:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return made(Sender(data, piece), {"content-length": str(len(data)), **named})


async def rows(body: Body, budget: Budget, row_bytes: int = ROW) -> list[bytes]:
    found = []
    async for block in body.blocks(row_bytes, budget):
        found.append(bytes(block.data))
        block.release()
    return found


async def fails(body: Body, how: str = "read") -> S3Error:
    with pytest.raises(S3Error) as caught:
        if how == "read":
            await body.read(1 << 30)
        else:
            await rows(body, Budget(10 * ROW))
    with pytest.raises(RuntimeError):
        body.digests()
    return caught.value


def b64(data: bytes) -> str:
    return b64encode(data).decode()


@pytest.mark.parametrize("data", [b"", SMALL, LARGE], ids=["empty", "small", "large"])
@pytest.mark.parametrize("piece", [1000, 100_000, 1 << 20])
async def test_plain_body_whole_and_in_rows(data: bytes, piece: int) -> None:
    body = plain(data, piece)
    assert body.length == len(data)
    assert await body.read(1 << 20) == data
    md5 = hashlib.md5(data).digest()
    crc = algorithms.new(Algorithm.CRC64NVME)
    crc.update(data)
    checksum = Checksum.full(Algorithm.CRC64NVME, crc.digest()).text()
    assert (body.digests().md5, body.digests().checksum) == (md5, checksum)
    budget = Budget(10 * ROW)
    body = plain(data, piece)
    assert await rows(body, budget) == [data[at : at + ROW] for at in range(0, len(data), ROW)]
    assert (body.digests().md5, body.digests().checksum) == (md5, checksum)
    assert (budget.free, body.received) == (budget.total, len(data))


@pytest.mark.parametrize("how", ["read", "rows"])
async def test_small_pieces_are_gathered_for_the_threads(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs: list[int] = []
    hand_over = POOL.submit

    def submit(take_in: Any, tasks: Any) -> Any:
        jobs.append(sum(len(piece) for pieces, _ in tasks for piece in pieces))
        return hand_over(take_in, tasks)

    monkeypatch.setattr(POOL, "submit", submit)
    body = plain(LARGE + LARGE[:5], piece=10_000)
    await (body.read(1 << 30) if how == "read" else rows(body, Budget(1 << 30), 1 << 21))
    assert body.digests().md5 == hashlib.md5(LARGE + LARGE[:5]).digest()
    assert sum(jobs) == len(LARGE) + 5 and len(jobs) <= 2, jobs


async def test_a_digest_that_fails_in_its_thread_fails_the_body() -> None:
    def update(_: object) -> None:
        raise OSError("no memory")

    chain = Chain(update)
    chain.add((b"a",))
    chain.add((b"b",))
    with pytest.raises(OSError, match="no memory"):
        await chain.drain()


async def test_nothing_is_received_before_the_first_read() -> None:
    sender = Sender(SMALL)
    body = made(sender, {"content-length": "11"})
    assert (body.length, body.consumed, sender.calls) == (11, False, 0)
    with pytest.raises(S3Error):
        await made(sender, {"content-length": "11", "content-md5": "junk"}).read(100)
    assert sender.calls == 0


async def test_length_is_needed_and_limited() -> None:
    nameless = made(Sender(SMALL))
    assert nameless.length is None
    assert (await fails(nameless, "blocks")).code == "MissingContentLength"
    assert (await fails(made(Sender(b""), {}, PayloadMode.STREAMING_UNSIGNED_TRAILER))).code == "MissingContentLength"
    for body in (plain(SMALL), made(Sender(SMALL, 3))):
        with pytest.raises(S3Error) as caught:
            await body.read(10, "EntityTooLarge")
        assert caught.value.code == "EntityTooLarge"
    assert await made(Sender(SMALL, 3)).read(11) == SMALL


@pytest.mark.parametrize("how", ["read", "blocks"])
async def test_bodies_that_stop(how: str) -> None:
    for data, end, code in ((SMALL, "gone", "IncompleteBody"), (LARGE, "slow", "RequestTimeout")):
        headers = {"content-length": str(len(data) + 5)}
        assert (await fails(made(Sender(data, end=end), headers), how)).code == code


async def test_a_stopped_body_gives_its_budget_back() -> None:
    budget = Budget(10 * ROW)
    body = made(Sender(LARGE, 50_000, end="gone"), {"content-length": str(len(LARGE) + 5)})
    with pytest.raises(S3Error):
        await rows(body, budget)
    await asyncio.sleep(0.05)
    assert budget.free == budget.total


@pytest.mark.parametrize("how", ["read", "blocks"])
@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
async def test_claims_are_checked(how: str, data: bytes) -> None:
    right, wrong = hashlib.md5(data).digest(), hashlib.md5(b"x").digest()
    good = plain(data, content_md5=b64(right))
    assert await good.read(1 << 20) == data
    refused = await fails(plain(data, content_md5=b64(wrong)), how)
    assert (refused.code, refused.extra["CalculatedDigest"]) == ("BadDigest", b64(right))
    sha256 = hashlib.sha256(data).hexdigest()
    headers = {"content-length": str(len(data))}
    signed = made(Sender(data), headers, PayloadMode.SIGNED, sha256)
    assert await signed.read(1 << 20) == data
    refused = await fails(made(Sender(data), headers, PayloadMode.SIGNED, "0" * 64), how)
    assert (refused.code, refused.extra["S3ComputedContentSHA256"]) == ("XAmzContentSHA256Mismatch", sha256)


@pytest.mark.parametrize("algorithm", list(Algorithm))
@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
async def test_checksum_in_a_header(algorithm: Algorithm, data: bytes) -> None:
    hasher = algorithms.new(algorithm)
    hasher.update(data)
    digest = hasher.digest()
    sha256 = hashlib.sha256(data).hexdigest()
    headers = {"content-length": str(len(data)), algorithm.header: b64(digest)}
    body = made(Sender(data), headers, PayloadMode.SIGNED, sha256)
    assert await body.read(1 << 20) == data
    assert body.digests().checksum == Checksum.full(algorithm, digest).text()
    headers[algorithm.header] = b64(bytes(len(digest)))
    assert (await fails(made(Sender(data), headers, PayloadMode.SIGNED, sha256), "blocks")).code == "BadDigest"


async def test_default_algorithm_is_the_operations_choice() -> None:
    body = plain(SMALL)
    body.default_algorithm = Algorithm.SHA256
    await body.read(100)
    assert body.digests().checksum == f"SHA256:FULL_OBJECT:{b64(hashlib.sha256(SMALL).digest())}"


async def test_checksums_of_something_else_are_left_alone() -> None:
    body = plain(SMALL, x_amz_checksum_crc32="AAAAAA==-3", x_amz_sdk_checksum_algorithm="CRC32", content_md5="x")
    body.checksum_is_of_body = False
    assert (await fails(body)).code == "InvalidDigest"
    body = plain(SMALL, x_amz_checksum_crc32="AAAAAA==-3", x_amz_sdk_checksum_algorithm="CRC32")
    body.checksum_is_of_body = False
    assert await body.read(100) == SMALL


async def test_a_body_is_read_once() -> None:
    body = plain(SMALL)
    await body.read(100)
    with pytest.raises(RuntimeError):
        await body.read(100)


# --- aws-chunked ---


def unsigned_trailer(data: bytes, chunk: int, checksum: str) -> tuple[bytes, dict[str, str]]:
    parts = [data[at : at + chunk] for at in range(0, len(data), chunk)]
    framed = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    framed += b"0\r\nx-amz-checksum-crc32:" + checksum.encode() + b"\r\n\r\n"
    return framed, {"x-amz-decoded-content-length": str(len(data)), "x-amz-trailer": "x-amz-checksum-crc32"}


def signed_chunks(data: bytes, chunk: int) -> tuple[bytes, dict[str, str]]:
    previous, empty = "a" * 64, hashlib.sha256().hexdigest()
    framed = b""
    for part in [*(data[at : at + chunk] for at in range(0, len(data), chunk)), b""]:
        text = f"AWS4-HMAC-SHA256-PAYLOAD\n20260101T000000Z\n20260101/r/s3/aws4_request\n{previous}\n{empty}\n"
        to_sign = text + hashlib.sha256(part).hexdigest()
        previous = hmac.digest(b"k" * 32, to_sign.encode(), "sha256").hex()
        framed += b"%x;chunk-signature=%b\r\n%b\r\n" % (len(part), previous.encode(), part)
    return framed, {"x-amz-decoded-content-length": str(len(data))}


def crc32(data: bytes) -> str:
    hasher = algorithms.new(Algorithm.CRC32)
    hasher.update(data)
    return b64(hasher.digest())


@pytest.mark.parametrize("how", ["read", "blocks"])
@pytest.mark.parametrize("data", [b"", SMALL, LARGE], ids=["empty", "small", "large"])
@pytest.mark.parametrize("piece", SIZES[2:])
async def test_unsigned_trailer(how: str, data: bytes, piece: int) -> None:
    mode = PayloadMode.STREAMING_UNSIGNED_TRAILER
    framed, headers = unsigned_trailer(data, 70_000, crc32(data))
    body = made(Sender(framed, piece), headers, mode)
    found = await body.read(1 << 20) if how == "read" else b"".join(await rows(body, Budget(10 * ROW)))
    assert (found, body.length) == (data, len(data))
    assert body.digests().checksum == f"CRC32:FULL_OBJECT:{crc32(data)}"
    framed, headers = unsigned_trailer(data, 70_000, crc32(data + b"x"))
    assert (await fails(made(Sender(framed, piece), headers, mode), how)).code == "BadDigest"
    framed, headers = unsigned_trailer(data, 70_000, "junk")
    junk = await fails(made(Sender(framed, piece), headers, mode), how)
    assert (junk.status, junk.message) == (400, "Value for x-amz-checksum-crc32 trailing header is invalid.")


@pytest.mark.parametrize("how", ["read", "blocks"])
@pytest.mark.parametrize("piece", [1000, 1 << 20])
async def test_signed_chunks(how: str, piece: int) -> None:
    framed, headers = signed_chunks(LARGE, 65_536)
    body = made(Sender(framed, piece), headers, PayloadMode.STREAMING_SIGNED)
    found = await body.read(1 << 20) if how == "read" else b"".join(await rows(body, Budget(10 * ROW)))
    assert found == LARGE
    at = framed.index(b"\r\n", 200_000) - 1
    broken = framed[:at] + bytes((framed[at] ^ 1,)) + framed[at + 1 :]
    refused = await fails(made(Sender(broken, piece), headers, PayloadMode.STREAMING_SIGNED), how)
    assert refused.code in ("SignatureDoesNotMatch", "IncompleteBody")


@pytest.mark.parametrize("how", ["read", "blocks"])
async def test_framing_that_lies_about_its_length(how: str) -> None:
    mode = PayloadMode.STREAMING_UNSIGNED_TRAILER
    for claimed in (len(SMALL) - 1, len(SMALL) + 1):
        framed, headers = unsigned_trailer(SMALL, 100, crc32(SMALL))
        headers["x-amz-decoded-content-length"] = str(claimed)
        assert (await fails(made(Sender(framed), headers, mode), how)).code == "IncompleteBody"
    framed, headers = unsigned_trailer(SMALL, 100, crc32(SMALL))
    for cut in (5, len(framed) - 2):
        assert (await fails(made(Sender(framed[:cut]), headers, mode), how)).status == 400


async def test_rows_are_taken_from_the_budget_and_held_until_both_are_done() -> None:
    budget = Budget(2 * ROW)
    body = plain(LARGE, 50_000)
    blocks = body.blocks(ROW, budget)
    first = await anext(blocks)
    second = await anext(blocks)
    assert budget.free == 0
    third = asyncio.ensure_future(anext(blocks))
    await asyncio.sleep(0.05)
    assert not third.done()
    first.release()
    await asyncio.wait_for(third, 5)
    for block in (second, third.result()):
        block.release()
    rest = [block.release() async for block in blocks]
    assert len(rest) == 1 and budget.free == budget.total
    assert body.digests().md5 == hashlib.md5(LARGE).digest()
