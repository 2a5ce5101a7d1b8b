"""The same calls go to moto and to s3gate, and their parsed answers are compared.

moto is a reference and not the truth. Where AWS's documentation says otherwise, the call stands in `MOTO_IS_WRONG`
with the reason and what AWS documents: that replaces moto's answer, or single fields of it, before the comparison.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer

# Different at every call.
VOLATILE = {"HostId", "RequestId", "LastModified", "Initiated", "CreationDate", "UploadId", "VersionId", "Date"}
VOLATILE |= {
    "NextContinuationToken",
    "NextUploadIdMarker",
    "HTTPHeaders",
    "RetryAttempts",
    "MaxAttemptsReached",
    "Location",
}
# Facts of the installation, not of the protocol: who owns a bucket, whether AWS encrypts by default.
INSTALLATION = {"Owner", "Initiator", "ServerSideEncryption", "BucketKeyEnabled", "StorageClass"}
# Newer than moto's model: default checksums and their types, what HeadBucket and CreateBucket tell of a bucket.
NEWER = {"ChecksumCRC64NVME", "ChecksumCRC32", "ChecksumType", "ChecksumAlgorithm"}
NEWER |= {"BucketRegion", "BucketArn", "AccessPointAlias"}

V1_ECHO = "the answer's elements Prefix and Marker are always there (API reference, ListObjects)"
MOTO_IS_WRONG: dict[str, tuple[str, Any]] = {
    "range of an empty object": (
        "no byte satisfies the range (RFC 9110, section 14.1.2); moto sends 200",
        ("InvalidRange", 416),
    ),
    "list v1": (
        V1_ECHO + "; with encoding-type=url CommonPrefixes are encoded too, so that a client decodes the same key",
        {"Prefix": "", "Marker": "", "CommonPrefixes": [{"Prefix": "a/"}, {"Prefix": "ä b+c%20/"}]},
    ),
    "list v1 marker": (V1_ECHO, {"Prefix": "", "Marker": "a/two"}),
    "versions": ("a request's encoding-type is echoed (API reference, ListObjectVersions)", {"EncodingType": "url"}),
    "uploads none": ("the answer's element Prefix is always there", {"Prefix": ""}),
    "complete unknown": ("the upload does not exist; moto fails", ("NoSuchUpload", 404)),
    "uploads": (
        "the answer's element Prefix is always there, and the last entry is named on the last page as well",
        {"Prefix": "", "NextKeyMarker": "folder/upload"},
    ),
    "complete in wrong order": ("parts that are not ascending are InvalidPartOrder", ("InvalidPartOrder", 400)),
}

Call = tuple[str, str, dict[str, Any]]
PARTS = {"Parts": [{"PartNumber": 1, "ETag": '"00000000000000000000000000000000"'}]}
CALLS: list[Call] = [
    ("create", "create_bucket", {}),
    ("head bucket", "head_bucket", {}),
    ("location", "get_bucket_location", {}),
    ("put", "put_object", {"Key": "a/one", "Body": b"first", "Metadata": {"k": "v"}, "ContentType": "text/plain"}),
    ("put with headers", "put_object", {"Key": "a/two", "Body": b"", "CacheControl": "no-store"}),
    ("put odd key", "put_object", {"Key": "ä b+c%20/&<>", "Body": b"odd"}),
    ("put root", "put_object", {"Key": "root", "Body": b"0123456789"}),
    ("get", "get_object", {"Key": "a/one"}),
    ("head", "head_object", {"Key": "a/one"}),
    ("head cached", "head_object", {"Key": "a/two"}),
    ("get range", "get_object", {"Key": "root", "Range": "bytes=2-4"}),
    ("get suffix", "get_object", {"Key": "root", "Range": "bytes=-3"}),
    ("get open range", "get_object", {"Key": "root", "Range": "bytes=7-"}),
    ("get beyond", "get_object", {"Key": "root", "Range": "bytes=10-"}),
    ("range of an empty object", "get_object", {"Key": "a/two", "Range": "bytes=0-1"}),
    ("if-none-match", "get_object", {"Key": "root", "IfNoneMatch": '"781e5e245d69b566979b86e28d23f2c7"'}),
    ("if-match wrong", "get_object", {"Key": "root", "IfMatch": '"nothing"'}),
    ("missing key", "get_object", {"Key": "none"}),
    ("missing head", "head_object", {"Key": "none"}),
    ("list", "list_objects_v2", {}),
    ("list prefix", "list_objects_v2", {"Prefix": "a/"}),
    ("list delimiter", "list_objects_v2", {"Delimiter": "/"}),
    ("list page", "list_objects_v2", {"MaxKeys": 2}),
    ("list none", "list_objects_v2", {"MaxKeys": 0}),
    ("list after", "list_objects_v2", {"StartAfter": "a/one"}),
    ("list v1", "list_objects", {"Delimiter": "/"}),
    ("list v1 marker", "list_objects", {"Marker": "a/two"}),
    ("versions", "list_object_versions", {"Prefix": "a/"}),
    ("copy", "copy_object", {"Key": "copied", "CopySource": "{bucket}/a/one"}),
    ("head copy", "head_object", {"Key": "copied"}),
    ("copy replacing", "copy_object", {
        "Key": "copied", "CopySource": "{bucket}/a/one", "MetadataDirective": "REPLACE", "Metadata": {"n": "w"},
    }),
    ("head replaced", "head_object", {"Key": "copied"}),
    ("copy onto itself", "copy_object", {"Key": "copied", "CopySource": "{bucket}/copied"}),
    ("copy missing", "copy_object", {"Key": "x", "CopySource": "{bucket}/none"}),
    ("uploads none", "list_multipart_uploads", {}),
    ("unknown upload", "list_parts", {"Key": "k", "UploadId": "0" * 32}),
    ("complete unknown", "complete_multipart_upload", {"Key": "k", "UploadId": "0" * 32, "MultipartUpload": PARTS}),
    ("delete", "delete_object", {"Key": "root"}),
    ("delete missing", "delete_object", {"Key": "root"}),
    ("delete bucket with objects", "delete_bucket", {}),
    ("delete many", "delete_objects", {"Delete": {"Objects": [{"Key": k} for k in ("a/one", "a/two", "none")]}}),
    ("list rest", "list_objects_v2", {}),
    ("missing bucket", "list_objects_v2", {"Bucket": "no-such-bucket-here"}),
]  # fmt: skip


@pytest.fixture(scope="module")
def moto() -> Iterator[Any]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield boto3.Session("k", "s", region_name="us-east-1").client("s3", endpoint_url=f"http://{host}:{port}")
    finally:
        server.stop()


def answer_of(client: Any, method: str, arguments: dict[str, Any]) -> Any:
    """What a caller sees: the parsed answer, or the error's code and status."""
    try:
        return cleaned(getattr(client, method)(**arguments))
    except ClientError as error:
        return error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]


def cleaned(value: Any) -> Any:
    if isinstance(value, dict):
        dropped = VOLATILE | INSTALLATION | NEWER
        return {name: cleaned(item) for name, item in value.items() if name not in dropped}
    if isinstance(value, list):
        return [cleaned(item) for item in value]
    return value.read() if hasattr(value, "read") else value


def filled(arguments: dict[str, Any], bucket: str) -> dict[str, Any]:
    filled_in = {"Bucket": bucket} | arguments
    if "CopySource" in arguments:
        filled_in["CopySource"] = arguments["CopySource"].format(bucket=bucket)
    return filled_in


def corrected(name: str, answer: Any) -> Any:
    """moto's answer, with AWS's documented one in its place where moto is known to be wrong."""
    _, documented = MOTO_IS_WRONG.get(name, ("", {}))
    return answer | documented if isinstance(documented, dict) and isinstance(answer, dict) else documented or answer


def client_of(store: Any) -> Any:
    session = boto3.Session(store.access_key, store.secret_key, region_name="us-east-1")
    return session.client("s3", endpoint_url=store.endpoint, config=Config(retries={"max_attempts": 1}))


def test_the_parsed_answers_are_those_of_moto(moto: Any, store: Any, bucket: str) -> None:
    ours, different = client_of(store), {}
    for name, method, arguments in CALLS:
        theirs = corrected(name, answer_of(moto, method, filled(arguments, bucket)))
        mine = answer_of(ours, method, filled(arguments, bucket))
        if mine != theirs:
            different[name] = {"moto": theirs, "s3gate": mine}
    assert different == {}


def multipart_story(client: Any, bucket: str) -> dict[str, Any]:
    """One upload from its beginning to its end: what each step answered, by name."""
    client.create_bucket(Bucket=bucket)
    key = {"Bucket": bucket, "Key": "folder/upload"}
    upload = {**key, "UploadId": client.create_multipart_upload(**key, Metadata={"a": "b"})["UploadId"]}
    parts = []
    for number, size in ((1, 5 << 20), (2, 5 << 20), (7, 11)):
        answer = client.upload_part(**upload, PartNumber=number, Body=bytes([number]) * size)
        parts.append({"PartNumber": number, "ETag": answer["ETag"]})
    backwards = {**upload, "MultipartUpload": {"Parts": parts[::-1]}}
    return {
        "parts": answer_of(client, "list_parts", upload),
        "uploads": answer_of(client, "list_multipart_uploads", {"Bucket": bucket}),
        "complete in wrong order": answer_of(client, "complete_multipart_upload", backwards),
        "complete": answer_of(client, "complete_multipart_upload", {**upload, "MultipartUpload": {"Parts": parts}}),
        "head": answer_of(client, "head_object", key),
        "parts afterwards": answer_of(client, "list_parts", upload),
    }


def test_a_multipart_upload_is_answered_as_moto_does(moto: Any, store: Any, bucket: str) -> None:
    theirs = {name: corrected(name, answer) for name, answer in multipart_story(moto, bucket).items()}
    assert multipart_story(client_of(store), bucket) == theirs
