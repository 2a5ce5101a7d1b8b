"""Well-signed requests with one thing wrong each: AWS's status and code, in a table.

An empty code is a success: AWS ignores what is wrong there. `{b}` is the bucket, `{u}` an upload in progress to `up`.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from hashlib import md5
from typing import NamedTuple

import pytest

from s3gate.s3.listing import encode_token
from tests.fix_store import Store
from tests.limits.conftest import CONTENT
from tests.limits.wire import Pairs, Reply, Signer

pytestmark = pytest.mark.usefixtures("healthy")

MIB = 1 << 20


class Upload(NamedTuple):
    """An upload in progress, with one part."""

    upload_id: str
    etag: str


@pytest.fixture(scope="module")
def upload(store: Store, bucket: str) -> Upload:
    client, where = store.client(), {"Bucket": bucket, "Key": "up"}
    upload_id = client.create_multipart_upload(**where)["UploadId"]
    etag = client.upload_part(**where, UploadId=upload_id, PartNumber=1, Body=CONTENT)["ETag"]
    return Upload(upload_id, etag)


# --- queries ---

LONG = "a" * 999
INVALID = (400, "InvalidArgument")
UNBUILT = (501, "NotImplemented")
WITHOUT_ACLS = (400, "AccessControlListNotSupported")
FINE = (200, "")

# method and target -> status, code
TARGETS: dict[str, tuple[int, str]] = {
    **{f"GET /{{b}}?max-keys={text}": INVALID for text in ("-1", "x", "1.5", "2147483648", "9" * 50, "0x10", "%D9%A3")},
    **{f"GET /{{b}}?list-type=2&max-keys={text}": INVALID for text in ("-1", "x", "%00", "1%20000")},
    "GET /{b}?max-keys=0": FINE,
    "GET /{b}?max-keys=2147483647": FINE,
    "GET /{b}?list-type=3": INVALID,
    "GET /{b}?list-type=": INVALID,
    "GET /{b}?encoding-type=base64": INVALID,
    "GET /{b}?list-type=2&encoding-type=x": INVALID,
    **{f"GET /{{b}}?list-type=2&continuation-token={text}": INVALID for text in ("x", "AAAA", "%00", "%C3%A9", LONG)},
    "GET /{b}?list-type=2&continuation-token=": FINE,
    "GET /{b}?list-type=2&start-after=%00%F0%9F%98%80": FINE,
    "GET /{b}?prefix=%00&delimiter=%00&marker=%0D%0A": FINE,
    "GET /{b}?uploads&max-uploads=x": INVALID,
    "GET /{b}?uploads&encoding-type=x": INVALID,
    "GET /{b}?uploads&key-marker=a&upload-id-marker=x": INVALID,
    "GET /{b}?versions&version-id-marker=x": INVALID,
    "GET /{b}?versions&max-keys=-1": INVALID,
    **{f"GET /?max-buckets={text}": INVALID for text in ("0", "-1", "10001", "x")},
    "GET /?continuation-token=x": INVALID,
    "GET /?prefix=%00": FINE,
    f"GET /?continuation-token={encode_token(bytes(5))}": FINE,
    "HEAD /%00abc": (400, ""),
    "GET /{b}?frobnicate": UNBUILT,
    "PUT /{b}?frobnicate": UNBUILT,
    "DELETE /{b}?frobnicate": UNBUILT,
    "DELETE /{b}/ten?frobnicate": UNBUILT,
    "PUT /{b}/ten?acl": WITHOUT_ACLS,
    "GET /{b}?policy": (404, "NoSuchBucketPolicy"),
    "GET /{b}/ten?x-id=GetObject": FINE,
    "GET /{b}/ten?torrent": UNBUILT,
    "PUT /": (405, "MethodNotAllowed"),
    "DELETE /": (405, "MethodNotAllowed"),
    "POST /{b}/ten": (405, "MethodNotAllowed"),
    "PATCH /{b}/ten": (405, "MethodNotAllowed"),
    "GET /{b}/ten?acl&tagging": INVALID,
    "GET /{b}/ten?versionId=x": INVALID,
    "GET /{b}/ten?versionId=": INVALID,
    "DELETE /{b}/ten?versionId=x": INVALID,
    **{f"GET /{{b}}/ten?partNumber={text}": INVALID for text in ("0", "-1", "10001", "x", "", "1.0", "%D9%A3")},
    "GET /{b}/ten?partNumber=1": (206, ""),
    "GET /{b}/ten?partNumber=2": (416, "InvalidPartNumber"),
    "GET /{b}/ten?response-content-type=a%0D%0Aset-cookie:%20b": INVALID,
    "GET /{b}/ten?response-content-disposition=%00": INVALID,
    "GET /{b}/ten?response-cache-control=%F0%9F%98%80": INVALID,
    "GET /{b}/none": (404, "NoSuchKey"),
    "GET /no-such-bucket-here/k": (404, "NoSuchBucket"),
    **{
        f"PUT /{{b}}/up?uploadId={{u}}&partNumber={text}": INVALID
        for text in ("0", "-1", "10001", "x", "", "1.0", "1e3", "00000000000000000001", "%D9%A3")
    },
    "PUT /{b}/up?uploadId={u}": (405, "MethodNotAllowed"),
    "PUT /{b}/up?partNumber=1": INVALID,
    **{
        f"PUT /{{b}}/up?partNumber=1&uploadId={text}": (404, "NoSuchUpload")
        for text in ("x", "", "0" * 32, "%00" * 32, "%C3%A9" * 16, "a" * 2000)
    },
    "PUT /{b}/other?partNumber=1&uploadId={u}": (404, "NoSuchUpload"),
    "GET /{b}/up?uploadId={u}&max-parts=x": INVALID,
    "GET /{b}/up?uploadId={u}&part-number-marker=-1": INVALID,
    "GET /{b}/other?uploadId={u}": (404, "NoSuchUpload"),
    "DELETE /{b}/up?uploadId=x": (404, "NoSuchUpload"),
    "POST /{b}/up?uploadId=x": (400, "MalformedXML"),
    **{
        f"PUT /{name}": (400, "InvalidBucketName")
        for name in ("ab", "Abc", "a" * 64, "a..b", "-abc", "abc-", "192.168.1.1", "xn--abc", "a_b", "%00abc", "a%20b")
    },
    "PUT /b%C3%BCcket": (400, "InvalidBucketName"),
    "PUT /%2Fabc": (400, "InvalidBucketName"),
}  # fmt: skip


@pytest.mark.parametrize("case", TARGETS)
def test_targets(ask: Callable[[bytes], Reply], signer: Signer, bucket: str, upload: Upload, case: str) -> None:
    method, target = case.format(b=bucket, u=upload.upload_id).split(" ")
    reply = ask(signer.request(method, target).raw)
    assert (reply.status, reply.code) == TARGETS[case]


# --- headers ---

MD5 = b64encode(md5(CONTENT).digest()).decode()
REFUSED = (400, "InvalidRequest")
META = "x-amz-meta-"

# name -> method, key, headers, status, code
HEADERS: dict[str, tuple[str, str, Pairs, tuple[int, str]]] = {
    "2 KB of metadata": ("PUT", "h", [(META + "a", "b" * 2047)], FINE),
    "more than 2 KB of metadata": ("PUT", "h", [(META + "a", "b" * 2048)], (400, "MetadataTooLarge")),
    "more in pieces": ("PUT", "h", [(f"{META}{n:02}", "b" * 100) for n in range(21)], (400, "MetadataTooLarge")),
    "metadata that is no text": ("PUT", "h", [(META + "a", b"\xff\xfe")], FINE),
    "MD5 that is none": ("PUT", "h", [("content-md5", "junk")], (400, "InvalidDigest")),
    "an empty MD5": ("PUT", "h", [("content-md5", "")], (400, "InvalidDigest")),
    "MD5 of something else": ("PUT", "h", [("content-md5", "A" * 22 + "==")], (400, "BadDigest")),
    "a checksum that is none": ("PUT", "h", [("x-amz-checksum-crc32", "junk")], REFUSED),
    "a checksum of wrong length": ("PUT", "h", [("x-amz-checksum-sha256", "AAAAAA==")], REFUSED),
    "a checksum of something else": ("PUT", "h", [("x-amz-checksum-crc32", "AAAAAA==")], (400, "BadDigest")),
    "two checksums": (
        "PUT",
        "h",
        [("x-amz-checksum-crc32", "AAAAAA=="), ("x-amz-checksum-crc32c", "AAAAAA==")],
        REFUSED,
    ),
    "an unknown checksum": ("PUT", "h", [("x-amz-checksum-crc8", "AA==")], REFUSED),
    "a promise of a checksum": ("PUT", "h", [("x-amz-sdk-checksum-algorithm", "CRC32")], REFUSED),
    "a trailer without chunks": ("PUT", "h", [("x-amz-trailer", "x-amz-checksum-crc32")], REFUSED),
    "if-none-match of a tag": ("PUT", "h", [("if-none-match", '"x"')], UNBUILT),
    "both conditions": ("PUT", "h", [("if-none-match", "*"), ("if-match", "*")], UNBUILT),
    "if-match of nothing": ("PUT", "none", [("if-match", '"x"')], (404, "NoSuchKey")),
    "if-match of another": ("PUT", "ten", [("if-match", '"x"')], (412, "PreconditionFailed")),
    "if-none-match of something": ("PUT", "ten", [("if-none-match", "*")], (412, "PreconditionFailed")),
    "an unknown storage class": ("PUT", "h", [("x-amz-storage-class", "ROCK")], (400, "InvalidStorageClass")),
    "a public ACL": ("PUT", "h", [("x-amz-acl", "public-read")], WITHOUT_ACLS),
    "another cipher": ("PUT", "h", [("x-amz-server-side-encryption", "ROT13")], INVALID),
    "a system's tag": ("PUT", "h", [("x-amz-tagging", "aws:a=b")], (400, "InvalidTag")),
    "half a lock": ("PUT", "h", [("x-amz-object-lock-mode", "GOVERNANCE")], INVALID),
    "a hold without a lock": ("PUT", "h", [("x-amz-object-lock-legal-hold", "ON")], REFUSED),
    "a second factor": ("DELETE", "h", [("x-amz-mfa", "serial 123456")], UNBUILT),
    "a redirect to nowhere": ("PUT", "h", [("x-amz-website-redirect-location", "x")], (400, "InvalidRedirectLocation")),
    "another owner": ("PUT", "h", [("x-amz-expected-bucket-owner", "999999999999")], (403, "AccessDenied")),
    **{
        f"copy of {source[:20]!r}": ("PUT", "h", [("x-amz-copy-source", source)], INVALID)
        for source in ("", "/", "//", "bucket", "bucket/", "/bucket/", "?versionId=x")
    },
    "copy of a broken escape": ("PUT", "h", [("x-amz-copy-source", "b/%zz")], (400, "InvalidURI")),
    "copy of no UTF-8": ("PUT", "h", [("x-amz-copy-source", b"b/\xff")], (400, "InvalidURI")),
    "copy of a long key": ("PUT", "h", [("x-amz-copy-source", "b/" + "a" * 1025)], (400, "KeyTooLongError")),
    "copy from nowhere": ("PUT", "h", [("x-amz-copy-source", "no-such-bucket-here/k")], (404, "NoSuchBucket")),
    "copy of nothing": ("PUT", "h", [("x-amz-copy-source", "{b}/none")], (404, "NoSuchKey")),
    "copy onto itself": ("PUT", "ten", [("x-amz-copy-source", "{b}/ten")], REFUSED),
    "copy by junk": ("PUT", "h", [("x-amz-copy-source", "{b}/ten"), ("x-amz-metadata-directive", "X")], INVALID),
    **{
        f"range {text}": ("GET", "ten", [("range", text)], FINE)
        for text in ("junk", "bytes=", "bytes=-", "bytes=a-b", "bytes=5-4", "bytes=0-0,2-3", "chars=0-1", "bytes=--1")
    },
    "range over the end": ("GET", "ten", [("range", "bytes=5-999999")], (206, "")),
    "range behind the end": ("GET", "ten", [("range", "bytes=10-")], (416, "InvalidRange")),
    "range of no suffix": ("GET", "ten", [("range", "bytes=-0")], (416, "InvalidRange")),
    "range of nothing": ("GET", "empty", [("range", "bytes=0-")], (416, "InvalidRange")),
    "suffix of nothing": ("GET", "empty", [("range", "bytes=-5")], (416, "InvalidRange")),
    "range and part": ("GET", "ten?partNumber=1", [("range", "bytes=0-1")], REFUSED),
    "dates that are none": ("GET", "ten", [("if-modified-since", "x"), ("if-unmodified-since", "y")], FINE),
    "another tag": ("GET", "ten", [("if-match", '"x"')], (412, "PreconditionFailed")),
}  # fmt: skip


@pytest.mark.parametrize("case", HEADERS)
def test_headers(ask: Callable[[bytes], Reply], signer: Signer, bucket: str, case: str) -> None:
    method, key, headers, expected = HEADERS[case]
    filled = [(name, v.replace("{b}", bucket) if isinstance(v, str) else v) for name, v in headers]
    body = b"" if method == "GET" or "x-amz-copy-source" in dict(headers) else CONTENT
    reply = ask(signer.request(method, f"/{bucket}/{key}", filled, body).raw)
    assert (reply.status, reply.code) == expected
    if method == "GET" and expected == FINE:
        assert reply.body == CONTENT


@pytest.mark.parametrize("text", ["junk", "bytes=5-4", "bytes=0-10", "bytes=0-", "bytes=-1", "0-1", "bytes=0-1,2-3"])
def test_copy_ranges(ask: Callable[[bytes], Reply], signer: Signer, bucket: str, upload: Upload, text: str) -> None:
    target = f"/{bucket}/up?partNumber=2&uploadId={upload.upload_id}"
    headers = [("x-amz-copy-source", f"{bucket}/ten"), ("x-amz-copy-source-range", text)]
    reply = ask(signer.request("PUT", target, headers).raw)
    assert (reply.status, reply.code) == INVALID


# --- documents ---

LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
MANY_ATTRIBUTES = "".join(f' a{n}="b"' for n in range(3000))
MALFORMED = (400, "MalformedXML")
TOO_BIG = (400, "MaxMessageLengthExceeded")


def xml(root: str, text: str) -> bytes:
    return f"<{root}>{text}</{root}>".encode()


# Where a document is sent, its root, and an element of text in it.
DOCUMENTS = {
    "delete": ("POST", "/{b}?delete", "Delete", "<Object><Key>%s</Key></Object>"),
    "complete": (
        "POST",
        "/{b}/up?uploadId={u}",
        "CompleteMultipartUpload",
        "<Part><PartNumber>1</PartNumber><ETag>%s</ETag></Part>",
    ),
    "create": ("PUT", "/{b}-new", "CreateBucketConfiguration", "<LocationConstraint>%s</LocationConstraint>"),
}  # fmt: skip

# name -> the document, given its root and the element
ATTACKS: dict[str, tuple[Callable[[str, str], bytes], tuple[int, str]]] = {
    "not XML": (lambda r, e: b"hello", MALFORMED),
    "JSON": (lambda r, e: b'{"a": 1}', MALFORMED),
    "cut": (lambda r, e: xml(r, e % "x")[:-3], MALFORMED),
    "another root": (lambda r, e: xml("Other", e % "x"), MALFORMED),
    "another namespace": (lambda r, e: f'<{r} xmlns="urn:x">{e % "x"}</{r}>'.encode(), MALFORMED),
    "an unknown element": (lambda r, e: xml(r, "<Frob/>"), MALFORMED),
    "two roots": (lambda r, e: xml(r, e % "x") * 2, MALFORMED),
    "a DTD": (lambda r, e: f"<!DOCTYPE {r}>".encode() + xml(r, e % "x"), MALFORMED),
    "an entity": (lambda r, e: f'<!DOCTYPE {r} [<!ENTITY a "x">]>'.encode() + xml(r, e % "&a;"), MALFORMED),
    "an unknown entity": (lambda r, e: xml(r, e % "&nbsp;"), MALFORMED),
    "a file": (
        lambda r, e: f'<!DOCTYPE {r} [<!ENTITY a SYSTEM "file:///etc/passwd">]>'.encode() + xml(r, e % "&a;"),
        MALFORMED,
    ),
    "an external DTD": (
        lambda r, e: f'<!DOCTYPE {r} SYSTEM "http://127.0.0.1:1/x.dtd">'.encode() + xml(r, e % "x"),
        MALFORMED,
    ),
    "a parameter entity": (
        lambda r, e: f'<!DOCTYPE {r} [<!ENTITY % a SYSTEM "file:///etc/passwd"> %a;]>'.encode() + xml(r, e % "x"),
        MALFORMED,
    ),
    "a billion laughs": (
        lambda r, e: f'<!DOCTYPE {r} [<!ENTITY l0 "ha">{LAUGHS}]>'.encode() + xml(r, e % "&l9;"),
        MALFORMED,
    ),
    "quadratic laughs": (
        lambda r, e: f'<!DOCTYPE {r} [<!ENTITY a "{"a" * 9000}">]>'.encode() + xml(r, e % ("&a;" * 5000)),
        MALFORMED,
    ),
    "depth": (lambda r, e: b"<a>" * 9000 + b"</a>" * 9000, MALFORMED),
    "depth inside": (lambda r, e: xml(r, "<a>" * 5000 + "</a>" * 5000), MALFORMED),
    "attributes": (
        lambda r, e: f"<{r}{MANY_ATTRIBUTES}><Frob/></{r}>".encode(),
        MALFORMED,
    ),
    "no UTF-8": (lambda r, e: xml(r, e % "@").replace(b"@", b"\xff\xfe"), MALFORMED),
    "overlong UTF-8": (lambda r, e: xml(r, e % "@").replace(b"@", b"\xc0\xaf"), MALFORMED),
    "a raw surrogate": (lambda r, e: xml(r, e % "@").replace(b"@", b"\xed\xa0\x80"), MALFORMED),
    "a written surrogate": (lambda r, e: xml(r, e % "&#xD800;"), MALFORMED),
    "NUL": (lambda r, e: xml(r, e % "a\0b"), MALFORMED),
    "a written NUL": (lambda r, e: xml(r, e % "&#0;"), MALFORMED),
    "UTF-16": (lambda r, e: xml(r, e % "x").decode().encode("utf-16"), MALFORMED),
    "another encoding": (lambda r, e: b'<?xml version="1.0" encoding="UTF-7"?>+ADw-' + xml(r, e % "x"), MALFORMED),
    "10 MiB": (lambda r, e: xml(r, e % ("a" * 10 * MIB)), TOO_BIG),
    "10 MiB of space": (lambda r, e: b" " * 10 * MIB + xml(r, e % "x"), TOO_BIG),
}  # fmt: skip


@pytest.mark.parametrize("case", ATTACKS)
@pytest.mark.parametrize("name", DOCUMENTS)
def test_documents(
    ask: Callable[[bytes], Reply], signer: Signer, bucket: str, upload: Upload, name: str, case: str
) -> None:
    method, target, root, element = DOCUMENTS[name]
    make, expected = ATTACKS[case]
    body = make(root, element)
    headers = [("content-md5", b64encode(md5(body).digest()))]
    request = signer.request(method, target.format(b=bucket, u=upload.upload_id), headers, body)
    reply = ask(request.raw)
    limit = {"create": 64 * 1024, "delete": 2 * MIB, "complete": 4 * MIB}[name]
    assert (reply.status, reply.code) == (expected if len(body) <= limit else TOO_BIG)
    assert b"root:" not in reply.body


PART = "<Part><PartNumber>{}</PartNumber><ETag>{}</ETag></Part>"
COMPLETIONS: dict[str, tuple[int, str]] = {
    "": MALFORMED,
    "<Part/>": MALFORMED,
    "<Part><PartNumber>1</PartNumber></Part>": MALFORMED,
    PART.format("x", "{e}"): MALFORMED,
    PART.format("", "{e}"): MALFORMED,
    PART.format("-1", "{e}"): INVALID,
    PART.format("9" * 30, "{e}"): MALFORMED,
    PART.format("٣", "{e}"): MALFORMED,
    PART.format("2", "{e}"): (400, "InvalidPart"),
    PART.format("1", "0" * 32): (400, "InvalidPart"),
    PART.format("1", "{e}") + PART.format("2", "{e}"): (400, "InvalidPart"),
    PART.format("1", "{e}") * 2: (400, "InvalidPartOrder"),
    PART.format("2", "{e}") + PART.format("1", "{e}"): (400, "InvalidPartOrder"),
    PART.format("1", "{e}") * 10_001: MALFORMED,
}


@pytest.mark.parametrize("listed", COMPLETIONS, ids=lambda text: text[:60] or "nothing")
def test_completions(ask: Callable[[bytes], Reply], signer: Signer, bucket: str, upload: Upload, listed: str) -> None:
    body = xml("CompleteMultipartUpload", listed.replace("{e}", upload.etag.strip('"')))
    reply = ask(signer.request("POST", f"/{bucket}/up?uploadId={upload.upload_id}", body=body).raw)
    assert (reply.status, reply.code) == COMPLETIONS[listed]


def test_deletions(ask: Callable[[bytes], Reply], signer: Signer, bucket: str) -> None:
    def delete(body: bytes, headers: Pairs | None = None) -> tuple[int, str]:
        own = [("content-md5", b64encode(md5(body).digest()))] if headers is None else headers
        reply = ask(signer.request("POST", f"/{bucket}?delete", own, body).raw)
        return reply.status, reply.code

    one = "<Object><Key>none</Key></Object>"
    assert delete(xml("Delete", one * 1000)) == FINE
    assert delete(xml("Delete", one * 1001)) == MALFORMED
    assert delete(xml("Delete", "")) == MALFORMED
    assert delete(xml("Delete", "<Object><Key></Key></Object>")) == MALFORMED
    assert delete(xml("Delete", one + "<Quiet>perhaps</Quiet>")) == MALFORMED
    assert delete(xml("Delete", one), []) == REFUSED
    assert delete(xml("Delete", one), [("content-md5", MD5)]) == (400, "BadDigest")
    assert delete(xml("Delete", f"<Object><Key>{'a' * 1025}</Key></Object>")) == FINE


def test_places_that_are_no_region(ask: Callable[[bytes], Reply], signer: Signer, bucket: str) -> None:
    for place in ("mars-1", "EU", "a" * 1000):
        body = xml("CreateBucketConfiguration", f"<LocationConstraint>{place}</LocationConstraint>")
        reply = ask(signer.request("PUT", f"/{bucket}-new", body=body).raw)
        assert reply.status == 400
        assert reply.code in ("InvalidLocationConstraint", "IllegalLocationConstraintException")
