"""Encryption as a client sees it: what is asked, what is answered, what is refused, and what then lies on the nodes."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import replace
from pathlib import Path

import pytest

from s3gate.crypto.blocks import sealed_length
from tests.operations.bench import Bench, code, md5
from tests.operations.fake_store import ROW_BYTES
from tests.operations.sealing import (
    BUCKET_KEY,
    CONTEXT,
    CUSTOMER,
    KEY_ID,
    OTHER,
    PLAIN,
    SSE,
    WAYS,
    configure,
    customer,
    default_key,
    lies_in,
    reading,
    refusal,
    rule,
    way,
)

# --- round trips ---


@way
@pytest.mark.parametrize("size", [0, 1, 100, 65_535, 65_536, 65_537, ROW_BYTES - 16, ROW_BYTES, len(PLAIN)])
async def test_what_was_put_comes_back(vault: Bench, way: str, size: int) -> None:
    headers, body = WAYS[way], PLAIN[:size]
    done = await vault.put("/box/a", body, headers)
    found = await vault.ask("GET", "/box/a", headers=reading(headers))
    assert found.body == body
    head = await vault.ask("HEAD", "/box/a", headers=reading(headers))
    assert head.headers["content-length"] == str(size)
    assert head.headers["etag"] == found.headers["etag"] == done.headers["etag"]
    assert (done.headers["etag"] == f'"{md5(body)}"') == (way == "SSE-S3")
    assert len(done.headers["etag"]) == 34
    if size >= 16:
        assert not lies_in(vault, body[:16])
    assert sum(map(len, vault.store.segments.values())) == sealed_length(size)
    assert vault.budget.free == vault.budget.total


@way
@pytest.mark.parametrize(
    ("first", "last"), [(0, 0), (5, 10), (65_530, 65_540), (65_536, 65_536), (100_000, 300_000), (383_999, 383_999)]
)
async def test_a_range_is_the_same_bytes(vault: Bench, way: str, first: int, last: int) -> None:
    headers = WAYS[way]
    await vault.put("/box/a", PLAIN, headers)
    asked = {**reading(headers), "range": f"bytes={first}-{last}"}
    found = await vault.ask("GET", "/box/a", headers=asked)
    assert (found.status, found.body) == (206, PLAIN[first : last + 1])


@way
async def test_checksums_are_of_the_plain_bytes(vault: Bench, way: str) -> None:
    plain = await vault.put("/box/plain", PLAIN)
    sealed = await vault.put("/box/a", PLAIN, WAYS[way])
    assert sealed.headers["x-amz-checksum-crc64nvme"] == plain.headers["x-amz-checksum-crc64nvme"]
    asked = {**reading(WAYS[way]), "x-amz-checksum-mode": "ENABLED"}
    head = await vault.ask("HEAD", "/box/a", headers=asked)
    assert head.headers["x-amz-checksum-crc64nvme"] == plain.headers["x-amz-checksum-crc64nvme"]


@way
async def test_a_body_that_is_not_what_it_claims_is_not_stored(vault: Bench, way: str) -> None:
    wrong = {**WAYS[way], "content-md5": base64.b64encode(bytes(16)).decode()}
    assert await code(vault.put("/box/a", PLAIN, wrong)) == "BadDigest"
    assert await code(vault.ask("PUT", "/box/a", PLAIN, WAYS[way], cut=200_000)) == "IncompleteBody"
    assert await code(vault.ask("GET", "/box/a")) == "NoSuchKey"
    for _ in range(100):  # digests that nobody waits for give their rows back a moment later
        await asyncio.sleep(0.01)
        if vault.budget.free == vault.budget.total:
            return
    raise AssertionError("bytes of the budget are lost")


async def test_a_plain_object_stays_plain(vault: Bench) -> None:
    done = await vault.put("/box/a", PLAIN)
    assert not any(name.startswith(SSE) for name in done.headers)
    assert lies_in(vault, PLAIN[: ROW_BYTES // 2])
    assert (await vault.ask("GET", "/box/a")).body == PLAIN


# --- what answers say ---


async def test_answers_confirm_the_encryption(vault: Bench) -> None:
    context = base64.b64encode(b'{"team": "blue"}').decode()
    asked = {SSE: "aws:kms", CONTEXT: context, BUCKET_KEY: "true"}
    done = await vault.put("/box/a", b"x", asked)
    assert done.headers[SSE] == "aws:kms" and done.headers[KEY_ID] == default_key(vault)
    assert done.headers[CONTEXT] == context and done.headers[BUCKET_KEY] == "true"
    for method in ("GET", "HEAD"):
        found = (await vault.ask(method, "/box/a")).headers
        assert (found[SSE], found[KEY_ID], found[BUCKET_KEY]) == ("aws:kms", default_key(vault), "true")
        assert CONTEXT not in found
    named = await vault.put("/box/b", b"x", {SSE: "aws:kms", KEY_ID: "arn:aws:kms:us-east-1:000000000000:key/mine"})
    assert named.headers[KEY_ID].endswith(":key/mine") and BUCKET_KEY not in named.headers
    plain = await vault.put("/box/c", b"x", {SSE: "AES256"})
    assert plain.headers[SSE] == "AES256" and KEY_ID not in plain.headers
    mine = await vault.put("/box/d", b"x", customer())
    assert SSE not in mine.headers
    assert mine.headers[CUSTOMER + "algorithm"] == "AES256"
    assert mine.headers[CUSTOMER + "key-md5"] == customer()[CUSTOMER + "key-md5"]
    assert CUSTOMER + "key" not in mine.headers


# --- refusals ---


@pytest.mark.parametrize(
    ("change", "expected", "words"),
    [
        ({CUSTOMER + "algorithm": None}, "InvalidArgument", "must provide a valid encryption algorithm"),
        ({CUSTOMER + "algorithm": "AES128"}, "InvalidEncryptionAlgorithmError", "AES256"),
        ({CUSTOMER + "key": None}, "InvalidArgument", "must provide an appropriate secret key"),
        ({CUSTOMER + "key-md5": None}, "InvalidArgument", "the client calculated MD5 of the secret key"),
        ({CUSTOMER + "key": "!!!"}, "InvalidArgument", "The secret key was invalid"),
        ({CUSTOMER + "key-md5": OTHER[CUSTOMER + "key-md5"]}, "InvalidArgument", "The calculated MD5 hash of the key"),
        (customer(b"short"), "InvalidArgument", "The secret key was invalid for the specified algorithm."),
        ({SSE: "AES256"}, "InvalidArgument", "is incompatible with the encryption method specified"),
    ],
)
async def test_a_customer_key_must_be_whole_and_right(
    vault: Bench, change: dict[str, str | None], expected: str, words: str
) -> None:
    wrong = {**customer(), **change}
    error = await refusal(vault.ask("PUT", "/box/a", b"x", wrong))
    assert (error.status, error.code) == (400, expected) and words in error.message
    assert error.extra["ArgumentName"] == SSE and error.extra.get("ArgumentValue") != "null"
    assert "a2tra" not in str(error.extra) + error.message  # the key
    await vault.put("/box/a", b"x", customer())
    if SSE not in change:
        error = await refusal(vault.ask("GET", "/box/a", headers=wrong))
        assert (error.status, error.code) == (400, expected) and words in error.message


async def test_a_customer_key_comes_over_tls_only(vault: Bench) -> None:
    vault.gate.settings = replace(vault.gate.settings, sse_c_over_http=False)
    error = await refusal(vault.put("/box/a", b"x", customer()))
    assert (error.status, error.code) == (400, "InvalidRequest") and "secure connection" in error.message


@pytest.mark.parametrize("target", ["/box/a", "/box/a?attributes"])
async def test_an_object_under_a_customer_key_needs_it(vault: Bench, target: str) -> None:
    await vault.put("/box/a", PLAIN, customer())
    attributes = {"x-amz-object-attributes": "ETag"}
    error = await refusal(vault.ask("GET", target, headers=attributes))
    assert (error.status, error.code) == (400, "InvalidRequest")
    assert error.message.endswith("The correct parameters must be provided to retrieve the object.")
    error = await refusal(vault.ask("GET", target, headers={**attributes, **OTHER}))
    assert (error.status, error.code) == (403, "AccessDenied")
    assert error.message.endswith("must provide the correct secret key.")
    assert (await vault.ask("GET", target, headers={**attributes, **customer()})).status == 200


async def test_head_needs_the_key_too(vault: Bench) -> None:
    await vault.put("/box/a", PLAIN, customer())
    assert (await refusal(vault.ask("HEAD", "/box/a"))).status == 400
    assert (await refusal(vault.ask("HEAD", "/box/a", headers=OTHER))).status == 403


@pytest.mark.parametrize("way", ["plain", "SSE-S3", "SSE-KMS"])
async def test_a_customer_key_is_no_use_elsewhere(vault: Bench, way: str) -> None:
    await vault.put("/box/a", b"x", WAYS.get(way))
    error = await refusal(vault.ask("GET", "/box/a", headers=customer()))
    assert (error.status, error.code) == (400, "InvalidRequest")
    assert error.message == "The encryption parameters are not applicable to this object."


@pytest.mark.parametrize("header", [SSE, KEY_ID, CONTEXT, BUCKET_KEY])
@pytest.mark.parametrize(
    ("method", "target"), [("GET", "/box/a"), ("HEAD", "/box/a"), ("PUT", "/box/a?partNumber=1&uploadId=x")]
)
async def test_what_chooses_encryption_is_for_new_objects_only(
    vault: Bench, method: str, target: str, header: str
) -> None:
    await vault.put("/box/a", b"x", {SSE: "AES256"})
    error = await refusal(vault.ask(method, target, headers={header: "AES256"}))
    assert (error.status, error.code) == (400, "InvalidArgument")
    assert error.message == f"{header} header is not supported for this operation."


@pytest.mark.parametrize(
    ("headers", "expected", "status"),
    [
        ({SSE: "AES512"}, "InvalidArgument", 400),
        ({SSE: ""}, "InvalidArgument", 400),
        ({SSE: "aws:kms:dsse"}, "NotImplemented", 501),
        ({SSE: "AES256", KEY_ID: "mine"}, "InvalidArgument", 400),
        ({KEY_ID: "mine"}, "InvalidArgument", 400),
        ({SSE: "aws:kms", CONTEXT: "!"}, "InvalidArgument", 400),
        ({SSE: "aws:kms", CONTEXT: base64.b64encode(b'{"a": 1}').decode()}, "InvalidArgument", 400),
        ({SSE: "aws:kms", CONTEXT: base64.b64encode(b"[" * 100_000).decode()[:6000]}, "InvalidArgument", 400),
        ({SSE: "aws:kms", BUCKET_KEY: "maybe"}, "InvalidArgument", 400),
        ({SSE: "aws:kms", KEY_ID: "nobody"}, "KMS.NotFoundException", 400),
        ({SSE: "aws:kms", KEY_ID: "arn:aws:kms:us-east-1:0:key/mine"}, "KMS.NotFoundException", 400),
    ],
)
async def test_what_cannot_be_asked(vault: Bench, headers: dict[str, str], expected: str, status: int) -> None:
    for target in ("/box/a", "/box/a?uploads"):
        error = await refusal(vault.ask("PUT" if target == "/box/a" else "POST", target, b"", headers))
        assert (error.code, error.status) == (expected, status)


async def test_a_disabled_key_says_so(vault: Bench, keys: Path) -> None:
    await vault.put("/box/a", b"x", {SSE: "aws:kms", KEY_ID: "mine"})
    disable(keys)
    for attempt in (vault.put("/box/b", b"x", {SSE: "aws:kms", KEY_ID: "mine"}), vault.ask("GET", "/box/a")):
        error = await refusal(attempt)
        assert (error.code, error.status) == ("KMS.DisabledException", 400)
    assert (await vault.ask("HEAD", "/box/a")).status == 200


def disable(path: Path) -> None:
    found = json.loads(path.read_text())
    found["keys"]["mine"]["enabled"] = False
    path.write_text(json.dumps(found))


async def test_without_a_key_file_only_customers_keys_are_taken(vault: Bench) -> None:
    vault.gate.kms = None
    for asked in ({SSE: "AES256"}, {SSE: "aws:kms"}):
        error = await refusal(vault.put("/box/a", b"x", asked))
        assert (error.code, error.status) == ("NotImplemented", 501) and "S3GATE_KMS_KEYS_FILE" in error.message
    assert await code(configure(vault, rule("AES256"))) == "NotImplemented"
    await vault.put("/box/a", b"x", customer())
    assert (await vault.ask("GET", "/box/a", headers=customer())).body == b"x"


# --- bytes that were touched ---


@pytest.mark.parametrize("size", [1000, len(PLAIN)])
async def test_bytes_that_were_touched_are_never_served(vault: Bench, size: int) -> None:
    await vault.put("/box/a", PLAIN[:size], {SSE: "AES256"})
    (segment,) = vault.store.segments
    sealed = vault.store.segments[segment]
    vault.store.segments[segment] = sealed[:-20] + bytes([sealed[-20] ^ 1]) + sealed[-19:]
    with pytest.raises(Exception) as caught:  # at once for a small one, in the middle of the body for another
        await vault.ask("GET", "/box/a")
    assert type(caught.value).__name__ in ("S3Error", "ShardCorrupt")


async def test_an_envelope_moved_to_another_key_does_not_open(vault: Bench) -> None:
    await vault.put("/box/a", b"x" * 100, {SSE: "AES256"})
    (place,) = vault.catalog.objects
    row = vault.catalog.objects[place]
    vault.catalog.objects[place[0], b"b"] = row._replace(key=b"b")
    error = await refusal(vault.ask("GET", "/box/b"))
    assert error.status == 500


# --- the bucket's default ---


async def test_a_bucket_without_configuration_says_so(vault: Bench) -> None:
    error = await refusal(vault.ask("GET", "/box?encryption"))
    assert (error.status, error.code) == (404, "ServerSideEncryptionConfigurationNotFoundError")


async def test_the_default_encrypts_what_names_nothing(vault: Bench) -> None:
    await configure(vault, rule("AES256"))
    shown = await vault.ask("GET", "/box?encryption")
    assert shown.text("SSEAlgorithm") == "AES256" and shown.text("BucketKeyEnabled") == "false"
    assert (await vault.put("/box/a", PLAIN)).headers[SSE] == "AES256"
    assert (await vault.put("/box/b", b"x", {SSE: "aws:kms"})).headers[SSE] == "aws:kms"
    assert SSE not in (await vault.put("/box/c", b"x", customer())).headers
    assert not lies_in(vault, PLAIN[:16])
    assert (await vault.ask("GET", "/box/a")).body == PLAIN
    assert (await vault.ask("DELETE", "/box?encryption")).status == 204
    assert SSE not in (await vault.put("/box/d", b"x")).headers
    assert (await vault.ask("GET", "/box/a")).body == PLAIN


async def test_the_default_names_a_key_and_a_bucket_key(vault: Bench) -> None:
    key = "<KMSMasterKeyID>mine</KMSMasterKeyID>"
    await configure(vault, rule("aws:kms", key, "<BucketKeyEnabled>true</BucketKeyEnabled>"))
    by_default = await vault.put("/box/a", b"x")
    assert by_default.headers[KEY_ID].endswith("key/mine") and by_default.headers[BUCKET_KEY] == "true"
    asked = await vault.put("/box/b", b"x", {SSE: "aws:kms", BUCKET_KEY: "false"})
    assert asked.headers[KEY_ID] == default_key(vault) and BUCKET_KEY not in asked.headers


async def test_a_default_key_that_is_not_there_is_noticed_by_the_first_write(vault: Bench) -> None:
    await configure(vault, rule("aws:kms", "<KMSMasterKeyID>nobody</KMSMasterKeyID>"))
    assert await code(vault.put("/box/a", b"x")) == "KMS.NotFoundException"


async def test_customers_keys_can_be_blocked(vault: Bench) -> None:
    blocked = "<BlockedEncryptionTypes><EncryptionType>SSE-C</EncryptionType></BlockedEncryptionTypes>"
    await vault.put("/box/before", b"x", customer())
    await configure(vault, f"<Rule>{blocked}</Rule>")
    for target in ("/box/a", "/box/a?uploads"):
        error = await refusal(vault.ask("PUT" if target == "/box/a" else "POST", target, b"", customer()))
        assert (error.status, error.code) == (403, "AccessDenied") and "SSE-C" in error.message
    assert (await vault.ask("GET", "/box/before", headers=customer())).body == b"x"
    assert (await vault.ask("GET", "/box?encryption")).text("EncryptionType") == "SSE-C"
    await configure(vault, f"<Rule>{blocked.replace('SSE-C', 'NONE')}</Rule>")
    assert (await vault.put("/box/a", b"x", customer())).status == 200


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        ("", "MalformedXML"),
        (rule("AES256") * 2, "MalformedXML"),
        (rule("AES1"), "MalformedXML"),
        ("<Rule><Foo/></Rule>", "MalformedXML"),
        (rule("AES256", after="<BucketKeyEnabled>maybe</BucketKeyEnabled>"), "MalformedXML"),
        (rule("AES256", "<KMSMasterKeyID>mine</KMSMasterKeyID>"), "InvalidArgument"),
        (rule("aws:kms:dsse"), "NotImplemented"),
    ],
)
async def test_a_configuration_must_mean_something(vault: Bench, inner: str, expected: str) -> None:
    assert await code(configure(vault, inner)) == expected


# --- what changes meanwhile ---


async def test_a_default_that_changed_meanwhile_is_not_missed(vault: Bench) -> None:
    """The bytes were written for another decision: they are sealed once more, for the client cannot send them again."""
    await vault.put("/box/a", b"x")  # the gate remembers the bucket
    stale = vault.catalog.remembered["box"]
    await configure(vault, rule("AES256"))
    vault.catalog.remembered["box"] = stale
    assert (await vault.put("/box/b", PLAIN)).headers[SSE] == "AES256"
    assert (await vault.ask("GET", "/box/b")).body == PLAIN
    ((_, extents),) = vault.catalog.discarded
    assert extents != vault.catalog.objects[1, b"b"].extents
    vault.catalog.remembered["box"] = stale
    await vault.put("/box/c", b"", {"x-amz-copy-source": "/box/b"})
    assert (await vault.ask("HEAD", "/box/c")).headers[SSE] == "AES256"
    vault.catalog.remembered["box"] = stale
    assert (await vault.put("/box/b", PLAIN, {SSE: "AES256"})).status == 200  # the same decision
    assert (await vault.ask("GET", "/box/b")).body == PLAIN
