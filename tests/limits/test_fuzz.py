"""Requests that nobody thought of, well signed: whatever they say, the gate answers in S3's words and stays well.

No answer is a 5xx but NotImplemented; every error is a document that parses, names a code and has the ids of the
headers; and the connection then takes the next request, unless the answer said that it closes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import quote, quote_from_bytes
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from s3gate.s3.errors import CODES
from s3gate.s3.operation import OBJECT, OPERATIONS, SERVICE
from tests.fix_store import Store
from tests.limits.wire import UNSIGNED, Reply, Signer, Wire

pytestmark = pytest.mark.usefixtures("healthy")

EXAMPLES = 400
LONG_EXAMPLES = 20_000
BUCKET = f"fuzz-{uuid4().hex[:8]}"

PARAMETERS = sorted(
    {name for row in OPERATIONS.values() for name in (row.subresource, *row.takes, *row.needs)} - {""}
)  # fmt: skip
HEADER_NAMES = """
    cache-control content-disposition content-encoding content-language content-md5 content-type expect expires if-match
    if-modified-since if-none-match if-unmodified-since range x-amz-acl x-amz-checksum-algorithm x-amz-checksum-crc32
    x-amz-checksum-crc32c x-amz-checksum-crc64nvme x-amz-checksum-mode x-amz-checksum-sha1 x-amz-checksum-sha256
    x-amz-checksum-type x-amz-copy-source x-amz-copy-source-if-match x-amz-copy-source-if-modified-since
    x-amz-copy-source-range x-amz-decoded-content-length x-amz-expected-bucket-owner x-amz-grant-read x-amz-meta-a
    x-amz-meta- x-amz-metadata-directive x-amz-mp-object-size x-amz-object-lock-mode x-amz-request-payer
    x-amz-sdk-checksum-algorithm x-amz-server-side-encryption x-amz-source-expected-bucket-owner x-amz-storage-class
    x-amz-tagging x-amz-tagging-directive x-amz-trailer x-amz-website-redirect-location x-amz-write-offset-bytes
"""
UPLOAD = "@upload"  # stands for the id of a real one
WORDS = """
    * 0 1 -1 2 10000 10001 99999999999999999999 true false null url x bytes=0-0 bytes=-1 bytes=5- bytes=0-4,6-7 COPY
    REPLACE CRC32 SHA256 CRC64NVME COMPOSITE FULL_OBJECT AAAAAA== AAAAAAAAAAA= aws-chunked gzip,aws-chunked
    x-amz-checksum-crc32 STANDARD private 100-continue
"""
VALUES = [
    *WORDS.split(),
    "", '"*"', '"x", "y"', 'W/"x"', "Thu, 01 Jan 1970 00:00:00 GMT", "Mon, 99 Foo 9999 99:99:99 GMT", f"{BUCKET}/k",
    f"/{BUCKET}/k?versionId=null", f"{BUCKET}/none", "0" * 32, "a" * 1025, UPLOAD,
]  # fmt: skip
SIGNING = [
    "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature",
    "X-Amz-Security-Token", "X-Amz-Content-Sha256", "AWSAccessKeyId", "Signature", "Expires",
]  # fmt: skip
BODIES = [
    b"", b"hello", b"0\r\n\r\n", b"5\r\nhello\r\n0\r\n\r\n", b"<Delete><Object><Key>k</Key></Object></Delete>",
    b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>",
    b"<CreateBucketConfiguration/>", b"<a", bytes(range(256)), b"x" * 100_000,
]  # fmt: skip
PAYLOADS = [
    UNSIGNED, "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
]  # fmt: skip

# What a header may hold on the wire, the characters that the parser refuses before anybody else left out.
header_text = st.binary(max_size=40).map(lambda raw: bytes(c for c in raw if 32 <= c != 127))
values = st.one_of(st.sampled_from(VALUES), st.text(max_size=20))
segment = st.one_of(st.just("no-such-bucket"), st.text(max_size=8).filter(lambda name: name != "-"))
key = st.one_of(st.just(b"k"), st.text(max_size=12).map(str.encode), st.binary(max_size=12))
header_lists = st.lists(
    st.tuples(st.sampled_from(HEADER_NAMES.split()), st.one_of(st.sampled_from(VALUES).map(str.encode), header_text)),
    max_size=4,
)
METHODS = ["GET", "PUT", "POST", "DELETE", "HEAD", "PATCH", "OPTIONS", "TRACE"]


class Line(NamedTuple):
    """Method and target of a request, escaped once."""

    method: str
    target: str


def rarely(draw: st.DrawFn) -> bool:
    return draw(st.integers(0, 9)) == 0


@st.composite
def lines(draw: st.DrawFn) -> Line:
    """Something like an operation that is built: its parameters with any value, now and then another one."""
    row = draw(st.sampled_from([row for row in OPERATIONS.values() if row.built]))
    path = "/"
    if row.level != SERVICE:
        path += quote(draw(segment) if rarely(draw) else BUCKET, safe="")
    if row.level == OBJECT:
        path += "/" + quote_from_bytes(draw(key), safe="/")
    names = [name for name in (row.subresource, *row.needs) if name]
    names += draw(st.lists(st.sampled_from(sorted(row.takes)), max_size=3)) if row.takes else []
    if rarely(draw):
        names.append(draw(st.one_of(st.sampled_from(PARAMETERS), st.text(max_size=8))))
    fields = []
    for name in names:
        plain = {"uploadId": UPLOAD, "partNumber": "1", "list-type": "2"}.get(name)
        value = draw(values) if plain is None or rarely(draw) else plain
        fields.append(f"{quote(name, safe='')}={quote(value, safe='')}")
    method = draw(st.sampled_from(METHODS)) if rarely(draw) else row.method
    return Line(method, path + ("?" + "&".join(fields) if fields else ""))


class Talk:
    """A connection that is opened anew when the gate has said that it closes it."""

    def __init__(self, signer: Signer, upload_id: str) -> None:
        self.signer = signer
        self.upload_id = upload_id
        self._wire: Wire | None = None

    def ask(self, data: bytes) -> Reply:
        if self._wire is None:
            self._wire = Wire(self.signer.port)
        reply = self._wire.ask(data)
        if reply.closes:
            self.close()
        return reply

    def close(self) -> None:
        if self._wire is not None:
            self._wire.socket.close()
            self._wire = None


@pytest.fixture
def talk(store: Store, signer: Signer) -> Iterator[Talk]:
    client = store.client()
    client.create_bucket(Bucket=BUCKET)
    client.put_object(Bucket=BUCKET, Key="k", Body=b"0123456789")
    talk = Talk(signer, client.create_multipart_upload(Bucket=BUCKET, Key="k")["UploadId"])
    yield talk
    talk.close()


def assert_proper(reply: Reply, method: str) -> None:
    assert reply.status < 500 or reply.status == 501, (reply.status, reply.body)
    assert len(reply.headers["x-amz-request-id"]) == 16
    if method == "HEAD":
        assert not reply.body
    elif reply.status >= 400:
        code = reply.error["Code"]
        assert CODES[code][0] == reply.status


def effort(long: bool) -> settings:
    """How many requests are tried: the same ones every time, others with --long."""
    return settings(
        max_examples=LONG_EXAMPLES if long else EXAMPLES,
        deadline=None,
        database=None,
        derandomize=not long,
        suppress_health_check=list(HealthCheck),
    )


def test_any_request_gets_a_proper_answer(talk: Talk, long: bool) -> None:
    signer = talk.signer
    health = signer.request("GET", "/-/live").raw

    @effort(long)
    @given(
        line=lines(),
        sent=header_lists,
        body=st.one_of(st.sampled_from(BODIES), st.binary(max_size=200)),
        payload=st.one_of(st.none(), st.none(), st.sampled_from(PAYLOADS)),
        extra=st.lists(st.tuples(st.sampled_from(["accept", "user-agent", "x"]), header_text), max_size=2),
    )
    def run(line: Line, sent: Any, body: bytes, payload: str | None, extra: Any) -> None:
        target = line.target.replace(quote(UPLOAD), talk.upload_id)
        request = signer.request(line.method, target, sent, body, payload=payload, unsigned=extra)
        reply = talk.ask(request.raw)
        assert_proper(reply, line.method)
        assert talk.ask(health).status == 200

    run()


def test_any_presigned_query_gets_a_proper_answer(talk: Talk, long: bool) -> None:
    """Pieces of signatures of all versions, in any company: never more than a refusal."""
    host = talk.signer.host
    good = [talk.signer.access_key, "AWS4-HMAC-SHA256", "20260101T000000Z", "host", "host;x-amz-date", "600"]
    good.append(f"{talk.signer.access_key}/20260101/us-east-1/s3/aws4_request")
    fields = st.lists(
        st.tuples(st.sampled_from(SIGNING), st.one_of(st.sampled_from([*good, *VALUES]), st.text(max_size=12))),
        max_size=8,
    )
    authorizations = st.one_of(
        st.none(),
        header_text,
        header_text.map(lambda text: b"AWS4-HMAC-SHA256 " + text),
        header_text.map(lambda text: b"AWS " + talk.signer.access_key.encode() + b":" + text),
        st.tuples(st.sampled_from(good), st.sampled_from(good), header_text).map(
            lambda p: f"AWS4-HMAC-SHA256 Credential={p[0]}, SignedHeaders={p[1]}, Signature=".encode() + p[2]
        ),
    )

    @effort(long)
    @given(line=lines(), fields=fields, authorization=authorizations, date=st.one_of(st.none(), header_text))
    def run(line: Line, fields: Any, authorization: bytes | None, date: bytes | None) -> None:
        query = "&".join(f"{quote(name)}={quote(value, safe='')}" for name, value in fields)
        head = f"GET {line.target}{'&' if '?' in line.target else '?'}{query} HTTP/1.1\r\nhost: {host}\r\n".encode()
        if authorization is not None:
            head += b"authorization: %b\r\n" % authorization
        if date is not None:
            head += b"x-amz-date: %b\r\n" % date
        reply = talk.ask(head + b"\r\n")
        assert_proper(reply, "GET")
        # Nobody in particular may learn that there is no such bucket; of one that there is, nothing.
        assert reply.status in (400, 403, 405, 501) or (reply.status, reply.code) == (404, "NoSuchBucket")

    run()
