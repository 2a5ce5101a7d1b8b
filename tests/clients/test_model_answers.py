"""Every output that AWS's model documents of a built operation is seen in some answer of a running store.

One long story with boto3; what the parsed answers contained is compared with the model and with the list of outputs
that no answer has (`s3gate/s3/remarks.py`).
"""

from __future__ import annotations

import base64
import json
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.session import get_session

from s3gate.s3 import remarks
from s3gate.s3.algorithms import Algorithm, new
from s3gate.s3.operation import BEYOND_THE_MODEL, OPERATIONS
from tests.fix_store import MakeStore, Store

SETTINGS = {"sse_c_over_http": "on", "storage_classes": "GLACIER"}
CUSTOMER = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": b"k" * 32}
KMS = {"ServerSideEncryption": "aws:kms", "BucketKeyEnabled": True}
CONTEXT = {"SSEKMSEncryptionContext": base64.b64encode(b'{"a":"b"}').decode()}
ONLY_IN_ERRORS = {
    "GetObject": {"DeleteMarker"},
    "HeadObject": {"DeleteMarker"},
    "GetObjectAttributes": {"DeleteMarker"},
}
"""boto3 raises there, and parses no members."""

Seen = dict[str, set[str]]


def checksum(algorithm: Algorithm, data: bytes) -> dict[str, str]:
    hasher = new(algorithm)
    hasher.update(data)
    return {f"Checksum{algorithm.value}": base64.b64encode(hasher.digest()).decode()}


class Story:
    """A client whose answers are noted, and the buckets it plays in."""

    def __init__(self, store: Store) -> None:
        self.s3 = store.client()
        self.seen: Seen = defaultdict(set)
        self.s3.meta.events.register("after-call.s3", self._note)
        self.names = [f"story-{name}-{id(self)}" for name in ("locked", "plain")]
        self.locked, self.plain = self.names

    def _note(self, model: Any, parsed: dict[str, Any], **_: Any) -> None:
        self.seen[model.name] |= parsed.keys()

    def buckets(self) -> None:
        s3, plain = self.s3, self.plain
        s3.create_bucket(Bucket=self.locked, ObjectLockEnabledForBucket=True)
        s3.create_bucket(Bucket=plain)
        s3.head_bucket(Bucket=plain)
        s3.get_bucket_location(Bucket=plain)
        page = s3.list_buckets(MaxBuckets=1, Prefix="story-")
        s3.list_buckets(MaxBuckets=1, Prefix="story-", ContinuationToken=page["ContinuationToken"])
        s3.get_bucket_versioning(Bucket=self.locked)
        rules = [
            {
                "ID": "all",
                "Filter": {"Prefix": ""},
                "Status": "Enabled",
                "Expiration": {"Days": 9},
                "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 9},
            }
        ]
        for bucket in self.names:
            s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})
        s3.get_bucket_lifecycle_configuration(Bucket=plain)

    def configurations(self) -> None:
        s3, plain = self.s3, self.plain
        s3.put_bucket_tagging(Bucket=plain, Tagging={"TagSet": [{"Key": "k", "Value": "v"}]})
        s3.get_bucket_tagging(Bucket=plain)
        cors = {"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}]}
        s3.put_bucket_cors(Bucket=plain, CORSConfiguration=cors)
        s3.get_bucket_cors(Bucket=plain)
        default = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
        s3.put_bucket_encryption(Bucket=plain, ServerSideEncryptionConfiguration={"Rules": [default]})
        s3.get_bucket_encryption(Bucket=plain)
        s3.delete_bucket_encryption(Bucket=plain)
        for website in (
            {"RedirectAllRequestsTo": {"HostName": "h"}},
            {
                "IndexDocument": {"Suffix": "i"},
                "ErrorDocument": {"Key": "e"},
                "RoutingRules": [{"Redirect": {"HostName": "h"}}],
            },
        ):
            s3.put_bucket_website(Bucket=plain, WebsiteConfiguration=website)
            s3.get_bucket_website(Bucket=plain)
        lock = {"ObjectLockEnabled": "Enabled"}
        s3.put_object_lock_configuration(Bucket=self.locked, ObjectLockConfiguration=lock)
        s3.get_object_lock_configuration(Bucket=self.locked)
        s3.get_bucket_request_payment(Bucket=plain)
        s3.put_bucket_accelerate_configuration(Bucket=plain, AccelerateConfiguration={"Status": "Suspended"})
        s3.get_bucket_accelerate_configuration(Bucket=plain)

    def access(self) -> None:
        s3, plain = self.s3, self.plain
        statement = {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:GetObject",
            "Resource": f"arn:aws:s3:::{plain}/closed/*",
        }
        s3.put_bucket_policy(Bucket=plain, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
        s3.get_bucket_policy(Bucket=plain)
        s3.get_bucket_policy_status(Bucket=plain)
        s3.delete_bucket_policy(Bucket=plain)
        s3.get_bucket_acl(Bucket=plain)
        s3.get_bucket_ownership_controls(Bucket=plain)
        s3.get_public_access_block(Bucket=plain)
        s3.put_object(Bucket=plain, Key="owned", Body=b"x")
        s3.get_object_acl(Bucket=plain, Key="owned")
        s3.delete_object(Bucket=plain, Key="owned")

    def named(self) -> None:
        inventory = {
            "Destination": {"S3BucketDestination": {"Bucket": "arn:aws:s3:::b", "Format": "CSV"}},
            "IsEnabled": False,
            "IncludedObjectVersions": "All",
            "Schedule": {"Frequency": "Daily"},
        }
        tiering = {"Status": "Enabled", "Tierings": [{"Days": 90, "AccessTier": "ARCHIVE_ACCESS"}]}
        kinds: dict[str, dict[str, Any]] = {
            "Metrics": {},
            "Analytics": {"StorageClassAnalysis": {}},
            "Inventory": inventory,
            "IntelligentTiering": tiering,
        }
        for kind, inner in kinds.items():
            snake = "intelligent_tiering" if kind == "IntelligentTiering" else kind.lower()
            for number in range(101):
                name = f"c{number}"
                put = getattr(self.s3, f"put_bucket_{snake}_configuration")
                put(Bucket=self.plain, Id=name, **{f"{kind}Configuration": {"Id": name, **inner}})
            getattr(self.s3, f"get_bucket_{snake}_configuration")(Bucket=self.plain, Id="c1")
            listing = getattr(self.s3, f"list_bucket_{snake}_configurations")
            token = listing(Bucket=self.plain)["NextContinuationToken"]
            listing(Bucket=self.plain, ContinuationToken=token)

    def objects(self) -> None:
        s3, bucket = self.s3, self.locked
        until = datetime.now(UTC) + timedelta(hours=1)
        for algorithm in Algorithm:
            s3.put_object(Bucket=bucket, Key=algorithm.value, Body=b"x", **checksum(algorithm, b"x"))
            s3.get_object(Bucket=bucket, Key=algorithm.value, ChecksumMode="ENABLED")["Body"].read()
            s3.head_object(Bucket=bucket, Key=algorithm.value, ChecksumMode="ENABLED")
        s3.put_object(
            Bucket=bucket,
            Key="full",
            Body=b"hello",
            CacheControl="no-store",
            ContentDisposition="inline",
            ContentEncoding="x-own",
            ContentLanguage="en",
            ContentType="text/plain",
            Expires=until,
            Metadata={"a": "b"},
            WebsiteRedirectLocation="/x",
            Tagging="k=v",
            StorageClass="GLACIER",
            ObjectLockMode="GOVERNANCE",
            ObjectLockRetainUntilDate=until,
            ObjectLockLegalHoldStatus="ON",
        )
        s3.put_object(Bucket=bucket, Key="kms", Body=b"x", **KMS, **CONTEXT)
        s3.put_object(Bucket=bucket, Key="customer", Body=b"x", **CUSTOMER)
        for call in (s3.get_object, s3.head_object):
            call(Bucket=bucket, Key="full", Range="bytes=1-2")
            call(Bucket=bucket, Key="kms")
            call(Bucket=bucket, Key="customer", **CUSTOMER)
        s3.get_object_tagging(Bucket=bucket, Key="full")
        s3.put_object_tagging(Bucket=bucket, Key="full", Tagging={"TagSet": []})
        s3.delete_object_tagging(Bucket=bucket, Key="full")
        s3.get_object_retention(Bucket=bucket, Key="full")
        s3.get_object_legal_hold(Bucket=bucket, Key="full")
        s3.put_object_legal_hold(Bucket=bucket, Key="full", LegalHold={"Status": "OFF"})
        s3.put_object_retention(
            Bucket=bucket, Key="full", Retention={"Mode": "GOVERNANCE", "RetainUntilDate": until + timedelta(hours=1)}
        )

    def copies(self) -> None:
        s3, bucket = self.s3, self.locked
        source = {"Bucket": bucket, "Key": "full"}
        s3.copy_object(Bucket=bucket, Key="copy", CopySource=source)
        s3.copy_object(Bucket=bucket, Key="kms-copy", CopySource=source, **KMS, **CONTEXT)
        s3.copy_object(Bucket=bucket, Key="customer-copy", CopySource=source, **CUSTOMER)

    def uploads(self) -> None:
        s3, bucket = self.s3, self.locked
        for algorithm in Algorithm:
            key = f"parts/{algorithm.value}"
            begun = s3.create_multipart_upload(Bucket=bucket, Key=key, ChecksumAlgorithm=algorithm.value)
            where = {"Bucket": bucket, "Key": key, "UploadId": begun["UploadId"]}
            part = s3.upload_part(**where, PartNumber=1, Body=b"x", **checksum(algorithm, b"x"))
            listed = {"PartNumber": 1, "ETag": part["ETag"], **checksum(algorithm, b"x")}
            s3.list_parts(**where, PartNumberMarker=0, MaxParts=1)
            s3.complete_multipart_upload(**where, MultipartUpload={"Parts": [listed]})
        names = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"]
        s3.get_object_attributes(Bucket=bucket, Key="parts/SHA256", ObjectAttributes=names)
        for call in (s3.get_object, s3.head_object):
            call(Bucket=bucket, Key="parts/SHA256", PartNumber=1)
        source = {"Bucket": bucket, "Key": "full"}
        for sealing in (KMS | CONTEXT, CUSTOMER):
            begun = s3.create_multipart_upload(Bucket=bucket, Key="up/sealed", **sealing)
            where = {"Bucket": bucket, "Key": "up/sealed", "UploadId": begun["UploadId"]}
            given = CUSTOMER if sealing is CUSTOMER else {}
            part = s3.upload_part(**where, PartNumber=1, Body=b"x", **given)
            s3.upload_part_copy(**where, PartNumber=2, CopySource=source, **given)
            listed = {"PartNumber": 1, "ETag": part["ETag"], **checksum(Algorithm.CRC32, b"x")}
            s3.complete_multipart_upload(**where, MultipartUpload={"Parts": [listed]}, **given)
        for key in ("up/a", "up/b", "other/a"):
            begun = s3.create_multipart_upload(Bucket=bucket, Key=key)
        page = s3.list_multipart_uploads(Bucket=bucket, MaxUploads=1, Prefix="up/", EncodingType="url")
        s3.list_multipart_uploads(
            Bucket=bucket, KeyMarker=page["NextKeyMarker"], UploadIdMarker=page["NextUploadIdMarker"], MaxUploads=1
        )
        s3.list_multipart_uploads(Bucket=bucket, Delimiter="/")
        s3.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=begun["UploadId"])

    def listings(self) -> None:
        s3, bucket = self.s3, self.locked
        for call in (s3.list_objects, s3.list_objects_v2, s3.list_object_versions):
            call(Bucket=bucket, Delimiter="/", Prefix="", EncodingType="url")
        s3.list_objects(Bucket=bucket, MaxKeys=1, Marker="A", Delimiter="/")
        page = s3.list_objects_v2(Bucket=bucket, MaxKeys=1, StartAfter="A")
        s3.list_objects_v2(Bucket=bucket, MaxKeys=1, ContinuationToken=page["NextContinuationToken"])
        marker = s3.delete_object(Bucket=bucket, Key="copy")
        s3.delete_object(Bucket=bucket, Key="copy", VersionId=marker["VersionId"])
        gone = s3.delete_object(Bucket=bucket, Key="kms-copy")
        page = s3.list_object_versions(Bucket=bucket, MaxKeys=1)
        s3.list_object_versions(
            Bucket=bucket, KeyMarker=page["NextKeyMarker"], VersionIdMarker=page["NextVersionIdMarker"]
        )
        with pytest.raises(ClientError):
            s3.get_object(Bucket=bucket, Key="kms-copy", VersionId=gone["VersionId"])
        held = s3.head_object(Bucket=bucket, Key="full")["VersionId"]
        doomed = [{"Key": "kms"}, {"Key": "full", "VersionId": held}]
        s3.delete_objects(Bucket=bucket, Delete={"Objects": doomed})


@pytest.fixture(scope="module")
def story(make_module_store: MakeStore) -> Story:
    told = Story(make_module_store(gate_settings=SETTINGS))
    for chapter in (
        told.buckets,
        told.configurations,
        told.access,
        told.named,
        told.objects,
        told.copies,
        told.uploads,
        told.listings,
    ):
        chapter()
    return told


def outputs() -> dict[str, set[str]]:
    """By operation, what its answers have to show."""
    model = get_session().get_service_model("s3")
    found = {}
    for name, row in OPERATIONS.items():
        if not row.built or name in BEYOND_THE_MODEL:
            continue
        shape = model.operation_model(name).output_shape
        found[name] = {
            member
            for member, inner in (shape.members.items() if shape is not None else ())
            if not {str(inner.serialization.get("name", member)), f"{name}: {inner.serialization.get('name')}"}
            & remarks.NOT_GIVEN.keys()
        } - ONLY_IN_ERRORS.get(name, set())
    return found


@pytest.mark.parametrize(("operation", "members"), [pair for pair in outputs().items() if pair[1]])
def test_every_output_of_the_model_is_seen(story: Story, operation: str, members: set[str]) -> None:
    assert members <= story.seen[operation]
