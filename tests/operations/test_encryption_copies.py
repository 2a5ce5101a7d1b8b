"""Copies and uploads in parts of encrypted objects: which bytes move, under whose key, and what is refused."""

from __future__ import annotations

import pytest

from tests.operations.bench import Bench, code, md5
from tests.operations.sealing import (
    COPY_CUSTOMER,
    CUSTOMER,
    OTHER,
    PLAIN,
    SSE,
    WAYS,
    customer,
    lies_in,
    reading,
    refusal,
    way,
)

# --- copies ---


@way
@pytest.mark.parametrize("target", ["plain", *WAYS])
async def test_a_copy_is_encrypted_as_it_asks(vault: Bench, way: str, target: str) -> None:
    """Between encrypted objects no byte moves; ETags are MD5s where AWS has them so."""
    await vault.put("/box/a", PLAIN, WAYS[way])
    before = dict(vault.store.segments)
    asked = dict(WAYS.get(target, {}))
    if target == "SSE-C":
        asked = dict(OTHER)
    source = customer(prefix=COPY_CUSTOMER) if way == "SSE-C" else {}
    done = await vault.put("/box/b", b"", {"x-amz-copy-source": "/box/a", **source, **asked})
    assert (done.text("ETag") == f'"{md5(PLAIN)}"') == (target in ("plain", "SSE-S3"))
    assert (vault.store.segments == before) == (target != "plain")
    found = await vault.ask("GET", "/box/b", headers=reading(asked))
    assert found.body == PLAIN and found.headers["etag"] == done.text("ETag")
    assert (await vault.ask("GET", "/box/a", headers=reading(WAYS[way]))).body == PLAIN
    back = customer(b"o" * 32, COPY_CUSTOMER) if target == "SSE-C" else {}
    await vault.put("/box/c", b"", {"x-amz-copy-source": "/box/b", **back, SSE: "AES256"})
    found = await vault.ask("GET", "/box/c")
    assert found.body == PLAIN and found.headers["etag"] == f'"{md5(PLAIN)}"'


@way
async def test_another_checksum_of_an_encrypted_source_leaves_its_md5_as_it_is(vault: Bench, way: str) -> None:
    await vault.put("/box/a", PLAIN, WAYS[way])
    source = customer(prefix=COPY_CUSTOMER) if way == "SSE-C" else {}
    headers = {"x-amz-copy-source": "/box/a", "x-amz-checksum-algorithm": "SHA256", SSE: "AES256", **source}
    done = await vault.put("/box/b", b"", headers)
    assert done.text("ChecksumSHA256") and done.text("ETag") == f'"{md5(PLAIN)}"'


@way
async def test_a_plain_object_is_encrypted_by_a_copy(vault: Bench, way: str) -> None:
    await vault.put("/box/a", PLAIN)
    done = await vault.put("/box/a", b"", {"x-amz-copy-source": "/box/a", **WAYS[way]})  # onto itself, too
    found = await vault.ask("GET", "/box/a", headers=reading(WAYS[way]))
    assert found.body == PLAIN
    assert {name: value for name, value in done.headers.items() if name.startswith(SSE)} == {
        name: value for name, value in found.headers.items() if name.startswith(SSE)
    }
    assert (found.headers["etag"] == f'"{md5(PLAIN)}"') == (way == "SSE-S3")


async def test_a_copy_needs_its_sources_key(vault: Bench) -> None:
    await vault.put("/box/a", PLAIN, customer())
    await vault.put("/box/p", PLAIN)
    copy = {"x-amz-copy-source": "/box/a"}
    assert (await refusal(vault.put("/box/b", b"", {**copy, SSE: "AES256"}))).status == 400
    wrong = customer(b"o" * 32, COPY_CUSTOMER)
    assert (await refusal(vault.put("/box/b", b"", {**copy, **wrong}))).code == "AccessDenied"
    needless = {"x-amz-copy-source": "/box/p", **customer(prefix=COPY_CUSTOMER)}
    error = await refusal(vault.put("/box/b", b"", needless))
    assert error.message == "The encryption parameters are not applicable to this object."
    bad = {**copy, **customer(prefix=COPY_CUSTOMER), COPY_CUSTOMER + "algorithm": "AES1"}
    assert await code(vault.put("/box/b", b"", bad)) == "InvalidEncryptionAlgorithmError"


async def test_a_key_is_changed_in_place(vault: Bench) -> None:
    await vault.put("/box/a", PLAIN, customer())
    before = dict(vault.store.segments)
    onto_itself = {"x-amz-copy-source": "/box/a", **customer(prefix=COPY_CUSTOMER), **OTHER}
    await vault.put("/box/a", b"", onto_itself)
    assert vault.store.segments == before
    assert (await vault.ask("GET", "/box/a", headers=OTHER)).body == PLAIN
    assert (await refusal(vault.ask("GET", "/box/a", headers=customer()))).status == 403


async def test_a_copy_onto_itself_that_changes_nothing_is_still_illegal(vault: Bench) -> None:
    await vault.put("/box/a", PLAIN, {SSE: "AES256"})
    assert await code(vault.put("/box/a", b"", {"x-amz-copy-source": "/box/a"})) == "InvalidRequest"


# --- multipart uploads ---


def listed(etags: list[str]) -> bytes:
    parts = "".join(f"<Part><PartNumber>{n}</PartNumber><ETag>{e}</ETag></Part>" for n, e in enumerate(etags, 1))
    return f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()


async def begin(vault: Bench, headers: dict[str, str]) -> str:
    made = await vault.ask("POST", "/box/m?uploads", headers=headers)
    return made.text("UploadId")


@way
async def test_parts_are_sealed_each_on_its_own(vault: Bench, way: str) -> None:
    headers, trio = WAYS[way], reading(WAYS[way])
    made = await vault.ask("POST", "/box/m?uploads", headers=headers)
    assert any(name.startswith(SSE) for name in made.headers)
    upload = made.text("UploadId")
    bodies = [PLAIN * 14, PLAIN * 14, PLAIN[:1000]]
    etags = []
    for number, body in enumerate(bodies, 1):
        part = await vault.put(f"/box/m?partNumber={number}&uploadId={upload}", body, trio)
        assert any(name.startswith(SSE) for name in part.headers)
        assert (part.headers["etag"] == f'"{md5(body)}"') == (way == "SSE-S3")
        etags.append(part.headers["etag"])
    assert (etags[0] == etags[1]) == (way == "SSE-S3")
    assert not lies_in(vault, PLAIN[:16])
    done = await vault.ask("POST", f"/box/m?uploadId={upload}", listed(etags), trio)
    assert not any(name.startswith(CUSTOMER) for name in done.headers) and (way == "SSE-C") != (SSE in done.headers)
    whole = b"".join(bodies)
    assert (await vault.ask("GET", "/box/m", headers=trio)).body == whole
    edge = len(bodies[0])
    asked = {**trio, "range": f"bytes={edge - 100}-{2 * edge + 99}"}
    assert (await vault.ask("GET", "/box/m", headers=asked)).body == whole[edge - 100 : 2 * edge + 100]
    second = await vault.ask("GET", "/box/m?partNumber=2", headers=trio)
    assert second.status == 206 and second.body == bodies[1]
    copy = {"x-amz-copy-source": "/box/m", SSE: "AES256"}
    copy |= customer(prefix=COPY_CUSTOMER) if way == "SSE-C" else {}
    segments = dict(vault.store.segments)
    await vault.put("/box/c", b"", copy)
    copied = await vault.ask("GET", "/box/c")
    assert copied.body == whole and copied.headers["etag"] == f'"{md5(whole)}"'
    assert vault.store.segments == segments
    assert vault.budget.free == vault.budget.total


async def test_every_part_brings_the_uploads_key(vault: Bench) -> None:
    upload = await begin(vault, customer())
    target = f"/box/m?partNumber=1&uploadId={upload}"
    error = await refusal(vault.put(target, b"x"))
    assert (error.status, error.code) == (400, "InvalidRequest")
    assert error.message.startswith("The multipart upload initiate requested encryption.")
    error = await refusal(vault.put(target, b"x", OTHER))
    assert (error.status, error.code) == (400, "InvalidRequest")
    assert error.message == "The provided encryption parameters did not match the ones used originally."
    part = await vault.put(target, b"x", customer())
    complete = f"/box/m?uploadId={upload}"
    assert await code(vault.ask("POST", complete, listed([part.headers["etag"]]), OTHER)) == "InvalidRequest"
    assert (await vault.ask("GET", complete)).status == 200
    assert await code(vault.ask("GET", complete, headers=OTHER)) == "InvalidRequest"
    assert (await vault.ask("POST", complete, listed([part.headers["etag"]]))).status == 200
    plain = await begin(vault, {})
    error = await refusal(vault.put(f"/box/m?partNumber=1&uploadId={plain}", b"x", customer()))
    assert (error.status, error.code) == (400, "InvalidRequest")


@way
@pytest.mark.parametrize("source", ["plain", *WAYS])
async def test_a_part_is_copied_between_keys(vault: Bench, way: str, source: str) -> None:
    await vault.put("/box/a", PLAIN, dict(OTHER) if source == "SSE-C" else WAYS.get(source))
    upload = await begin(vault, WAYS[way])
    headers = {"x-amz-copy-source": "/box/a", "x-amz-copy-source-range": "bytes=1000-299999", **reading(WAYS[way])}
    headers |= customer(b"o" * 32, COPY_CUSTOMER) if source == "SSE-C" else {}
    part = await vault.put(f"/box/m?partNumber=1&uploadId={upload}", b"", headers)
    assert any(name.startswith(SSE) for name in part.headers)
    await vault.ask("POST", f"/box/m?uploadId={upload}", listed([part.text("ETag")]))
    assert (await vault.ask("GET", "/box/m", headers=reading(WAYS[way]))).body == PLAIN[1000:300_000]
