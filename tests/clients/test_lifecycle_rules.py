"""Lifecycle, storage classes, configurations and the newer checksums, as boto3 sees them against a running store."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.fix_store import MakeStore, Store

DAY_SECONDS = 2.0
PATIENCE_SECONDS = 60.0
SETTINGS = {"lifecycle_day_seconds": str(DAY_SECONDS), "storage_classes": "GLACIER,COLD"}


@pytest.fixture(scope="module")
def short_days(make_module_store: MakeStore) -> Store:
    return make_module_store(gates=2, gate_settings=SETTINGS)


@pytest.fixture
def s3(short_days: Store, bucket: str) -> Any:
    client = short_days.client()
    client.create_bucket(Bucket=bucket)
    return client


def eventually(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < deadline, "it did not become true"
        time.sleep(0.2)


def rule(name: str, **more: Any) -> dict[str, Any]:
    return {"ID": name, "Filter": {"Prefix": ""}, "Status": "Enabled", **more}


def tell(s3: Any, bucket: str, *rules: dict[str, Any]) -> None:
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": list(rules)})


def keys(s3: Any, bucket: str) -> list[str]:
    return [row["Key"] for row in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]


def code(call: Callable[..., Any], **arguments: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return str(caught.value.response["Error"]["Code"])


def test_rules_are_answered_as_they_were_put(s3: Any, bucket: str) -> None:
    rules = [
        rule("dated", Expiration={"Date": datetime(2040, 1, 1, tzinfo=UTC)}),
        rule("both", Filter={"And": {"Prefix": "a", "Tags": [{"Key": "k", "Value": "v"}]}}, Expiration={"Days": 3}),
        rule("sized", Filter={"ObjectSizeGreaterThan": 10**12}, Expiration={"Days": 3}),
        rule("older", NoncurrentVersionExpiration={"NoncurrentDays": 3, "NewerNoncurrentVersions": 2}),
        rule("uploads", AbortIncompleteMultipartUpload={"DaysAfterInitiation": 3}, Status="Disabled"),
        rule("markers", Expiration={"ExpiredObjectDeleteMarker": True}),
    ]
    tell(s3, bucket, *rules)
    answer = s3.get_bucket_lifecycle_configuration(Bucket=bucket)
    assert answer["Rules"] == rules
    assert answer["TransitionDefaultMinimumObjectSize"] == "all_storage_classes_128K"
    s3.delete_bucket_lifecycle(Bucket=bucket)
    assert code(s3.get_bucket_lifecycle_configuration, Bucket=bucket) == "NoSuchLifecycleConfiguration"


def test_objects_end_by_the_worker_and_say_so_before(s3: Any, bucket: str, short_days: Store) -> None:
    days = 2  # long enough to look at it before
    tell(s3, bucket, rule("tagged", Filter={"Tag": {"Key": "k", "Value": "v"}}, Expiration={"Days": days}))
    s3.put_object(Bucket=bucket, Key="stays", Body=b"x")
    put = s3.put_object(Bucket=bucket, Key="ends", Body=b"x", Tagging="k=v")
    head = short_days.client(gate=1).head_object(Bucket=bucket, Key="ends")
    assert put["Expiration"] == head["Expiration"]
    date, name = put["Expiration"].split('", ')
    assert name == 'rule-id="tagged"'
    ends = parsedate_to_datetime(date.removeprefix('expiry-date="'))
    assert abs(ends - head["LastModified"] - timedelta(seconds=days * DAY_SECONDS)) < timedelta(seconds=1.1)
    assert "Expiration" not in s3.head_object(Bucket=bucket, Key="stays")
    eventually(lambda: keys(s3, bucket) == ["stays"])


def test_versions_markers_and_uploads_end(s3: Any, bucket: str, short_days: Store) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for _ in range(3):
        s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    begun = s3.create_multipart_upload(Bucket=bucket, Key="never")
    s3.upload_part(Bucket=bucket, Key="never", UploadId=begun["UploadId"], PartNumber=1, Body=b"x")
    assert "AbortDate" not in begun
    tell(
        s3,
        bucket,
        rule("current", Expiration={"Days": 1}),
        rule("older", NoncurrentVersionExpiration={"NoncurrentDays": 1}),
        rule("uploads", AbortIncompleteMultipartUpload={"DaysAfterInitiation": 1}),
    )
    told = s3.create_multipart_upload(Bucket=bucket, Key="told")
    assert told["AbortRuleId"] == "uploads" and told["AbortDate"] > datetime.now(UTC) - timedelta(seconds=10)
    assert short_days.worker is not None
    short_days.worker.restart()
    eventually(lambda: not s3.list_object_versions(Bucket=bucket).keys() & {"Versions", "DeleteMarkers"})
    eventually(lambda: "Uploads" not in s3.list_multipart_uploads(Bucket=bucket))
    s3.delete_bucket(Bucket=bucket)


def test_what_is_locked_outlives_the_rules(short_days: Store, bucket: str) -> None:
    s3 = short_days.client()
    s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    until = datetime.now(UTC) + timedelta(hours=1)
    locked = s3.put_object(
        Bucket=bucket, Key="k", Body=b"x", ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=until
    )
    free = s3.put_object(Bucket=bucket, Key="k", Body=b"y")
    tell(
        s3,
        bucket,
        rule("current", Expiration={"Days": 1}),
        rule("older", NoncurrentVersionExpiration={"NoncurrentDays": 1}),
    )

    def versions() -> list[str]:
        return [row["VersionId"] for row in s3.list_object_versions(Bucket=bucket).get("Versions", [])]

    assert versions() == [free["VersionId"], locked["VersionId"]]
    eventually(lambda: versions() == [locked["VersionId"]])
    time.sleep(2 * DAY_SECONDS)
    assert versions() == [locked["VersionId"]]


def test_storage_classes_are_labels(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="plain", Body=b"x")
    s3.put_object(Bucket=bucket, Key="cold", Body=b"x", StorageClass="COLD")
    begun = s3.create_multipart_upload(Bucket=bucket, Key="parts", StorageClass="GLACIER")
    part = s3.upload_part(Bucket=bucket, Key="parts", UploadId=begun["UploadId"], PartNumber=1, Body=b"x")
    assert s3.list_multipart_uploads(Bucket=bucket)["Uploads"][0]["StorageClass"] == "GLACIER"
    assert s3.list_parts(Bucket=bucket, Key="parts", UploadId=begun["UploadId"])["StorageClass"] == "GLACIER"
    s3.complete_multipart_upload(
        Bucket=bucket,
        Key="parts",
        UploadId=begun["UploadId"],
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"], "ChecksumCRC32": part["ChecksumCRC32"]}]},
    )
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/cold")
    expected = {"cold": "COLD", "copy": "STANDARD", "parts": "GLACIER", "plain": "STANDARD"}
    for call, kind in (
        (s3.list_objects_v2, "Contents"),
        (s3.list_objects, "Contents"),
        (s3.list_object_versions, "Versions"),
    ):
        assert {row["Key"]: row["StorageClass"] for row in call(Bucket=bucket)[kind]} == expected
    for key, label in expected.items():
        asked = s3.get_object_attributes(Bucket=bucket, Key=key, ObjectAttributes=["StorageClass"])
        assert asked["StorageClass"] == label
        assert s3.head_object(Bucket=bucket, Key=key).get("StorageClass", "STANDARD") == label
    assert code(s3.put_object, Bucket=bucket, Key="k", StorageClass="STANDARD_IA") == "NotImplemented"
    assert code(s3.put_object, Bucket=bucket, Key="k", StorageClass="PAPER") == "InvalidStorageClass"
    s3.copy_object(Bucket=bucket, Key="cold", CopySource=f"{bucket}/cold", StorageClass="GLACIER")
    assert s3.head_object(Bucket=bucket, Key="cold")["StorageClass"] == "GLACIER"


@pytest.mark.parametrize("kind", ["metrics", "analytics", "inventory", "intelligent_tiering"])
def test_named_configurations(s3: Any, bucket: str, kind: str) -> None:
    destination = {"S3BucketDestination": {"Bucket": "arn:aws:s3:::b", "Format": "CSV"}}
    inner = {
        "metrics": {"Filter": {"And": {"Prefix": "a", "Tags": [{"Key": "k", "Value": "v"}]}}},
        "analytics": {"StorageClassAnalysis": {}},
        "inventory": {
            "Destination": destination,
            "IsEnabled": True,
            "IncludedObjectVersions": "All",
            "OptionalFields": ["Size"],
            "Schedule": {"Frequency": "Daily"},
        },
        "intelligent_tiering": {"Status": "Enabled", "Tierings": [{"Days": 90, "AccessTier": "ARCHIVE_ACCESS"}]},
    }[kind]
    camel = "".join(word.capitalize() for word in kind.split("_"))
    document = {"Id": "one", **inner}
    call = {verb: getattr(s3, f"{verb}_bucket_{kind}_configuration") for verb in ("put", "get", "delete")}
    call["put"](Bucket=bucket, Id="one", **{f"{camel}Configuration": document})
    assert call["get"](Bucket=bucket, Id="one")[f"{camel}Configuration"] == document
    listed = getattr(s3, f"list_bucket_{kind}_configurations")(Bucket=bucket)
    assert listed[f"{camel}ConfigurationList"] == [document] and listed["IsTruncated"] is False
    call["delete"](Bucket=bucket, Id="one")
    assert code(call["get"], Bucket=bucket, Id="one") == "NoSuchConfiguration"


def test_payment_and_acceleration(s3: Any, bucket: str) -> None:
    assert s3.get_bucket_request_payment(Bucket=bucket)["Payer"] == "BucketOwner"
    s3.put_bucket_request_payment(Bucket=bucket, RequestPaymentConfiguration={"Payer": "Requester"})
    assert s3.get_bucket_request_payment(Bucket=bucket)["Payer"] == "Requester"
    assert "Status" not in s3.get_bucket_accelerate_configuration(Bucket=bucket)
    s3.put_bucket_accelerate_configuration(Bucket=bucket, AccelerateConfiguration={"Status": "Enabled"})
    assert s3.get_bucket_accelerate_configuration(Bucket=bucket)["Status"] == "Enabled"


def test_transitions_change_the_label(s3: Any, bucket: str) -> None:
    move = {"Days": 1, "StorageClass": "GLACIER"}
    tell(s3, bucket, rule("cold", Filter={"ObjectSizeGreaterThan": 0}, Transitions=[move]))
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"x", Metadata={"a": "b"})
    eventually(lambda: s3.list_objects_v2(Bucket=bucket)["Contents"][0]["StorageClass"] == "GLACIER")
    got = s3.get_object(Bucket=bucket, Key="k")
    assert (got["Body"].read(), got["StorageClass"], got["Metadata"]) == (b"x", "GLACIER", {"a": "b"})
    assert got["ETag"] == put["ETag"]
    refused = [{"Days": 1, "StorageClass": "DEEP_ARCHIVE"}]
    unknown = {"Rules": [rule("no", Transitions=refused)]}
    assert (
        code(s3.put_bucket_lifecycle_configuration, Bucket=bucket, LifecycleConfiguration=unknown) == "NotImplemented"
    )
