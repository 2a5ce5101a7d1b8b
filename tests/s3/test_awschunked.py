"""The aws-chunked decoder: AWS's published bodies, every way of cutting them, and every way to be malformed."""

from __future__ import annotations

import hmac
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3gate.s3.authenticate import authenticate
from s3gate.s3.awschunked import MAX_LINE_BYTES, MIN_CHUNK_BYTES, Decoder, decoded_length
from s3gate.s3.canonical import signing_key_of
from s3gate.s3.credentials import Authentication, PayloadMode
from s3gate.s3.errors import S3Error
from s3gate.s3.request import Headers
from tests.s3.signing import ACCESS_KEY, NOW, SECRET_KEY, received, secret_of

SIGNED, SIGNED_TRAILER, UNSIGNED_TRAILER = (
    PayloadMode.STREAMING_SIGNED,
    PayloadMode.STREAMING_SIGNED_TRAILER,
    PayloadMode.STREAMING_UNSIGNED_TRAILER,
)
SCOPE = "20130524/us-east-1/s3/aws4_request"
KEY = signing_key_of(SECRET_KEY, "20130524", "us-east-1", "s3")
CRC = "x-amz-checksum-crc32c"
TWO_CHUNKS = [b"a" * 65536, b"a" * 1024]


def signing(mode: PayloadMode, seed: str = "seed") -> Authentication:
    return Authentication(ACCESS_KEY, mode, "", KEY, seed, SCOPE, "20130524T000000Z")


def signature(kind: str, previous: str, *hashes: str) -> str:
    lines = (f"AWS4-HMAC-SHA256-{kind}", "20130524T000000Z", SCOPE, previous, *hashes)
    return hmac.digest(KEY, "\n".join(lines).encode(), "sha256").hex()


def signed_body(chunks: list[bytes], seed: str = "seed", trailers: str | None = None, end: str = "\r\n") -> bytes:
    body, previous, empty = b"", seed, sha256().hexdigest()
    for chunk in [*chunks, b""]:
        previous = signature("PAYLOAD", previous, empty, sha256(chunk).hexdigest())
        body += f"{len(chunk):x};chunk-signature={previous}\r\n".encode() + chunk + (b"\r\n" if chunk else b"")
    if trailers is not None:
        previous = signature("TRAILER", previous, sha256(trailers.encode()).hexdigest())
        body += trailers.replace("\n", end).encode() + f"x-amz-trailer-signature:{previous}\r\n".encode()
    return body + b"\r\n"


def unsigned_body(chunks: list[bytes], trailers: str = "") -> bytes:
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return body + b"0\r\n" + trailers.encode() + b"\r\n"


def decode(mode, body: bytes, length: int, trailers=(), step: int = 0, seed: str = "seed") -> tuple[bytes, dict]:
    decoder = Decoder(mode, length, signing(mode, seed), trailers)
    step = step or max(1, len(body))
    pieces = [bytes(piece) for at in range(0, len(body), step) for piece in decoder.feed(body[at : at + step])]
    return b"".join(pieces), decoder.finish()


def code_of(mode, body: bytes, length: int, trailers=(), step: int = 0) -> str:
    with pytest.raises(S3Error) as caught:
        decode(mode, body, length, trailers, step)
    return caught.value.code


def published_request(claim: str, seed: str, signed: str, more: dict[str, str]) -> Authentication:
    authorization = f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{SCOPE},SignedHeaders={signed},Signature={seed}"
    headers = {
        "x-amz-date": "20130524T000000Z",
        "x-amz-storage-class": "REDUCED_REDUNDANCY",
        "authorization": authorization,
        "x-amz-content-sha256": claim,
        "content-encoding": "aws-chunked",
        "x-amz-decoded-content-length": "66560",
    }
    request = received("PUT", "http://s3.amazonaws.com/examplebucket/chunkObject.txt", headers | more)
    return authenticate(request, NOW, secret_of, "us-east-1")


def test_published_chunked_upload():
    """https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html"""
    found = published_request(
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
        "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;"
        "x-amz-storage-class",
        {"content-length": "66824"},
    )
    body = signed_body(TWO_CHUNKS, found.seed_signature)
    assert b"ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648" in body
    assert b"0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497" in body
    assert b"b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9" in body
    assert len(body) == 66824
    decoder = Decoder(found.payload, 66560, found)
    assert b"".join(decoder.feed(body)) == b"a" * 66560
    assert decoder.finish() == {}


def test_published_trailer_upload():
    """https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html"""
    found = published_request(
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
        "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
        "content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;"
        "x-amz-trailer",
        {"x-amz-trailer": CRC},
    )
    body = signed_body(TWO_CHUNKS, found.seed_signature, f"{CRC}:sOO8/Q==\n")
    assert b"b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2" in body
    assert b"1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7" in body
    assert b"2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992" in body
    assert b"d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435" in body
    decoder = Decoder(found.payload, 66560, found, [CRC])
    assert b"".join(decoder.feed(body)) == b"a" * 66560
    assert decoder.finish() == {CRC: "sOO8/Q=="}


SMALL = [b"x" * 8192, b"hello"]
TRAILER = f"{CRC}:sOO8/Q==\n"
BODIES = [
    (SIGNED, signed_body(SMALL), (), {}),
    (SIGNED_TRAILER, signed_body(SMALL, trailers=TRAILER), (CRC,), {CRC: "sOO8/Q=="}),
    (SIGNED_TRAILER, signed_body(SMALL, trailers=TRAILER, end="\n\r\n"), (CRC,), {CRC: "sOO8/Q=="}),
    (UNSIGNED_TRAILER, unsigned_body(SMALL, TRAILER.replace("\n", "\r\n")), (CRC,), {CRC: "sOO8/Q=="}),
    (UNSIGNED_TRAILER, unsigned_body(SMALL, TRAILER), (CRC,), {CRC: "sOO8/Q=="}),
    (UNSIGNED_TRAILER, unsigned_body(SMALL), (), {}),
]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: f"{body[0].name}-{len(body[1])}")
@pytest.mark.parametrize("step", [0, 1, 2, 7, 1000, 8193])
def test_whole_and_in_pieces(body, step):
    mode, framed, trailers, wanted = body
    assert decode(mode, framed, 8197, trailers, step) == (b"".join(SMALL), wanted)


@pytest.mark.parametrize("body", BODIES, ids=lambda body: f"{body[0].name}-{len(body[1])}")
def test_truncated_anywhere(body):
    mode, framed, trailers, _ = body
    for stop in [*range(120), *range(len(framed) - 250, len(framed))]:
        assert code_of(mode, framed[:stop], 8197, trailers) in ("IncompleteBody", "MalformedTrailerError")


@pytest.mark.parametrize("body", BODIES, ids=lambda body: f"{body[0].name}-{len(body[1])}")
@pytest.mark.parametrize("step", [0, 1])
def test_trailing_bytes_are_refused(body, step):
    mode, framed, trailers, _ = body
    assert code_of(mode, framed + b"x", 8197, trailers, step) == "IncompleteBody"
    assert code_of(mode, framed + b"\r\n", 8197, trailers, step) == "IncompleteBody"


@pytest.mark.parametrize("length", [0, 8196, 8198])
def test_the_length_must_be_the_one_announced(length):
    for mode, framed, trailers, _ in BODIES:
        assert code_of(mode, framed, length, trailers) == "IncompleteBody"


def test_empty_bodies():
    assert decode(SIGNED, signed_body([]), 0) == (b"", {})
    assert decode(UNSIGNED_TRAILER, b"0\r\n\r\n", 0) == (b"", {})
    assert decode(UNSIGNED_TRAILER, f"0\r\n{CRC}:AAAAAA==\r\n\r\n".encode(), 0, (CRC,))[1] == {CRC: "AAAAAA=="}


def test_payload_is_not_copied():
    framed = unsigned_body([b"payload"])
    pieces = Decoder(UNSIGNED_TRAILER, 7, Authentication.ANONYMOUS).feed(framed)
    assert [piece.obj is framed for piece in pieces] == [True]


@pytest.mark.parametrize("at", [3, 20, 100, 8300, -20, -60])
def test_signed_bodies_bear_no_change(at):
    framed = bytearray(signed_body(SMALL, trailers=TRAILER))
    framed[at] = ord("0") if framed[at] != ord("0") else ord("1")
    with pytest.raises(S3Error):
        decode(SIGNED_TRAILER, bytes(framed), 8197, (CRC,))


def test_wrong_signatures():
    chunk = signed_body(SMALL).replace(b"hello", b"hellO")
    assert code_of(SIGNED, chunk, 8197) == "SignatureDoesNotMatch"
    assert code_of(SIGNED, signed_body(SMALL, seed="other"), 8197) == "SignatureDoesNotMatch"
    trailer = signed_body(SMALL, trailers=TRAILER).replace(b"sOO8", b"sOO9")
    assert code_of(SIGNED_TRAILER, trailer, 8197, (CRC,)) == "SignatureDoesNotMatch"
    swapped = signed_body([b"a" * 8192, b"b" * 8192]).replace(b"a" * 8192, b"c" * 8192)
    assert code_of(SIGNED, swapped, 16384) == "SignatureDoesNotMatch"


def test_the_trailer_signature_is_obligatory():
    without = signed_body(SMALL)[:-2] + f"{CRC}:sOO8/Q==\r\n\r\n".encode()
    assert code_of(SIGNED_TRAILER, without, 8197, (CRC,)) == "MalformedTrailerError"
    assert code_of(SIGNED_TRAILER, signed_body(SMALL), 8197) == "IncompleteBody"


@pytest.mark.parametrize(
    ("mode", "framed"),
    [
        (SIGNED, signed_body([b"x" * 8191, b"y" * 8192])),
        (UNSIGNED_TRAILER, unsigned_body([b"x" * 8191, b"y" * 8192])),
    ],
    ids=["signed", "unsigned"],
)
def test_only_the_last_chunk_may_be_small(mode, framed):
    with pytest.raises(S3Error) as caught:
        decode(mode, framed, 16383)
    assert (caught.value.code, caught.value.extra) == (
        "InvalidChunkSizeError",
        {"Chunk": "2", "BadChunkSize": "8191"},
    )


@pytest.mark.parametrize(
    "body",
    [
        b"5\nhello\r\n0\r\n\r\n",
        b"5\r\nhelloXX0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"5\r\nhello0\r\n\r\n",
        b"-5\r\nhello\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"+5\r\nhello\r\n0\r\n\r\n",
        b" 5\r\nhello\r\n0\r\n\r\n",
        b"5_0\r\nhello\r\n0\r\n\r\n",
        b"\r\n5\r\nhello\r\n0\r\n\r\n",
        b"00000000000000005\r\nhello\r\n0\r\n\r\n",
        b"ffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\r\n",
        b"5;" + b"a" * MAX_LINE_BYTES + b"\r\nhello\r\n0\r\n\r\n",
        b"5" * 100_000,
        b"hello",
        b"",
    ],
)
@pytest.mark.parametrize("step", [0, 1])
def test_malformed_framing(body, step):
    assert code_of(UNSIGNED_TRAILER, body, 5, (), step) == "IncompleteBody"
    assert code_of(SIGNED, body, 5, (), step) == "IncompleteBody"


@pytest.mark.parametrize(
    "trailers",
    [
        "x-amz-checksum-crc32:AAAAAA==\r\n",
        f"{CRC}:AAAAAA==\r\n{CRC}:AAAAAA==\r\n",
        f"{CRC}\r\n",
        f"{CRC} AAAAAA==\r\n",
        ":AAAAAA==\r\n",
        "",
        f"{CRC}:AA\x00AA==\r\n",
        f"{CRC}:AAAAAA==\r\nx-amz-meta-a:b\r\n",
        "\n" * 40,
    ],
)
def test_malformed_trailers(trailers):
    assert code_of(UNSIGNED_TRAILER, unsigned_body([b"hi"], trailers), 2, (CRC,)) == "MalformedTrailerError"


# https://github.com/versity/versitygw/issues/1660 and 1666: what S3 says where the last delimiter is incomplete
@pytest.mark.parametrize("body", BODIES, ids=lambda body: f"{body[0].name}-{len(body[1])}")
@pytest.mark.parametrize("end", [b"", b"\r", b"\rX"])
def test_the_last_line_break_is_part_of_the_body(body, end):
    mode, framed, trailers, _ = body
    assert code_of(mode, framed[:-2] + end, 8197, trailers) == "IncompleteBody"


def test_trailers_only_where_the_mode_has_them():
    body = signed_body([b"hi"])[:-2] + f"{CRC}:AAAAAA==\r\n\r\n".encode()
    assert code_of(SIGNED, body, 2, (CRC,)) == "MalformedTrailerError"


def test_a_plain_body_is_not_framed():
    with pytest.raises(ValueError):
        Decoder(PayloadMode.SIGNED, 0, Authentication.ANONYMOUS)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("0", 0), ("5368709120", 5368709120), ("-1", None), ("1e3", None), ("", None), ("9" * 30, None), ("\u0661", None)],
)
def test_decoded_length(text, wanted):
    headers = Headers([(b"x-amz-decoded-content-length", text.encode())])
    if wanted is not None:
        assert decoded_length(headers) == wanted
        return
    with pytest.raises(S3Error) as caught:
        decoded_length(headers)
    assert (caught.value.code, caught.value.status) == ("MissingContentLength", 411)


def test_decoded_length_is_obligatory():
    with pytest.raises(S3Error) as caught:
        decoded_length(Headers([]))
    assert (caught.value.code, caught.value.status) == ("MissingContentLength", 411)


MODES = st.sampled_from([SIGNED, SIGNED_TRAILER, UNSIGNED_TRAILER])
FRAGMENTS = st.lists(
    st.one_of(
        st.binary(max_size=20),
        st.sampled_from(
            [b"\r\n", b"\n", b"5\r\n", b"hello\r\n", b"0\r\n", b"5;chunk-signature=" + b"a" * 64 + b"\r\n", b"f" * 17]
        ),
    ),
    max_size=12,
)


@settings(max_examples=300, deadline=None)
@given(MODES, FRAGMENTS, st.integers(0, 40))
def test_only_s3_errors_escape(mode, fragments, length):
    decoder = Decoder(mode, length, signing(mode), (CRC,))
    total = 0
    try:
        for fragment in fragments:
            total += sum(len(piece) for piece in decoder.feed(fragment))
        decoder.finish()
    except S3Error:
        return
    assert total == length


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=50), max_size=6), st.lists(st.integers(1, 30), min_size=1, max_size=9))
def test_any_cut_gives_the_same_payload(pieces, cuts):
    last = [] if not pieces else pieces[-1:]
    chunks = [piece + bytes(MIN_CHUNK_BYTES) for piece in pieces[:-1]] + last
    framed = unsigned_body(chunks, f"{CRC}:AAAAAA==\r\n")
    decoder = Decoder(UNSIGNED_TRAILER, sum(map(len, chunks)), Authentication.ANONYMOUS, (CRC,))
    payload, at, turn = b"", 0, 0
    while at < len(framed):
        step = cuts[turn % len(cuts)]
        payload += b"".join(bytes(piece) for piece in decoder.feed(framed[at : at + step]))
        at, turn = at + step, turn + 1
    assert (payload, decoder.finish()) == (b"".join(chunks), {CRC: "AAAAAA=="})
