"""Versions over the wire: what boto3 sees of them, through every gate, at once and after a restart."""

from __future__ import annotations

import threading
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.clients.programs import Endpoint
from tests.fix_store import MakeStore, Store

WRITERS = 64


@pytest.fixture
def s3(endpoint: Endpoint, bucket: str) -> Any:
    session = boto3.Session(endpoint.access_key, endpoint.secret_key, region_name="us-east-1")
    config = Config(retries={"max_attempts": 1})
    client = session.client("s3", endpoint_url=endpoint.url, verify=endpoint.ca_file or True, config=config)
    client.create_bucket(Bucket=bucket)
    enable(client, bucket)
    return client


def enable(client: Any, bucket: str, status: str = "Enabled") -> None:
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})


def refusal(call: Any, **arguments: Any) -> tuple[int, str, dict[str, str]]:
    """Status, code and headers."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    answer = caught.value.response
    meta = answer["ResponseMetadata"]
    return meta["HTTPStatusCode"], answer["Error"]["Code"], meta["HTTPHeaders"]


def all_versions(client: Any, bucket: str, **options: Any) -> list[tuple[str, str, bool]]:
    """(key, version, is a marker), in the order of the pages."""
    found = []
    for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket, **options):
        for kind in ("Versions", "DeleteMarkers"):
            found += [(row["Key"], row["VersionId"], kind == "DeleteMarkers") for row in page.get(kind, [])]
    return found


def test_the_life_of_versions(s3: Any, bucket: str) -> None:
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    where = {"Bucket": bucket, "Key": "k"}
    ids = [s3.put_object(**where, Body=b"%d" % number)["VersionId"] for number in range(3)]
    for number, version in enumerate(ids):
        got = s3.get_object(**where, VersionId=version)
        assert (got["Body"].read(), got["VersionId"]) == (b"%d" % number, version)
        assert s3.head_object(**where, VersionId=version)["VersionId"] == version
    marker = s3.delete_object(**where)
    assert marker["DeleteMarker"] is True
    status, code, headers = refusal(s3.get_object, **where)
    assert (status, code, headers["x-amz-delete-marker"]) == (404, "NoSuchKey", "true")
    assert headers["x-amz-version-id"] == marker["VersionId"]
    status, _, headers = refusal(s3.head_object, **where)
    assert (status, headers["x-amz-delete-marker"]) == (404, "true")
    status, code, headers = refusal(s3.get_object, **where, VersionId=marker["VersionId"])
    assert (status, code, headers["allow"]) == (405, "MethodNotAllowed", "DELETE")
    assert "last-modified" in headers
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    assert [version for _, version, _ in all_versions(s3, bucket) if version != marker["VersionId"]] == ids[::-1]
    removed = s3.delete_object(**where, VersionId=marker["VersionId"])
    assert (removed["DeleteMarker"], removed["VersionId"]) == (True, marker["VersionId"])
    assert s3.get_object(**where)["VersionId"] == ids[2]
    assert "DeleteMarker" not in s3.delete_object(**where, VersionId=ids[2])
    assert s3.get_object(**where)["Body"].read() == b"1", "the next older version is the current one now"
    assert s3.delete_object(**where, VersionId=ids[2])["VersionId"] == ids[2], "again is a success"
    assert refusal(s3.get_object, **where, VersionId=ids[2])[:2] == (404, "NoSuchVersion")
    assert refusal(s3.get_object, **where, VersionId="junk")[:2] == (400, "InvalidArgument")
    assert refusal(s3.delete_bucket, Bucket=bucket)[:2] == (409, "BucketNotEmpty")


def test_suspended_and_null_versions(s3: Any, bucket: str) -> None:
    where = {"Bucket": bucket, "Key": "k"}
    kept = s3.put_object(**where, Body=b"kept")["VersionId"]
    enable(s3, bucket, "Suspended")
    for body in (b"null 1", b"null 2"):
        assert "VersionId" not in s3.put_object(**where, Body=body), "as at AWS; a GET names it"
    got = s3.get_object(**where)
    assert (got["VersionId"], got["Body"].read()) == ("null", b"null 2")
    assert s3.get_object(**where, VersionId="null")["Body"].read() == b"null 2"
    assert [version for _, version, _ in all_versions(s3, bucket)] == ["null", kept]
    assert s3.delete_object(**where)["VersionId"] == "null"
    assert all_versions(s3, bucket) == [("k", kept, False), ("k", "null", True)]
    enable(s3, bucket)
    new = s3.put_object(**where, Body=b"new")["VersionId"]
    assert {version for _, version, _ in all_versions(s3, bucket)} == {new, "null", kept}
    assert s3.delete_object(**where, VersionId="null")["DeleteMarker"] is True
    assert [version for _, version, _ in all_versions(s3, bucket)] == [new, kept]


def test_copies_and_uploads(s3: Any, bucket: str) -> None:
    first = s3.put_object(Bucket=bucket, Key="k", Body=b"1" * 100)["VersionId"]
    s3.put_object(Bucket=bucket, Key="k", Body=b"2")
    source = {"Bucket": bucket, "Key": "k", "VersionId": first}
    copied = s3.copy_object(Bucket=bucket, Key="copy", CopySource=source)
    assert copied["CopySourceVersionId"] == first
    assert s3.get_object(Bucket=bucket, Key="copy", VersionId=copied["VersionId"])["Body"].read() == b"1" * 100
    s3.copy_object(Bucket=bucket, Key="k", CopySource=source)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"1" * 100, "restored"
    upload = s3.create_multipart_upload(Bucket=bucket, Key="mpu")["UploadId"]
    named = {"Bucket": bucket, "Key": "mpu", "UploadId": upload}
    part = s3.upload_part_copy(**named, PartNumber=1, CopySource=source, CopySourceRange="bytes=10-19")
    assert part["CopySourceVersionId"] == first
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["CopyPartResult"]["ETag"]}]}
    done = s3.complete_multipart_upload(**named, MultipartUpload=parts)
    assert s3.complete_multipart_upload(**named, MultipartUpload=parts)["VersionId"] == done["VersionId"]
    assert s3.get_object(Bucket=bucket, Key="mpu", VersionId=done["VersionId"])["Body"].read() == b"1" * 10


@pytest.mark.parametrize("options", [{}, {"Delimiter": "/"}, {"Prefix": "a"}])
@pytest.mark.parametrize("size", [1, 2, 1000])
def test_pages_of_versions(s3: Any, bucket: str, options: dict[str, str], size: int) -> None:
    expected = []
    for key in ("a", "ab", "b/1", "b/2", "c ü"):
        ids = [s3.put_object(Bucket=bucket, Key=key, Body=b"")["VersionId"] for _ in range(2)]
        ids.append(s3.delete_object(Bucket=bucket, Key=key)["VersionId"])
        expected += [(key, version, version == ids[2]) for version in ids[::-1]]
    if "Delimiter" in options:
        expected = [row for row in expected if "/" not in row[0]]
    if "Prefix" in options:
        expected = [row for row in expected if row[0].startswith("a")]
    found = all_versions(s3, bucket, **options, PaginationConfig={"PageSize": size})
    assert sorted(found) == sorted(expected)
    if size == 1:
        assert found == expected, "with one entry a page, the order is that of the pages"


def test_many_deletes(s3: Any, bucket: str) -> None:
    ids = {key: s3.put_object(Bucket=bucket, Key=key, Body=b"x")["VersionId"] for key in ("a", "b", "c")}
    answer = s3.delete_objects(
        Bucket=bucket,
        Delete={"Objects": [{"Key": "a"}, {"Key": "b", "VersionId": ids["b"]}, {"Key": "c", "ETag": "x"}]},
    )
    deleted = {row["Key"]: row for row in answer["Deleted"]}
    assert deleted["a"]["DeleteMarker"] is True
    assert deleted["b"] == {"Key": "b", "VersionId": ids["b"]}
    assert [(row["Key"], row["Code"]) for row in answer["Errors"]] == [("c", "PreconditionFailed")]
    everything = [{"Key": key, "VersionId": version} for key, version, _ in all_versions(s3, bucket)]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": everything})
    assert "Errors" not in answer
    assert all_versions(s3, bucket) == []
    s3.delete_bucket(Bucket=bucket)


def test_conditional_deletes(s3: Any, bucket: str) -> None:
    where = {"Bucket": bucket, "Key": "k"}
    etag = s3.put_object(**where, Body=b"hello")["ETag"]
    head = s3.head_object(**where)
    assert refusal(s3.delete_object, **where, IfMatch='"x"')[:2] == (412, "PreconditionFailed")
    assert refusal(s3.delete_object, **where, IfMatchSize=4)[:2] == (412, "PreconditionFailed")
    assert s3.delete_object(**where, IfMatch=etag, IfMatchSize=5, IfMatchLastModifiedTime=head["LastModified"])
    assert refusal(s3.delete_object, **where, IfMatch="*")[:2] == (404, "NoSuchKey")
    assert s3.put_object(**where, Body=b"1", IfNoneMatch="*")


def test_mfa_delete_is_refused_by_name(s3: Any, bucket: str) -> None:
    mfa = {"Status": "Enabled", "MFADelete": "Enabled"}
    assert refusal(s3.put_bucket_versioning, Bucket=bucket, VersioningConfiguration=mfa)[:2] == (501, "NotImplemented")
    assert refusal(s3.delete_object, Bucket=bucket, Key="k", MFA="serial 123456")[:2] == (501, "NotImplemented")


def test_one_of_many_writers_on_two_gates_wins(store: Store, bucket: str) -> None:
    clients = [store.client(gate) for gate in (0, 1)]
    clients[0].create_bucket(Bucket=bucket)
    enable(clients[0], bucket)
    outcomes: list[str] = []
    ready = threading.Barrier(WRITERS)

    def write(index: int) -> None:
        ready.wait()
        try:
            done = clients[index % 2].put_object(Bucket=bucket, Key="k", Body=b"%d" % index, IfNoneMatch="*")
            outcomes.append(f"{index} {done['VersionId']}")
        except ClientError as error:
            outcomes.append(error.response["Error"]["Code"])

    threads = [threading.Thread(target=write, args=(index,)) for index in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [outcome for outcome in outcomes if " " in outcome]
    assert len(outcomes) == WRITERS and len(winners) == 1
    assert set(outcomes) - set(winners) <= {"PreconditionFailed", "ConditionalRequestConflict"}
    index, version = winners[0].split()
    got = clients[1].get_object(Bucket=bucket, Key="k")
    assert (got["Body"].read().decode(), got["VersionId"]) == (index, version)
    assert len(all_versions(clients[0], bucket)) == 1


def test_concurrent_writers_lose_no_version(store: Store, bucket: str) -> None:
    clients = [store.client(gate) for gate in (0, 1)]
    clients[0].create_bucket(Bucket=bucket)
    enable(clients[0], bucket)
    made: list[str] = []

    def write(index: int) -> None:
        for _ in range(8):
            made.append(clients[index % 2].put_object(Bucket=bucket, Key="k", Body=b"x")["VersionId"])

    threads = [threading.Thread(target=write, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(version for _, version, _ in all_versions(clients[0], bucket)) == sorted(made)
    assert len(set(made)) == 64


def test_another_gate_sees_it_at_once_and_a_restart_forgets_nothing(make_store: MakeStore) -> None:
    store = make_store(gates=2)
    here, there = store.client(0), store.client(1)
    here.create_bucket(Bucket="versioned")
    there.put_object(Bucket="versioned", Key="k", Body=b"null")  # the other gate remembers the bucket as it is
    for round_ in range(5):
        enable(here, "versioned")
        version = there.put_object(Bucket="versioned", Key="k", Body=b"%d" % round_)["VersionId"]
        assert here.get_object(Bucket="versioned", Key="k", VersionId=version)["Body"].read() == b"%d" % round_
        enable(here, "versioned", "Suspended")
        assert "VersionId" not in there.put_object(Bucket="versioned", Key="k", Body=b"s")
    assert len(all_versions(here, "versioned")) == 6
    assert set(written_while_versioning_changes(store, "versioned")) <= {"OperationAborted"}
    before = all_versions(here, "versioned")
    assert len(set(before)) == len(before)
    for gate in store.gates:
        gate.kill()
    store.start()
    assert all_versions(store.client(1), "versioned") == before
    store.check()


def written_while_versioning_changes(store: Store, bucket: str) -> list[str]:
    """Writes and deletes through both gates while a third party keeps changing its mind; what was refused."""
    refused: list[str] = []
    done = threading.Event()

    def write(index: int) -> None:
        client = store.client(index % 2)
        while not done.is_set():
            try:
                client.put_object(Bucket=bucket, Key=f"w{index}", Body=b"x" * 1000)
                client.delete_object(Bucket=bucket, Key=f"w{index}")
            except ClientError as error:
                refused.append(error.response["Error"]["Code"])

    threads = [threading.Thread(target=write, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    client = store.client()
    for round_ in range(20):
        enable(client, bucket, "Suspended" if round_ % 2 else "Enabled")
    done.set()
    for thread in threads:
        thread.join()
    return refused
