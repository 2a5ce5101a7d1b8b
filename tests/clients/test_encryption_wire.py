"""Encryption with boto3 against a whole store: the wire, the disks, the database, and an operator's work on keys."""

from __future__ import annotations

import base64
import hashlib
import os
import ssl
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from botocore.exceptions import ClientError

from s3gate.crypto.envelope import Envelope
from s3gate.crypto.keyfile import KeyFile
from tests.fix_store import MakeStore, Store

KEY = os.urandom(32)
OTHER = os.urandom(32)
MIB = 1 << 20
BODY = os.urandom(7 * MIB + 123)
MARK = b"This sentence must not be found on any disk. "
SECRET_TEXT = MARK * 4000
SHOWN = b"And this one, of a plain object, is. "

WAYS: dict[str, dict[str, Any]] = {
    "SSE-S3": {"ServerSideEncryption": "AES256"},
    "SSE-KMS": {"ServerSideEncryption": "aws:kms", "BucketKeyEnabled": True},
    "SSE-C": {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": KEY},
}
way = pytest.mark.parametrize("way", WAYS)


@pytest.fixture(scope="module", params=["http", "tls"])
def vault(request: pytest.FixtureRequest, make_module_store: MakeStore) -> Iterator[Store]:
    over_tls = request.param == "tls"
    settings = {} if over_tls else {"sse_c_over_http": "on"}
    store = make_module_store(gates=2, tls=over_tls, gate_settings=settings)
    store.client().create_bucket(Bucket="vault")
    yield store
    store.check()


def reading(asked: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in asked.items() if name.startswith("SSECustomer")}


def refused(status: int, code: str, call: Any, **arguments: Any) -> None:
    with pytest.raises(ClientError) as caught:
        call(Bucket="vault", **arguments)
    response = caught.value.response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert response["Error"]["Code"] in (code, str(status))  # HEAD has no body to say it


@way
@pytest.mark.parametrize("size", [0, 1000, 300_000, len(BODY)])
def test_what_was_put_comes_back_through_the_other_gate(vault: Store, way: str, size: int) -> None:
    asked, body = WAYS[way], BODY[:size]
    one, two = vault.client(0), vault.client(1)
    done = one.put_object(Bucket="vault", Key=f"{way}/{size}", Body=body, **asked)
    found = two.get_object(Bucket="vault", Key=f"{way}/{size}", **reading(asked))
    assert found["Body"].read() == body and found["ETag"] == done["ETag"]
    assert found.get("ServerSideEncryption") == asked.get("ServerSideEncryption")
    assert found.get("SSECustomerAlgorithm") == asked.get("SSECustomerAlgorithm")
    assert (done["ETag"].strip('"') == hashlib.md5(body).hexdigest()) == (way == "SSE-S3")
    if size > 1000:
        window = two.get_object(
            Bucket="vault", Key=f"{way}/{size}", Range=f"bytes={size - 70_000}-{size - 3}", **reading(asked)
        )
        assert window["Body"].read() == body[size - 70_000 : size - 2]
    assert two.head_object(Bucket="vault", Key=f"{way}/{size}", **reading(asked))["ContentLength"] == size


@way
def test_uploads_in_parts(vault: Store, way: str) -> None:
    asked = WAYS[way]
    s3 = vault.client()
    made = s3.create_multipart_upload(Bucket="vault", Key="parts", **asked)
    where = {"Bucket": "vault", "Key": "parts", "UploadId": made["UploadId"]}
    parts = []
    for number, body in enumerate((BODY[: 5 * MIB + 7], BODY), 1):
        part = vault.client(number % 2).upload_part(**where, PartNumber=number, Body=body, **reading(asked))
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
    done = s3.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})
    assert done.get("ServerSideEncryption") == asked.get("ServerSideEncryption")
    whole = BODY[: 5 * MIB + 7] + BODY
    assert s3.get_object(Bucket="vault", Key="parts", **reading(asked))["Body"].read() == whole
    second = s3.get_object(Bucket="vault", Key="parts", PartNumber=2, **reading(asked))
    assert second["Body"].read() == BODY and second["PartsCount"] == 2
    source = {"CopySourceSSECustomerAlgorithm": "AES256", "CopySourceSSECustomerKey": KEY} if way == "SSE-C" else {}
    s3.copy_object(Bucket="vault", Key="copy", CopySource="vault/parts", ServerSideEncryption="AES256", **source)
    copy = s3.get_object(Bucket="vault", Key="copy")
    assert copy["Body"].read() == whole and copy["ETag"].strip('"') == hashlib.md5(whole).hexdigest()


def test_customers_keys_are_asked_for_and_checked(vault: Store) -> None:
    s3 = vault.client()
    s3.put_object(Bucket="vault", Key="mine", Body=BODY[:MIB], **WAYS["SSE-C"])
    wrong = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": OTHER}
    for call in (s3.get_object, s3.head_object):
        refused(400, "InvalidRequest", call, Key="mine")
        refused(403, "AccessDenied", call, Key="mine", **wrong)
    s3.copy_object(
        Bucket="vault",
        Key="mine",
        CopySource="vault/mine",
        CopySourceSSECustomerAlgorithm="AES256",
        CopySourceSSECustomerKey=KEY,
        **wrong,
    )
    assert s3.get_object(Bucket="vault", Key="mine", **wrong)["Body"].read() == BODY[:MIB]
    refused(403, "AccessDenied", s3.get_object, Key="mine", **WAYS["SSE-C"])


def test_the_buckets_default(vault: Store) -> None:
    s3 = vault.client()
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}, "BucketKeyEnabled": True}
    refused(404, "ServerSideEncryptionConfigurationNotFoundError", s3.get_bucket_encryption)
    s3.put_bucket_encryption(Bucket="vault", ServerSideEncryptionConfiguration={"Rules": [rule]})
    try:
        assert s3.get_bucket_encryption(Bucket="vault")["ServerSideEncryptionConfiguration"]["Rules"] == [rule]
        for gate in (0, 1):
            done = vault.client(gate).put_object(Bucket="vault", Key=f"default{gate}", Body=SECRET_TEXT)
            assert (done["ServerSideEncryption"], done["BucketKeyEnabled"]) == ("aws:kms", True)
            assert done["SSEKMSKeyId"].startswith("arn:aws:kms:us-east-1:")
    finally:
        s3.delete_bucket_encryption(Bucket="vault")
    assert "ServerSideEncryption" not in vault.client(1).put_object(Bucket="vault", Key="plain", Body=b"x")
    assert s3.get_object(Bucket="vault", Key="default1")["Body"].read() == SECRET_TEXT


@pytest.mark.parametrize("way", ["SSE-S3", "SSE-KMS"])
def test_presigned_links_open_what_the_store_has_keys_for(vault: Store, way: str) -> None:
    s3 = vault.client(signature_version="s3v4")
    s3.put_object(Bucket="vault", Key="link", Body=b"linked", **WAYS[way])
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "vault", "Key": "link"})
    context = ssl.create_default_context(cafile=vault.ca_file) if vault.ca_file else None
    with urllib.request.urlopen(url, context=context) as answer:
        assert answer.read() == b"linked"


def test_versions_have_keys_of_their_own(vault: Store) -> None:
    s3 = vault.client()
    s3.create_bucket(Bucket="versions")
    s3.put_bucket_versioning(Bucket="versions", VersioningConfiguration={"Status": "Enabled"})
    made = {name: s3.put_object(Bucket="versions", Key="a", Body=name, **asked) for name, asked in WAYS.items()}
    for name, asked in WAYS.items():
        where = {"Bucket": "versions", "Key": "a", "VersionId": made[name]["VersionId"]}
        assert s3.get_object(**where, **reading(asked))["Body"].read() == name.encode()


def test_keys_are_rotated_while_gates_serve(vault: Store) -> None:
    s3 = vault.client()
    bodies = {name: os.urandom(MIB) for name in WAYS}
    for name, asked in WAYS.items():
        s3.put_object(Bucket="vault", Key=f"old {name}", Body=bodies[name], **asked)
    made = s3.create_multipart_upload(Bucket="vault", Key="begun before", **WAYS["SSE-S3"])
    where = {"Bucket": "vault", "Key": "begun before", "UploadId": made["UploadId"]}
    before = s3.head_object(Bucket="vault", Key="old SSE-S3")
    result = vault.admin("rotate-keys")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "0 data keys" in vault.admin("rotate-keys", "--only-rewrap").stdout
    part = vault.client(1).upload_part(**where, PartNumber=1, Body=BODY)
    s3.complete_multipart_upload(**where, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
    for gate in (0, 1):
        client = vault.client(gate)
        client.put_object(Bucket="vault", Key=f"new {gate}", Body=b"new", **WAYS["SSE-KMS"])
        for name, asked in WAYS.items():
            found = client.get_object(Bucket="vault", Key=f"old {name}", **reading(asked))
            assert found["Body"].read() == bodies[name]
        assert client.get_object(Bucket="vault", Key="begun before")["Body"].read() == BODY
    after = s3.head_object(Bucket="vault", Key="old SSE-S3")
    assert (after["ETag"], after["LastModified"]) == (before["ETag"], before["LastModified"])
    current = KeyFile.read(vault.home / "kms.json")
    with psycopg.connect(vault.cluster.database_url) as connection:
        envelopes = [Envelope.decode(sse) for (sse,) in connection.execute("SELECT sse FROM object WHERE sse <> ''")]
    kept = [one for one in envelopes if one.key_name]
    assert kept and all(one.key_version == current.keys[one.key_name].current for one in kept)
    assert vault.admin("check", "--deep").returncode == 0


def test_an_envelope_that_was_moved_is_not_served(vault: Store) -> None:
    s3 = vault.client()
    for key in ("good", "moved"):
        s3.put_object(Bucket="vault", Key=key, Body=BODY[:MIB], **WAYS["SSE-S3"])
    with psycopg.connect(vault.cluster.database_url, autocommit=True) as connection:
        connection.execute("UPDATE object SET sse = (SELECT sse FROM object WHERE key = 'good') WHERE key = 'moved'")
    refused(500, "InternalError", s3.get_object, Key="moved")
    assert s3.get_object(Bucket="vault", Key="good")["Body"].read() == BODY[:MIB]
    s3.delete_object(Bucket="vault", Key="moved")


def test_customers_keys_need_tls(make_store: MakeStore) -> None:
    store = make_store(gate_settings={"kms_keys_file": ""})
    s3 = store.client()
    s3.create_bucket(Bucket="vault")
    refused(400, "InvalidRequest", s3.put_object, Key="a", Body=b"x", **WAYS["SSE-C"])
    refused(501, "NotImplemented", s3.put_object, Key="a", Body=b"x", **WAYS["SSE-S3"])


def found_in(directory: Path, needles: dict[str, bytes]) -> set[str]:
    found = set()
    for path in directory.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            found.update(name for name, needle in needles.items() if needle in data)
    return found


def test_neither_plain_bytes_nor_keys_lie_anywhere(make_store: MakeStore) -> None:
    store = make_store(own_postgres=True, gate_settings={"sse_c_over_http": "on"})
    s3 = store.client()
    s3.create_bucket(Bucket="vault")
    for name, asked in WAYS.items():
        s3.put_object(Bucket="vault", Key=name, Body=SECRET_TEXT, **asked)
        s3.put_object(Bucket="vault", Key=f"{name} short", Body=MARK, **asked)
        s3.copy_object(Bucket="vault", Key=f"{name} copy", CopySource=f"vault/{name}", **source_of(name), **asked)
        made = s3.create_multipart_upload(Bucket="vault", Key=f"{name} parts", **asked)
        where = {"Bucket": "vault", "Key": f"{name} parts", "UploadId": made["UploadId"]}
        part = s3.upload_part(**where, PartNumber=1, Body=SECRET_TEXT, **reading(asked))
        s3.complete_multipart_upload(**where, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
    assert store.admin("check", "--deep").returncode == 0
    s3.put_object(Bucket="vault", Key="plain-name", Body=SHOWN * 100)
    masters = [one for key in KeyFile.read(store.home / "kms.json").keys.values() for one in key.versions.values()]
    needles = {"plain": MARK, "key": KEY, "key in base64": base64.b64encode(KEY), "key in hex": KEY.hex().encode()}
    needles |= {f"master {n}": one for n, one in enumerate(masters)}
    needles |= {f"master {n} in base64": base64.b64encode(one) for n, one in enumerate(masters)}
    store.stop()
    assert found_in(store.home / "nodes", {**needles, "shown": SHOWN}) == {"shown"}
    assert found_in(store.home / "postgres", {**needles, "shown": b"plain-name"}) == {"shown"}


def source_of(name: str) -> dict[str, Any]:
    if name != "SSE-C":
        return {}
    return {"CopySourceSSECustomerAlgorithm": "AES256", "CopySourceSSECustomerKey": KEY}
