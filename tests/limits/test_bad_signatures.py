"""Signatures that are wrong in one way each, and bodies whose framing or promises are: AWS's code and status."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from tests.limits.wire import UNSIGNED, Reply, Signed, Signer, Wire

pytestmark = pytest.mark.usefixtures("healthy")

KEY = "/{bucket}/ten"


def moment(**ago: float) -> str:
    return f"{datetime.now(UTC) - timedelta(**ago):%Y%m%dT%H%M%SZ}"


# name -> how the request is made, status, code
HEADER: dict[str, tuple[Callable[[Signer, str], bytes], int, str]] = {
    "right": (lambda s, k: s.request("GET", k).raw, 200, ""),
    "other secret": (lambda s, k: s.request("GET", k, secret_key="x").raw, 403, "SignatureDoesNotMatch"),
    "no hex": (lambda s, k: s.request("GET", k, signature="zz").raw, 403, "SignatureDoesNotMatch"),
    "empty": (lambda s, k: s.request("GET", k, signature="").raw, 403, "SignatureDoesNotMatch"),
    "upper case": (
        lambda s, k: s.request("GET", k, signature=s.request("GET", k).signature.upper()).raw,
        403,
        "SignatureDoesNotMatch",
    ),
    "unknown key": (lambda s, k: s.request("GET", k, access_key="AKIDNOBODY").raw, 403, "InvalidAccessKeyId"),
    "no key": (lambda s, k: s.request("GET", k, access_key="").raw, 400, "AuthorizationHeaderMalformed"),
    "other region": (lambda s, k: s.request("GET", k, region="eu-west-9").raw, 400, "AuthorizationHeaderMalformed"),
    "other service": (lambda s, k: s.request("GET", k, service="ec2").raw, 400, "AuthorizationHeaderMalformed"),
    "other end": (lambda s, k: s.request("GET", k, terminator="aws5").raw, 400, "AuthorizationHeaderMalformed"),
    "other day": (lambda s, k: s.request("GET", k, date="20010101").raw, 400, "AuthorizationHeaderMalformed"),
    "16 minutes old": (lambda s, k: s.request("GET", k, timestamp=moment(minutes=16)).raw, 403, "RequestTimeTooSkewed"),
    "16 minutes ahead": (
        lambda s, k: s.request("GET", k, timestamp=moment(minutes=-16)).raw,
        403,
        "RequestTimeTooSkewed",
    ),
    "14 minutes old": (lambda s, k: s.request("GET", k, timestamp=moment(minutes=14)).raw, 200, ""),
    "no time": (lambda s, k: s.request("GET", k, timestamp="yesterday", date="yesterda").raw, 403, "AccessDenied"),
    "month 13": (lambda s, k: s.request("GET", k, timestamp="20261301T000000Z").raw, 403, "AccessDenied"),
    "no payload hash": (
        lambda s, k: s.request("GET", k, leave_out="x-amz-content-sha256").raw,
        400,
        "InvalidRequest",
    ),
    "junk payload hash": (lambda s, k: s.request("GET", k, payload="abc").raw, 400, "InvalidArgument"),
    "unknown streaming": (lambda s, k: s.request("PUT", k, payload="STREAMING-X").raw, 400, "InvalidArgument"),
    "asymmetric chunks": (
        lambda s, k: s.request("PUT", k, payload="STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD").raw,
        501,
        "NotImplemented",
    ),
    "unsigned amz header": (
        lambda s, k: s.request("GET", k, unsigned=[("x-amz-meta-a", "b")]).raw,
        403,
        "AccessDenied",
    ),
    "unsigned copy source": (
        lambda s, k: s.request("PUT", k, unsigned=[("x-amz-copy-source", k)]).raw,
        403,
        "AccessDenied",
    ),
    "unsigned second value": (
        lambda s, k: s.request("PUT", k, [("x-amz-meta-a", "b")], unsigned=[("x-amz-meta-a", "c")]).raw,
        403,
        "SignatureDoesNotMatch",
    ),
    "two of them": (
        lambda s, k: s.request("GET", k, unsigned=[("authorization", "AWS4-HMAC-SHA256 x")]).raw,
        400,
        "AuthorizationHeaderMalformed",
    ),
    "a session token": (lambda s, k: s.request("GET", k, [("x-amz-security-token", "t")]).raw, 400, "InvalidToken"),
    "path changed": (
        lambda s, k: s.request("GET", k).raw.replace(b"/ten ", b"/teN "),
        403,
        "SignatureDoesNotMatch",
    ),
    "query added": (
        lambda s, k: s.request("GET", k).raw.replace(b"/ten ", b"/ten?x-id=a "),
        403,
        "SignatureDoesNotMatch",
    ),
    "method changed": (
        lambda s, k: s.request("GET", k).raw.replace(b"GET ", b"DELETE "),
        403,
        "SignatureDoesNotMatch",
    ),
    "anonymous": (lambda s, k: f"GET {k} HTTP/1.1\r\nhost: {s.host}\r\n\r\n".encode(), 403, "AccessDenied"),
}  # fmt: skip

AUTHORIZATIONS = {
    "Bearer abc": "InvalidArgument",
    "AWS4-HMAC-SHA256": "AuthorizationHeaderMalformed",
    "AWS4-HMAC-SHA256 Credential=a/b/c/d/e": "AuthorizationHeaderMalformed",
    "AWS4-HMAC-SHA256 Credential=a,SignedHeaders=host,Signature=b": "AuthorizationHeaderMalformed",
    "AWS4-HMAC-SHA256 ,,,===,=": "AuthorizationHeaderMalformed",
    "AWS nothing": "InvalidArgument",
    "AWS :": "InvalidArgument",
}

PRESIGNED: dict[str, tuple[Callable[[Signer, str], bytes], int, str]] = {
    "right": (lambda s, k: s.presigned("GET", k), 200, ""),
    "other secret": (lambda s, k: s.presigned("GET", k, secret_key="x"), 403, "SignatureDoesNotMatch"),
    "unknown key": (lambda s, k: s.presigned("GET", k, access_key="NOBODY"), 403, "InvalidAccessKeyId"),
    "other region": (
        lambda s, k: s.presigned("GET", k, region="eu-west-9"),
        400,
        "AuthorizationQueryParametersError",
    ),
    "other day": (lambda s, k: s.presigned("GET", k, date="20010101"), 400, "AuthorizationQueryParametersError"),
    "junk credential": (lambda s, k: s.presigned("GET", k, Credential="x"), 400, "AuthorizationQueryParametersError"),
    "junk date": (lambda s, k: s.presigned("GET", k, Date="x", date="y"), 400, "AuthorizationQueryParametersError"),
    "other algorithm": (lambda s, k: s.presigned("GET", k, Algorithm="X"), 400, "AuthorizationQueryParametersError"),
    "asymmetric": (lambda s, k: s.presigned("GET", k, Algorithm="AWS4-ECDSA-P256-SHA256"), 501, "NotImplemented"),
    "expired": (lambda s, k: s.presigned("GET", k, Date=moment(minutes=11)), 403, "AccessDenied"),
    "not valid yet": (lambda s, k: s.presigned("GET", k, Date=moment(minutes=-20)), 403, "AccessDenied"),
    "expires at once": (lambda s, k: s.presigned("GET", k, Expires="0"), 403, "AccessDenied"),
    **{
        f"expires {text}": (
            lambda s, k, text=text: s.presigned("GET", k, Expires=text),
            400,
            "AuthorizationQueryParametersError",
        )
        for text in ("-1", "x", "604801", "9" * 40, "1e3", "٣")
    },
    **{
        f"without {name}": (
            lambda s, k, name=name: s.presigned("GET", k, without=name),
            400,
            "AuthorizationQueryParametersError",
        )
        for name in ("Credential", "Date", "Expires", "SignedHeaders", "Signature", "Algorithm")
    },
}  # fmt: skip


@pytest.mark.parametrize("case", HEADER)
def test_header_signatures(ask: Callable[[bytes], Reply], signer: Signer, bucket: str, case: str) -> None:
    make, status, code = HEADER[case]
    reply = ask(make(signer, KEY.format(bucket=bucket)))
    assert (reply.status, reply.code) == (status, code)


@pytest.mark.parametrize("text", AUTHORIZATIONS)
def test_junk_authorizations(ask: Callable[[bytes], Reply], signer: Signer, bucket: str, text: str) -> None:
    reply = ask(f"GET /{bucket}/ten HTTP/1.1\r\nhost: {signer.host}\r\nauthorization: {text}\r\n\r\n".encode())
    assert (reply.status, reply.code) == (400, AUTHORIZATIONS[text])


def test_an_empty_authorization_is_nobodys(ask: Callable[[bytes], Reply], signer: Signer, bucket: str) -> None:
    reply = ask(f"GET /{bucket}/ten HTTP/1.1\r\nhost: {signer.host}\r\nauthorization: \r\n\r\n".encode())
    assert (reply.status, reply.code) == (403, "AccessDenied")


@pytest.mark.parametrize("case", PRESIGNED)
def test_presigned(ask: Callable[[bytes], Reply], signer: Signer, bucket: str, case: str) -> None:
    make, status, code = PRESIGNED[case]
    reply = ask(make(signer, KEY.format(bucket=bucket)))
    assert (reply.status, reply.code) == (status, code)


def test_the_wrong_region_is_told_the_right_one(ask: Callable[[bytes], Reply], signer: Signer, bucket: str) -> None:
    error = ask(signer.request("GET", f"/{bucket}/ten", region="eu-west-9").raw).error
    assert error["Region"] == signer.region


# --- bodies in chunks ---

CHUNKS = [bytes([number]) * 9000 for number in range(3)]
SIGNED_CHUNKS = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"


def length_of(pieces: list[bytes]) -> int:
    return sum(map(len, pieces))


def signed_chunks(signer: Signer, target: str, declared: int | str) -> Signed:
    """The head of an upload in signed chunks; its body is sent without Content-Length's help."""
    headers = [("x-amz-decoded-content-length", str(declared)), ("transfer-encoding", "chunked")]
    return signer.request("PUT", target, headers, payload=SIGNED_CHUNKS)


def framed(body: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    """HTTP's own chunks around what is sent."""
    return b"%x\r\n%b\r\n%b" % (len(body), body, end)


def flipped(data: bytes) -> bytes:
    return data[:-3] + bytes([data[-3] ^ 1]) + data[-2:]


# name -> what becomes of the chunks, code
SPLICED: dict[str, tuple[Callable[[Signed, list[bytes]], bytes], str]] = {
    "whole": (lambda r, c: b"".join(c), ""),
    "swapped": (lambda r, c: b"".join([c[1], c[0], *c[2:]]), "SignatureDoesNotMatch"),
    "one twice": (lambda r, c: b"".join([c[0], c[0], *c[2:]]), "SignatureDoesNotMatch"),
    "one left out": (lambda r, c: b"".join([c[0], *c[2:]]), "SignatureDoesNotMatch"),
    "no end": (lambda r, c: b"".join(c[:-1]), "IncompleteBody"),
    "cut in a chunk": (lambda r, c: b"".join(c)[:10_000], "IncompleteBody"),
    "cut in a header": (lambda r, c: b"".join(c)[:40], "IncompleteBody"),
    "nothing": (lambda r, c: b"", "IncompleteBody"),
    "a changed byte": (lambda r, c: b"".join([flipped(c[0]), *c[1:]]), "SignatureDoesNotMatch"),
    "more behind": (lambda r, c: b"".join([*c, b"x"]), "IncompleteBody"),
    "one more chunk": (lambda r, c: b"".join([*c[:-1], *c[2:]]), "IncompleteBody"),
    "plain": (lambda r, c: b"".join(CHUNKS), "IncompleteBody"),
    "endless header": (lambda r, c: b"1" * 5000, "IncompleteBody"),
    "negative size": (lambda r, c: b"-5;chunk-signature=" + b"0" * 64 + b"\r\n", "IncompleteBody"),
    "no signature": (lambda r, c: b"2328\r\n" + CHUNKS[0] + b"\r\n", "IncompleteBody"),
    "signed elsewhere": (lambda r, c: b"".join(r._replace(key=b"other").chunks(CHUNKS)), "SignatureDoesNotMatch"),
}  # fmt: skip


@pytest.mark.parametrize("case", SPLICED)
def test_spliced_chunks(ask: Callable[[bytes], Reply], signer: Signer, bucket: str, case: str) -> None:
    change, code = SPLICED[case]
    target = f"/{bucket}/{case.replace(' ', '-')}"
    request = signed_chunks(signer, target, length_of(CHUNKS))
    body = change(request, request.chunks(CHUNKS))
    reply = ask(request.head + (framed(body) if body else b"0\r\n\r\n"))
    assert reply.code == code
    assert reply.status == {"": 200, "SignatureDoesNotMatch": 403}.get(code, 400)
    stored = ask(signer.request("GET", target).raw)
    assert (stored.status, stored.body if not code else b"") == ((404, b"") if code else (200, b"".join(CHUNKS)))


@pytest.mark.parametrize("declared", ["0", "26999", "27001", "999999999999999"])
def test_declared_lengths_that_are_not_so(
    ask: Callable[[bytes], Reply], signer: Signer, bucket: str, declared: str
) -> None:
    request = signed_chunks(signer, f"/{bucket}/declared", declared)
    reply = ask(request.head + framed(b"".join(request.chunks(CHUNKS))))
    assert reply.status == 400
    assert reply.code == ("EntityTooLarge" if len(declared) > 10 else "IncompleteBody")
    assert ask(signer.request("GET", f"/{bucket}/declared").raw).status == 404


@pytest.mark.parametrize("declared", ["", "-1", "x", "1.0", "9" * 30])
def test_declared_lengths_that_are_none(
    ask: Callable[[bytes], Reply], signer: Signer, bucket: str, declared: str
) -> None:
    request = signed_chunks(signer, f"/{bucket}/declared", declared)
    assert ask(request.head + b"0\r\n\r\n").code == "MissingContentLength"


def test_small_chunks_before_the_last(ask: Callable[[bytes], Reply], signer: Signer, bucket: str) -> None:
    request = signed_chunks(signer, f"/{bucket}/small", 300)
    reply = ask(request.head + framed(b"".join(request.chunks([b"a" * 100] * 3))))
    assert (reply.status, reply.code) == (400, "InvalidChunkSizeError")


TRAILERS = {
    b"x-amz-checksum-crc32:NhCmhg==\r\n\r\n": (200, ""),
    b"x-amz-checksum-crc32:NhCmhw==\r\n\r\n": (400, "BadDigest"),
    b"x-amz-checksum-crc32:junk\r\n\r\n": (400, "InvalidRequest"),
    b"x-amz-checksum-sha1:NhCmhg==\r\n\r\n": (400, "MalformedTrailerError"),
    b"no colon\r\n\r\n": (400, "MalformedTrailerError"),
    b"\r\n": (400, "MalformedTrailerError"),
    b"x-amz-checksum-crc32:NhCmhg==\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n": (400, "MalformedTrailerError"),
    b"x-amz-checksum-crc32:NhCmhg==\r\n": (400, "IncompleteBody"),
    b"x-amz-checksum-crc32:" + b"a" * 3000: (400, "IncompleteBody"),
}


@pytest.mark.parametrize("trailer", TRAILERS)
def test_trailers(ask: Callable[[bytes], Reply], signer: Signer, bucket: str, trailer: bytes) -> None:
    headers = [("x-amz-decoded-content-length", "5"), ("x-amz-trailer", "x-amz-checksum-crc32")]
    head = signer.request("PUT", f"/{bucket}/trailer", [*headers, ("transfer-encoding", "chunked")], payload=TRAILER)
    reply = ask(head.head + framed(b"5\r\nhello\r\n0\r\n" + trailer))
    assert (reply.status, reply.code) == TRAILERS[trailer]


# --- lengths ---


@pytest.mark.parametrize("payload", [UNSIGNED, None])
def test_a_body_longer_than_its_length_is_cut_there(signer: Signer, bucket: str, payload: str | None) -> None:
    """What follows the announced end is never stored; it is no request either, so the connection ends."""
    request = signer.request("PUT", f"/{bucket}/longer", [("content-length", "5")], b"hello world", payload=payload)
    with Wire(signer.port) as wire:
        first = wire.ask(request.raw)
        assert (first.status, first.code) == ((200, "") if payload else (400, "XAmzContentSHA256Mismatch"))
        assert first.closes and wire.at_end()


def test_a_body_shorter_than_its_length_leaves_nothing(
    ask: Callable[[bytes], Reply], signer: Signer, bucket: str
) -> None:
    request = signer.request("PUT", f"/{bucket}/shorter", [("content-length", "11")], b"hello", payload=UNSIGNED)
    with Wire(signer.port) as wire:
        wire.send(request.raw)
    assert ask(signer.request("GET", f"/{bucket}/shorter").raw).status == 404


@pytest.mark.parametrize("size", [5 * 2**30 + 1, 2**63 - 1])
def test_more_than_a_put_may_have_is_refused_before_it_is_sent(
    ask: Callable[[bytes], Reply], signer: Signer, bucket: str, size: int
) -> None:
    reply = ask(signer.request("PUT", f"/{bucket}/huge", [("content-length", str(size))], payload=UNSIGNED).head)
    assert (reply.status, reply.code, reply.closes) == (400, "EntityTooLarge", True)


def test_no_length_at_all(ask: Callable[[bytes], Reply], signer: Signer, bucket: str) -> None:
    reply = ask(signer.request("PUT", f"/{bucket}/none", payload=UNSIGNED, leave_out="length").raw)
    assert (reply.status, reply.code) == (411, "MissingContentLength")
    chunked = signer.request("PUT", f"/{bucket}/none", [("transfer-encoding", "chunked")], payload=UNSIGNED)
    reply = ask(chunked.head + b"5\r\nhello\r\n0\r\n\r\n")
    assert (reply.status, reply.code) == (501, "NotImplemented")


def test_a_payload_that_is_not_what_was_signed(ask: Callable[[bytes], Reply], signer: Signer, bucket: str) -> None:
    reply = ask(signer.request("PUT", f"/{bucket}/other", body=b"hello").head + b"hellO")
    assert (reply.status, reply.code) == (400, "XAmzContentSHA256Mismatch")
    assert ask(signer.request("GET", f"/{bucket}/other").raw).status == 404
