"""Object lock, tags and attributes over the wire, as boto3 asks for them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.clients.programs import Endpoint

MIB = 1 << 20
TAGS = [{"Key": "colour", "Value": "grün"}, {"Key": "empty", "Value": ""}]


@pytest.fixture
def s3(endpoint: Endpoint) -> Any:
    session = boto3.Session(endpoint.access_key, endpoint.secret_key, region_name="us-east-1")
    config = Config(retries={"max_attempts": 1})
    return session.client("s3", endpoint_url=endpoint.url, verify=endpoint.ca_file or True, config=config)


@pytest.fixture
def safe(s3: Any, bucket: str) -> str:
    s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True, ObjectOwnership="BucketOwnerEnforced")
    return bucket


def later(**delta: float) -> datetime:
    return datetime.now(UTC).replace(microsecond=0) + timedelta(**delta)


def refusal(call: Any, **arguments: Any) -> tuple[int, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    answer = caught.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]


def configuration(**rule: Any) -> dict[str, Any]:
    return {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": rule}}


def test_a_locked_bucket(s3: Any, safe: str) -> None:
    assert s3.get_bucket_versioning(Bucket=safe)["Status"] == "Enabled"
    suspend = {"Bucket": safe, "VersioningConfiguration": {"Status": "Suspended"}}
    assert refusal(s3.put_bucket_versioning, **suspend) == (409, "InvalidBucketState")
    shown = s3.get_object_lock_configuration(Bucket=safe)["ObjectLockConfiguration"]
    assert shown == {"ObjectLockEnabled": "Enabled"}
    wanted = configuration(Mode="GOVERNANCE", Days=1)
    s3.put_object_lock_configuration(Bucket=safe, ObjectLockConfiguration=wanted)
    assert s3.get_object_lock_configuration(Bucket=safe)["ObjectLockConfiguration"] == wanted
    version = s3.put_object(Bucket=safe, Key="k", Body=b"x")["VersionId"]
    head = s3.head_object(Bucket=safe, Key="k")
    assert head["ObjectLockMode"] == "GOVERNANCE"
    assert abs(head["ObjectLockRetainUntilDate"] - later(days=1)) < timedelta(minutes=1)
    assert refusal(s3.delete_object, Bucket=safe, Key="k", VersionId=version) == (403, "AccessDenied")
    assert s3.delete_object(Bucket=safe, Key="k", VersionId=version, BypassGovernanceRetention=True)


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ({"Mode": "GOVERNANCE", "Days": 0}, "InvalidArgument"),
        ({"Mode": "GOVERNANCE", "Years": -1}, "InvalidArgument"),
        ({"Mode": "GOVERNANCE", "Days": 1, "Years": 1}, "MalformedXML"),
        ({"Mode": "governance", "Days": 1}, "MalformedXML"),
        ({"Days": 1}, "MalformedXML"),
    ],
)
def test_rules_that_are_refused(s3: Any, safe: str, rule: dict[str, Any], code: str) -> None:
    wanted = {"Bucket": safe, "ObjectLockConfiguration": configuration(**rule)}
    assert refusal(s3.put_object_lock_configuration, **wanted) == (400, code)


def test_a_bucket_gets_a_lock_when_it_has_versions(s3: Any, bucket: str) -> None:
    s3.create_bucket(Bucket=bucket)
    wanted = {"Bucket": bucket, "ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled"}}
    assert refusal(s3.get_object_lock_configuration, Bucket=bucket) == (404, "ObjectLockConfigurationNotFoundError")
    assert refusal(s3.put_object_lock_configuration, **wanted) == (409, "InvalidBucketState")
    hold = {"Bucket": bucket, "Key": "k", "Body": b"", "ObjectLockLegalHoldStatus": "ON"}
    assert refusal(s3.put_object, **hold) == (400, "InvalidRequest")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object_lock_configuration(**wanted)
    s3.put_object(**hold)
    s3.put_object_legal_hold(Bucket=bucket, Key="k", LegalHold={"Status": "OFF"})


def test_retention(s3: Any, safe: str) -> None:
    where = {"Bucket": safe, "Key": "k"}
    version = s3.put_object(**where, Body=b"x")["VersionId"]
    assert refusal(s3.get_object_retention, **where) == (404, "NoSuchObjectLockConfiguration")
    long, short = ({"Mode": "GOVERNANCE", "RetainUntilDate": later(hours=hours)} for hours in (2, 1))
    s3.put_object_retention(**where, Retention=long)
    assert s3.get_object_retention(**where, VersionId=version)["Retention"] == long
    assert refusal(s3.put_object_retention, **where, Retention=short) == (403, "AccessDenied")
    s3.put_object_retention(**where, Retention=short, BypassGovernanceRetention=True)
    s3.put_object_retention(**where, Retention=long)
    s3.put_object_retention(**where, Retention={}, BypassGovernanceRetention=True)
    assert refusal(s3.get_object_retention, **where) == (404, "NoSuchObjectLockConfiguration")
    past = {"Mode": "GOVERNANCE", "RetainUntilDate": later(hours=-1)}
    assert refusal(s3.put_object_retention, **where, Retention=past) == (400, "InvalidArgument")
    half = {"Mode": "GOVERNANCE"}
    assert refusal(s3.put_object_retention, **where, Retention=half) == (400, "MalformedXML")
    s3.delete_object(**where, VersionId=version)


def test_compliance_is_for_everybody(s3: Any, safe: str) -> None:
    """The retention is so short that the bucket can go when the store does."""
    where = {"Bucket": safe, "Key": "k"}
    until = later(seconds=60)
    put = s3.put_object(**where, Body=b"x", ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=until)
    assert s3.get_object(**where)["ObjectLockRetainUntilDate"] == until
    bypass = {**where, "BypassGovernanceRetention": True}
    assert refusal(s3.delete_object, **bypass, VersionId=put["VersionId"]) == (403, "AccessDenied")
    shorter = {"Mode": "COMPLIANCE", "RetainUntilDate": later(seconds=20)}
    assert refusal(s3.put_object_retention, **bypass, Retention=shorter) == (403, "AccessDenied")
    looser = {"Mode": "GOVERNANCE", "RetainUntilDate": later(seconds=90)}
    assert refusal(s3.put_object_retention, **bypass, Retention=looser) == (403, "AccessDenied")
    assert refusal(s3.put_object_retention, **bypass, Retention={}) == (403, "AccessDenied")
    s3.put_object_retention(**where, Retention={"Mode": "COMPLIANCE", "RetainUntilDate": later(seconds=90)})
    many = s3.delete_objects(
        Bucket=safe, Delete={"Objects": [{"Key": "k", "VersionId": put["VersionId"]}]}, BypassGovernanceRetention=True
    )
    assert [row["Code"] for row in many["Errors"]] == ["AccessDenied"]
    assert s3.delete_object(**where)["DeleteMarker"] is True
    assert s3.get_object(**where, VersionId=put["VersionId"])["Body"].read() == b"x"


def test_legal_hold(s3: Any, safe: str) -> None:
    where = {"Bucket": safe, "Key": "k"}
    version = s3.put_object(**where, Body=b"x")["VersionId"]
    assert refusal(s3.get_object_legal_hold, **where) == (404, "NoSuchObjectLockConfiguration")
    for status in ("ON", "OFF"):
        s3.put_object_legal_hold(**where, LegalHold={"Status": status})
        assert s3.get_object_legal_hold(**where)["LegalHold"] == {"Status": status}
        assert s3.head_object(**where)["ObjectLockLegalHoldStatus"] == status
        if status == "ON":
            removal = {**where, "VersionId": version, "BypassGovernanceRetention": True}
            assert refusal(s3.delete_object, **removal) == (403, "AccessDenied")
    assert refusal(s3.put_object_legal_hold, **where, LegalHold={"Status": "on"}) == (400, "MalformedXML")
    s3.delete_object(**where, VersionId=version)


def test_a_locked_upload(s3: Any, safe: str) -> None:
    where = {"Bucket": safe, "Key": "k"}
    until = later(hours=1)
    upload = s3.create_multipart_upload(
        **where, ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=until, Tagging="a=1"
    )["UploadId"]
    part = s3.upload_part(**where, UploadId=upload, PartNumber=1, Body=b"x")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    done = s3.complete_multipart_upload(**where, UploadId=upload, MultipartUpload=parts)
    head = s3.head_object(**where)
    assert (head["ObjectLockMode"], head["ObjectLockRetainUntilDate"]) == ("GOVERNANCE", until)
    assert s3.get_object(**where)["TagCount"] == 1
    assert refusal(s3.delete_object, **where, VersionId=done["VersionId"]) == (403, "AccessDenied")
    s3.delete_object(**where, VersionId=done["VersionId"], BypassGovernanceRetention=True)


def test_tags(s3: Any, bucket: str) -> None:
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"Tags": TAGS})
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == TAGS
    s3.delete_bucket_tagging(Bucket=bucket)
    assert refusal(s3.get_bucket_tagging, Bucket=bucket) == (404, "NoSuchTagSet")
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": TAGS[:1]})
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == TAGS[:1]
    where = {"Bucket": bucket, "Key": "k"}
    s3.put_object(**where, Body=b"x", Tagging="colour=gr%C3%BCn&empty=")
    assert s3.get_object_tagging(**where)["TagSet"] == TAGS
    assert s3.get_object(**where)["TagCount"] == 2
    for directive, expected in (("COPY", TAGS), ("REPLACE", [{"Key": "new", "Value": "1"}])):
        copy = {"Bucket": bucket, "Key": "copy", "CopySource": where, "TaggingDirective": directive, "Tagging": "new=1"}
        s3.copy_object(**copy)
        assert s3.get_object_tagging(Bucket=bucket, Key="copy")["TagSet"] == expected
    s3.put_object_tagging(**where, Tagging={"TagSet": TAGS[1:]})
    assert s3.get_object_tagging(**where)["TagSet"] == TAGS[1:]
    s3.delete_object_tagging(**where)
    assert s3.get_object_tagging(**where)["TagSet"] == []
    eleven = {"TagSet": [{"Key": f"k{n}", "Value": "v"} for n in range(11)]}
    assert refusal(s3.put_object_tagging, **where, Tagging=eleven) == (400, "BadRequest")
    twice = {"TagSet": [{"Key": "k", "Value": "v"}] * 2}
    assert refusal(s3.put_object_tagging, **where, Tagging=twice) == (400, "InvalidTag")
    system = {"TagSet": [{"Key": "aws:k", "Value": "v"}]}
    assert refusal(s3.put_bucket_tagging, Bucket=bucket, Tagging=system) == (400, "InvalidTag")
    assert refusal(s3.put_object, **where, Body=b"", Tagging="a=1&a=2") == (400, "InvalidArgument")


def test_attributes(s3: Any, bucket: str) -> None:
    s3.create_bucket(Bucket=bucket)
    everything = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"]
    put = s3.put_object(Bucket=bucket, Key="plain", Body=b"hello", ChecksumAlgorithm="SHA256")
    plain = s3.get_object_attributes(Bucket=bucket, Key="plain", ObjectAttributes=everything)
    assert (plain["ETag"], plain["ObjectSize"], plain["StorageClass"]) == (put["ETag"].strip('"'), 5, "STANDARD")
    assert plain["Checksum"]["ChecksumSHA256"] == put["ChecksumSHA256"]
    assert "ObjectParts" not in plain
    where = {"Bucket": bucket, "Key": "k"}
    upload = s3.create_multipart_upload(**where, ChecksumAlgorithm="SHA256")["UploadId"]
    parts = []
    for number in (1, 2):
        body = b"x" * (5 * MIB if number == 1 else 7)
        part = s3.upload_part(**where, UploadId=upload, PartNumber=number, Body=body, ChecksumAlgorithm="SHA256")
        parts.append({"PartNumber": number, "ETag": part["ETag"], "ChecksumSHA256": part["ChecksumSHA256"]})
    done = s3.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": parts})
    shown = s3.get_object_attributes(**where, ObjectAttributes=everything, MaxParts=1)
    assert shown["Checksum"]["ChecksumSHA256"] == done["ChecksumSHA256"].partition("-")[0]
    page = shown["ObjectParts"]
    assert (page["TotalPartsCount"], page["IsTruncated"], page["NextPartNumberMarker"]) == (2, True, 1)
    assert page["Parts"] == [{"PartNumber": 1, "Size": 5 * MIB, "ChecksumSHA256": parts[0]["ChecksumSHA256"]}]
    rest = s3.get_object_attributes(**where, ObjectAttributes=["ObjectParts"], PartNumberMarker=1)["ObjectParts"]
    assert [part["PartNumber"] for part in rest["Parts"]] == [2]
    wrong = {**where, "ObjectAttributes": ["Nothing"]}
    assert refusal(s3.get_object_attributes, **wrong) == (400, "InvalidArgument")
