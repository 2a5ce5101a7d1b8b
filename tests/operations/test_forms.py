"""PostObject: forms of every kind on the fakes, small and large, and what is refused before and after the file."""

from __future__ import annotations

import asyncio
import hmac
import json
from base64 import b64encode
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3gate.operations import _spool
from s3gate.s3.canonical import signing_key_of
from s3gate.s3.credentials import Authentication
from s3gate.s3.errors import S3Error
from tests.operations.bench import Bench, Reply, code, md5
from tests.operations.fake_identities import root_with
from tests.operations.fake_store import ROW_BYTES
from tests.operations.sealing import SSE, WAYS, lies_in, make_vault, reading

BOUNDARY = "----form"
SECRET = "secret"
LATER = "2026-11-23T06:00:00Z"  # the fakes' clock stands at 05:06:07


def encode(fields: Mapping[str, str], data: bytes | None, name: str = "file.txt") -> bytes:
    parts = [f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in fields.items()]
    if data is None:
        return "".join([*parts, f"--{BOUNDARY}--\r\n"]).encode()
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    return "".join([*parts, head]).encode() + data + f"\r\n--{BOUNDARY}--\r\n".encode()


def signed(fields: dict[str, str], *conditions: Any, expiration: str = LATER) -> dict[str, str]:
    """The fields with a policy that allows them and nothing else, and its signature."""
    named = {
        **fields,
        "x-amz-algorithm": "AWS4-HMAC-SHA256",
        "x-amz-credential": "AKID/20261123/us-east-1/s3/aws4_request",
        "x-amz-date": "20261123T050000Z",
    }
    allowed = [{name: value} for name, value in named.items() if "$" not in value]
    document = {"expiration": expiration, "conditions": [{"bucket": "box"}, *allowed, *conditions]}
    policy = b64encode(json.dumps(document).encode()).decode()
    key = signing_key_of(SECRET, "20261123", "us-east-1", "s3")
    return {**named, "policy": policy, "x-amz-signature": hmac.digest(key, policy.encode(), "sha256").hex()}


@pytest.fixture
async def bench() -> Bench:
    return await made_bench()


async def made_bench() -> Bench:
    made = Bench()
    made.identities.known["AKID"] = root_with("AKID", SECRET)
    await made.ask("PUT", "/box")
    return made


async def post(bench: Bench, body: bytes, target: str = "/box", **options: Any) -> Reply:
    headers = {"content-type": f"multipart/form-data; boundary={BOUNDARY}", **options.pop("headers", {})}
    return await bench.ask("POST", target, body, headers, auth=Authentication.ANONYMOUS, **options)


@pytest.mark.parametrize("size", [0, 1, 1000, ROW_BYTES - 2000, ROW_BYTES, 3 * ROW_BYTES + 5])
@pytest.mark.parametrize("chunk", [1017, 30_000])
async def test_a_file_of_any_length_is_stored(bench: Bench, size: int, chunk: int) -> None:
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    free = bench.budget.free
    reply = await post(bench, encode(signed({"key": "a/b"}), data), chunk=chunk)
    assert (reply.status, reply.body) == (204, b"")
    assert reply.headers["etag"] == f'"{md5(data)}"'
    assert reply.headers["location"] == "http://gate:9000/box/a%2Fb"
    assert (await bench.ask("GET", "/box/a/b")).body == data
    assert bench.budget.free == free and bench.gate.form_disk.free == bench.gate.form_disk.total


async def test_fields_become_headers(bench: Bench) -> None:
    fields = {
        "key": "up/${filename}",
        "Content-Type": "text/plain",
        "Cache-Control": "max-age=5",
        "x-amz-meta-Name": "${filename}",
        "tagging": "<Tagging><TagSet><Tag><Key>a b</Key><Value>1+2=3</Value></Tag></TagSet></Tagging>",
        "success_action_status": "201",
        "acl": "bucket-owner-full-control",
    }
    conditions = [["starts-with", "$key", "up/"], ["starts-with", "$x-amz-meta-name", ""]]
    reply = await post(bench, encode(signed(fields, *conditions), b"hello", "C:\\my ü.txt"))
    assert reply.status == 201 and reply.headers["content-type"] == "application/xml"
    assert (reply.text("Bucket"), reply.text("Key"), reply.text("ETag")) == ("box", "up/my ü.txt", f'"{md5(b"hello")}"')
    assert reply.text("Location") == "http://gate:9000/box/up%2Fmy%20%C3%BC.txt" == reply.headers["location"]
    found = await bench.ask("GET", "/box/up/my%20%C3%BC.txt")
    assert found.headers["content-type"] == "text/plain" and found.headers["cache-control"] == "max-age=5"
    assert found.headers["x-amz-meta-name"] == "=?UTF-8?B?bXkgw7wudHh0?="
    tags = await bench.ask("GET", "/box/up/my%20%C3%BC.txt?tagging")
    assert (tags.text("Key"), tags.text("Value")) == ("a b", "1+2=3")


async def test_a_redirect_says_what_was_stored(bench: Bench) -> None:
    fields = signed({"key": "a b", "success_action_redirect": "http://page.test/done?x=1"})
    reply = await post(bench, encode(fields, b"hello"))
    assert reply.status == 303
    assert reply.headers["location"] == f"http://page.test/done?x=1&bucket=box&key=a%20b&etag=%22{md5(b'hello')}%22"


@pytest.mark.parametrize("size", [0, 100, ROW_BYTES - 1500, ROW_BYTES, 3 * ROW_BYTES])
@pytest.mark.parametrize("way", ["SSE-S3", "SSE-KMS", "SSE-C"])
async def test_files_are_encrypted_as_fields_ask(bench: Bench, tmp_path: Path, size: int, way: str) -> None:
    vault = make_vault(bench, tmp_path / "kms.json")
    data = b"plain words " * (size // 12)
    free = bench.budget.free
    reply = await post(vault, encode(signed({"key": "a", **WAYS[way]}), data))
    assert reply.status == 204 and f"{SSE}{'-customer-algorithm' if way == 'SSE-C' else ''}" in reply.headers
    assert (await vault.ask("GET", "/box/a", headers=reading(WAYS[way]))).body == data
    assert not data or not lies_in(vault, data[:120])
    assert bench.budget.free == free


async def test_what_follows_the_file_is_ignored(bench: Bench) -> None:
    body = encode(signed({"key": "a"}), b"hello")
    end = f"--{BOUNDARY}--\r\n".encode()
    more = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="submit"\r\n\r\nUpload\r\n'.encode()
    assert (await post(bench, body.removesuffix(end) + more + end)).status == 204


async def test_checksums_of_the_file(bench: Bench) -> None:
    right = b64encode(bytes.fromhex(md5(b"hello"))).decode()
    assert (await post(bench, encode(signed({"key": "a", "Content-MD5": right}), b"hello"))).status == 204
    wrong = encode(signed({"key": "b", "Content-MD5": right}), b"hellO")
    assert await code(post(bench, wrong)) == "BadDigest"
    crc = {"x-amz-checksum-crc32": "NhCmhg==", "x-amz-checksum-algorithm": "CRC32"}
    reply = await post(bench, encode(signed({"key": "c", **crc}), b"hello"))
    assert reply.headers["x-amz-checksum-crc32"] == "NhCmhg=="
    assert await code(post(bench, encode(signed({"key": "d", **crc}), b"other"))) == "BadDigest"
    assert {key for _, key in bench.catalog.objects} == {b"a", b"c"}


async def test_locks_by_form(bench: Bench) -> None:
    await bench.catalog.set_versioning("box", 1)
    await bench.catalog.enable_lock("box")
    lock = {"x-amz-object-lock-mode": "COMPLIANCE", "x-amz-object-lock-retain-until-date": "2030-01-01T00:00:00Z"}
    digest = {"Content-MD5": b64encode(bytes.fromhex(md5(b"kept"))).decode()}
    assert await code(post(bench, encode(signed({"key": "a", **lock}), b"kept"))) == "InvalidRequest"
    reply = await post(bench, encode(signed({"key": "a", **lock, **digest}), b"kept"))
    assert reply.status == 204 and reply.headers["x-amz-version-id"]
    found = await bench.ask("HEAD", "/box/a")
    assert found.headers["x-amz-object-lock-mode"] == "COMPLIANCE"


RANGE = ["content-length-range", 3, 10]


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (encode({"key": "a"}, b"x"), "AccessDenied: Access Denied"),
        (encode(signed({"key": "a"}, expiration="2026-11-23T05:00:00Z"), b"x"), "AccessDenied: Invalid according to"),
        (encode({**signed({"key": "a"}), "key": "b"}, b"x"), "Policy Condition failed"),
        (encode({**signed({"key": "a"}), "acl": "bucket-owner-full-control"}, b"x"), "Extra input fields: acl"),
        (encode({**signed({"key": "a"}), "x-amz-signature": "0" * 64}, b"x"), "SignatureDoesNotMatch"),
        (encode(signed({}), b"x"), "InvalidArgument: Bucket POST must contain a field named 'key'"),
        (encode(signed({"key": "a"}), None), "InvalidArgument: POST requires exactly one file upload"),
        (encode(signed({"key": "a"}, RANGE), b"xx"), "EntityTooSmall"),
        (encode(signed({"key": "a"}, RANGE), b"x" * 11), "EntityTooLarge"),
        (encode(signed({"key": "a"}), b"x")[:-8], "MalformedPOSTRequest"),
        (encode(signed({"key": "a"}), None)[:-8], "MalformedPOSTRequest"),
        (b"", "MalformedPOSTRequest"),
        (encode(signed({"key": "k" * 1025}), b"x"), "KeyTooLongError"),
        (encode(signed({"key": "a", "x-amz-meta-a": "x" * 2049}), b"x"), "MetadataTooLarge"),
        (encode(signed({"key": "a", "x-amz-storage-class": "NONE"}), b"x"), "InvalidStorageClass"),
        (encode(signed({"key": "a", "Content-Type": "a\r\nb"}), b"x"), "InvalidRequest"),
        (encode(signed({"key": "a", "tagging": "nonsense"}), b"x"), "MalformedXML"),
        (encode(signed({"key": "a", "tagging": "x", "x-amz-tagging": "a=b"}), b"x"), "InvalidArgument: Only one"),
        (encode(signed({"key": "a", "x-amz-meta-long": "x" * 21_000}), b"x"), "MaxPostPreDataLengthExceeded"),
    ],
)
async def test_forms_that_are_refused(bench: Bench, body: bytes, wanted: str) -> None:
    free = bench.budget.free
    with pytest.raises(S3Error, match=wanted):
        await post(bench, body)
    assert not bench.catalog.objects and not bench.store.segments and bench.budget.free == free


async def test_what_is_no_form_or_has_no_place(bench: Bench) -> None:
    body = encode(signed({"key": "a"}), b"x")
    assert await code(post(bench, body, headers={"content-type": "text/plain"})) == "PreconditionFailed"
    assert await code(post(bench, body, headers={"content-length": None})) == "MissingContentLength"
    assert await code(bench.ask("POST", "/box", body)) == "InvalidArgument"
    assert await code(post(bench, body.replace(b"box", b"nix"), "/nowhere")) == "NoSuchBucket"
    nowhere = signed({"key": "a"})
    document = json.dumps({"expiration": LATER, "conditions": [{"bucket": "nowhere"}, *_conditions(nowhere)]})
    nowhere["policy"] = b64encode(document.encode()).decode()
    key = signing_key_of(SECRET, "20261123", "us-east-1", "s3")
    nowhere["x-amz-signature"] = hmac.digest(key, nowhere["policy"].encode(), "sha256").hex()
    assert await code(post(bench, encode(nowhere, b"x"), "/nowhere")) == "NoSuchBucket"


def _conditions(fields: dict[str, str]) -> list[dict[str, str]]:
    return [{name: value} for name, value in fields.items() if name not in ("policy", "x-amz-signature")]


@pytest.mark.parametrize("size", [1000, 2 * ROW_BYTES])
async def test_a_client_that_goes_away_leaves_nothing(bench: Bench, size: int) -> None:
    body = encode(signed({"key": "a"}), b"x" * size)
    free = bench.budget.free
    with pytest.raises(S3Error, match="IncompleteBody"):
        await post(bench, body, cut=len(body) - 20)
    assert bench.budget.free == free and bench.gate.form_disk.free == bench.gate.form_disk.total
    assert not bench.store.segments


async def test_the_disk_for_forms_is_limited(bench: Bench) -> None:
    disk = bench.gate.form_disk
    assert disk.try_acquire(disk.total)
    with pytest.raises(S3Error, match="SlowDown") as refused:
        await post(bench, encode(signed({"key": "a"}), b"x" * 2 * ROW_BYTES))
    assert refused.value.headers["retry-after"] == "1"
    disk.release(disk.total)
    assert (await post(bench, encode(signed({"key": "a"}), b"x" * 2 * ROW_BYTES))).status == 204


async def test_a_full_disk_is_no_fault_of_the_client(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(BytesIO):
        def write(self, data: Any) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(_spool, "TemporaryFile", lambda mode: Full())
    assert await code(post(bench, encode(signed({"key": "a"}), b"x" * 2 * ROW_BYTES))) == "SlowDown"
    assert bench.gate.form_disk.free == bench.gate.form_disk.total


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_changed_form_stores_nothing_else(data: st.DataObject) -> None:
    """One byte is another, or one piece is missing: either the change means nothing, or it is refused in S3's words."""
    whole = encode(signed({"key": "a", "acl": "bucket-owner-full-control", "success_action_status": "201"}), b"content")
    start = data.draw(st.integers(0, len(whole) - 1))
    length = data.draw(st.integers(0, 30))
    changed = whole[:start] + data.draw(st.binary(max_size=3)) + whole[start + length :]

    async def run() -> None:
        bench = await made_bench()
        try:
            await post(bench, changed, chunk=data.draw(st.integers(1, 500)))
        except S3Error as error:
            assert error.status < 500 and not bench.catalog.objects
        else:
            assert [key for _, key in bench.catalog.objects] == [b"a"]

    asyncio.run(run())
