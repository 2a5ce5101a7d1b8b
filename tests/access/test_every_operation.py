"""Every built operation of the dispatch table asks for leave: the table says which, and none can be forgotten.

A user without policies and nobody in particular are refused, one who may everything but this action is refused, and
one who may this action and nothing else (beside what AWS documents to go with it) is let in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from uuid import uuid4

import pytest
import requests

from s3gate.iam import vocabulary
from s3gate.s3.operation import OPERATIONS, PREFLIGHT, Operation
from s3gate.web.dispatch import function_name
from tests.access.world import ALLOWED, MAIN, NOBODY, PLAIN_USER, REFUSED, Holder, User, World, allow, deny, outcome

KEY = "folder/key"
BUILT = sorted(name for name, row in OPERATIONS.items() if row.built)
# Asked besides the operation's own action, as AWS documents.
COMPANIONS = {
    "CopyObject": ["s3:GetObject"],
    "GetObjectAttributes": ["s3:GetObject"],
    "UploadPartCopy": ["s3:GetObject"],
}
# What everybody may: a preflight says what the bucket's owner configured for pages, and grants nothing.
FOR_EVERYBODY = {PREFLIGHT}
TAGS = {"TagSet": [{"Key": "a", "Value": "b"}]}


@dataclass
class Place:
    """A bucket of the main account, made anew for every operation, with what the operation needs in it."""

    world: World
    settings: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def s3(self) -> Any:
        return self.world.of(MAIN).s3

    @cached_property
    def bucket(self) -> str:
        return self.world.bucket(ObjectLockEnabledForBucket=True)

    @cached_property
    def version(self) -> str:
        return str(self.s3.put_object(Bucket=self.bucket, Key=KEY, Body=b"hello")["VersionId"])

    @property
    def object(self) -> dict[str, Any]:
        assert self.version
        return {"Bucket": self.bucket, "Key": KEY}

    @cached_property
    def upload(self) -> dict[str, Any]:
        made = self.s3.create_multipart_upload(Bucket=self.bucket, Key=KEY)
        return {"Bucket": self.bucket, "Key": KEY, "UploadId": made["UploadId"]}

    @cached_property
    def parts(self) -> dict[str, Any]:
        done = self.s3.upload_part(**self.upload, PartNumber=1, Body=b"part")
        return {"Parts": [{"PartNumber": 1, "ETag": done["ETag"]}]}

    def named(self) -> dict[str, Any]:
        return {"Bucket": self.bucket, "Id": "one"}


Recipe = Callable[[Place], dict[str, Any]]


def _bucket(**more: Any) -> Recipe:
    return lambda place: {"Bucket": place.bucket, **more}


def _object(**more: Any) -> Recipe:
    return lambda place: {**place.object, **more}


def _inventory(place: Place) -> dict[str, Any]:
    where = {"S3BucketDestination": {"Bucket": f"arn:aws:s3:::{place.bucket}", "Format": "CSV"}}
    told = {"Id": "one", "IsEnabled": True, "IncludedObjectVersions": "All", "Schedule": {"Frequency": "Daily"}}
    return {**place.named(), "InventoryConfiguration": {**told, "Destination": where}}


def _policy(place: Place) -> dict[str, Any]:
    statement = allow("s3:PutBucketPolicy", f"arn:aws:s3:::{place.bucket}", Principal={"AWS": "*"})
    return {
        "Bucket": place.bucket,
        "Policy": str({"Version": "2012-10-17", "Statement": [statement]}).replace("'", '"'),
    }


_TIERS = [{"Days": 90, "AccessTier": "ARCHIVE_ACCESS"}]
_RULE = {"ID": "r", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}
RECIPES: dict[str, Recipe] = {
    "ListBuckets": lambda place: {},
    "CreateBucket": lambda place: {"Bucket": f"n-{uuid4().hex}"},
    "PostObject": _bucket(),
    "DeleteObjects": lambda place: {"Bucket": place.bucket, "Delete": {"Objects": [{"Key": place.object["Key"]}]}},
    "PutBucketAccelerateConfiguration": _bucket(AccelerateConfiguration={"Status": "Enabled"}),
    "PutBucketAcl": _bucket(ACL="private"),
    "PutBucketAnalyticsConfiguration": lambda place: {
        **place.named(),
        "AnalyticsConfiguration": {"Id": "one", "StorageClassAnalysis": {}},
    },
    "PutBucketCors": _bucket(CORSConfiguration={"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}]}),
    "PutBucketEncryption": _bucket(
        ServerSideEncryptionConfiguration={
            "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
        }
    ),
    "PutBucketIntelligentTieringConfiguration": lambda place: {
        **place.named(),
        "IntelligentTieringConfiguration": {"Id": "one", "Status": "Enabled", "Tierings": _TIERS},
    },
    "PutBucketInventoryConfiguration": _inventory,
    "PutBucketLifecycleConfiguration": _bucket(LifecycleConfiguration={"Rules": [_RULE]}),
    "PutBucketMetricsConfiguration": lambda place: {**place.named(), "MetricsConfiguration": {"Id": "one"}},
    "PutObjectLockConfiguration": _bucket(ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"}),
    "PutBucketOwnershipControls": _bucket(OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]}),
    "PutBucketPolicy": _policy,
    "PutPublicAccessBlock": _bucket(PublicAccessBlockConfiguration={"BlockPublicAcls": True}),
    "PutBucketRequestPayment": _bucket(RequestPaymentConfiguration={"Payer": "BucketOwner"}),
    "PutBucketTagging": _bucket(Tagging=TAGS),
    "PutBucketVersioning": _bucket(VersioningConfiguration={"Status": "Enabled"}),
    "PutBucketWebsite": _bucket(WebsiteConfiguration={"IndexDocument": {"Suffix": "index.html"}}),
    "CopyObject": lambda place: {**place.object, "Key": "copy", "CopySource": f"{place.bucket}/{KEY}"},
    "PutObject": _object(Body=b"new"),
    "PutObjectAcl": _object(ACL="private"),
    "GetObjectAttributes": _object(ObjectAttributes=["ETag"]),
    "PutObjectLegalHold": _object(LegalHold={"Status": "OFF"}),
    "PutObjectRetention": _object(Retention={}),
    "PutObjectTagging": _object(Tagging=TAGS),
    "AbortMultipartUpload": lambda place: place.upload,
    "CompleteMultipartUpload": lambda place: {**place.upload, "MultipartUpload": place.parts},
    "ListParts": lambda place: place.upload,
    "UploadPart": lambda place: {**place.upload, "PartNumber": 1, "Body": b"part"},
    "UploadPartCopy": lambda place: {
        **place.object,
        **place.upload,
        "PartNumber": 1,
        "CopySource": f"{place.bucket}/{KEY}",
    },
}


def recipe(row: Operation) -> Recipe:
    """What a request of it takes; most need a bucket, an object or an id, and nothing else."""
    found = RECIPES.get(row.name)
    if found is not None:
        return found
    if row.level == "object":
        return _object()
    return Place.named if "id" in row.needs else _bucket()


def ask(who: Holder, row: Operation, place: Place, gate: int, **more: Any) -> str:
    """What becomes of it. A form is posted by hand: boto3 makes its fields."""
    given = {**recipe(row)(place), **more}
    if row.name == "PostObject":
        return _post(who, given["Bucket"], gate)
    client = who.client(gate=gate)
    return outcome(lambda: getattr(client, function_name(row.name))(**given))


def _post(who: Holder, bucket: str, gate: int) -> str:
    signed = {"url": f"{who.store.gates[gate].endpoint}/{bucket}", "fields": {"key": KEY}}
    if who.keys != NOBODY:
        signed = who.client(gate=gate).generate_presigned_post(bucket, KEY)
    answer = requests.post(signed["url"], data=signed["fields"], files={"file": b"form"}, timeout=30)
    return ALLOWED if answer.ok else answer.text.partition("<Code>")[2].partition("<")[0]


@pytest.fixture(scope="module")
def only(open_store: Any) -> User:
    """One who may a single action."""
    return World(open_store).user()


@pytest.fixture(scope="module")
def almost(open_store: Any) -> User:
    """One who may everything but a single action."""
    return World(open_store).user()


@pytest.mark.parametrize("name", [name for name in BUILT if name not in FOR_EVERYBODY])
def test_it_is_asked_for(name: str, world: World, only: User, almost: User) -> None:
    """What the last change allowed or denied is so at once, on the gate that did not see it and remembers otherwise."""
    row, place = OPERATIONS[name], Place(world)
    almost.let(allow("s3:*"))
    almost.client(gate=1).head_bucket(Bucket=place.bucket)
    almost.let(allow("s3:*"), deny(row.action))
    assert ask(world.of(PLAIN_USER), row, place, 0) == REFUSED
    assert ask(world.of(NOBODY), row, place, 0) == REFUSED
    assert ask(almost, row, place, 1) == REFUSED
    only.let(allow(["s3:GetObjectNothing", *COMPANIONS.get(name, [])]))
    assert ask(only, row, place, 1) == REFUSED
    only.let(allow([row.action, *COMPANIONS.get(name, [])]))
    assert ask(only, row, place, 1) not in (REFUSED, "NoSuchKey", "NoSuchBucket", "MalformedXML", "InvalidRequest")


def _versioned() -> list[str]:
    rows = [OPERATIONS[name] for name in BUILT if "versionId" in OPERATIONS[name].takes]
    return [row.name for row in rows if row.method != "HEAD"]


@pytest.mark.parametrize("name", _versioned())
def test_versions_have_actions_of_their_own(name: str, world: World, only: User) -> None:
    row, place = OPERATIONS[name], Place(world)
    of_version = row.action.replace("Object", "ObjectVersion")
    own = of_version if any(vocabulary.levels(of_version)) else row.action
    more = [each.replace("Object", "ObjectVersion") for each in COMPANIONS.get(name, [])]
    named = {"VersionId": place.version}
    if own != row.action:
        only.let(allow([row.action, *more]))
        assert ask(only, row, place, 1, **named) == REFUSED
    only.let(allow([own, *more]))
    assert ask(only, row, place, 1, **named) != REFUSED


@pytest.mark.parametrize("name", sorted(COMPANIONS))
def test_what_goes_with_it_is_asked_for_too(name: str, world: World, only: User) -> None:
    row, place = OPERATIONS[name], Place(world)
    only.let(allow(row.action))
    assert ask(only, row, place, 1) == REFUSED


def test_a_policy_opens_what_it_names_to_everybody(world: World) -> None:
    place = Place(world)
    world.let(place.bucket, allow(["s3:GetObject"], f"arn:aws:s3:::{place.bucket}/*", Principal="*"))
    for name in BUILT:
        row = OPERATIONS[name]
        if row.level == "object" and row.method in ("GET", "HEAD") and row.subresource != "uploadId":
            opened = row.action == "s3:GetObject"
            assert ask(world.of(NOBODY), row, place, 1) == (ALLOWED if opened else REFUSED), name


def test_what_a_new_bucket_is_told_is_asked_for(world: World, only: User) -> None:
    """As AWS documents of CreateBucket's headers and tags."""
    tags = [{"Key": "a", "Value": "b"}]
    for more, actions in (
        ({"ACL": "private"}, []),
        ({"ACL": "public-read"}, ["s3:PutBucketAcl"]),
        ({"ObjectOwnership": "ObjectWriter"}, ["s3:PutBucketOwnershipControls"]),
        ({"ObjectLockEnabledForBucket": True}, ["s3:PutBucketObjectLockConfiguration", "s3:PutBucketVersioning"]),
        ({"CreateBucketConfiguration": {"Tags": tags}}, ["s3:TagResource"]),
    ):
        for dropped in actions:
            only.let(allow(["s3:CreateBucket", *(each for each in actions if each != dropped)]))
            name = f"n-{uuid4().hex}"
            assert outcome(lambda name=name, more=more: only.s3.create_bucket(Bucket=name, **more)) == REFUSED
        only.let(allow(["s3:CreateBucket", *actions]))
        name = f"n-{uuid4().hex}"
        assert outcome(lambda name=name, more=more: only.s3.create_bucket(Bucket=name, **more)) == ALLOWED


@pytest.mark.parametrize("name", sorted(FOR_EVERYBODY))
def test_what_everybody_may(name: str, world: World) -> None:
    place = Place(world)
    given = {"Origin": "https://page.example", "Access-Control-Request-Method": "GET"}
    url = f"{world.store.endpoint}/{place.bucket}/{KEY}"
    assert requests.options(url, headers=given, timeout=30).status_code == 403
    place.s3.put_bucket_cors(**RECIPES["PutBucketCors"](place))
    assert requests.options(url, headers=given, timeout=30).status_code == 200
