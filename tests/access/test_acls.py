"""ACLs between two accounts and nobody in particular, as boto3's users set them."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.access.world import (
    ALLOWED,
    ALT_ACCOUNT,
    ALT_ID,
    ALT_USER,
    MAIN_ID,
    NOBODY,
    PLAIN_USER,
    REFUSED,
    Holder,
    World,
    allow,
    outcome,
)

READS = ("list_objects", "list_objects_v2", "list_object_versions", "list_multipart_uploads", "head_bucket")
ALL_USERS = "http://acs.amazonaws.com/groups/global/AllUsers"
AUTHENTICATED = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
# What each permission gives on a bucket: list, write, read and write its ACL.
ON_BUCKET = {
    "READ": (True, False, False, False),
    "WRITE": (False, True, False, False),
    "READ_ACP": (False, False, True, False),
    "WRITE_ACP": (False, False, False, True),
    "FULL_CONTROL": (True, True, True, True),
}
# On an object: read it, read and write its ACL. Nobody writes an object by its own ACL.
ON_OBJECT = {
    "READ": (True, False, False),
    "WRITE_ACP": (False, False, True),
    "READ_ACP": (False, True, False),
    "FULL_CONTROL": (True, True, True),
}


def expected(is_allowed: bool) -> str:
    return ALLOWED if is_allowed else REFUSED


def grants(owner: str, grantee: dict[str, str], permission: str) -> dict[str, Any]:
    own = {"Grantee": {"Type": "CanonicalUser", "ID": owner}, "Permission": "FULL_CONTROL"}
    return {"Owner": {"ID": owner}, "Grants": [own, {"Grantee": grantee, "Permission": permission}]}


@pytest.fixture
def bucket(world: World, main: Holder) -> str:
    name = world.bucket()
    main.s3.put_object(Bucket=name, Key="key", Body=b"hello")
    return name


@pytest.mark.parametrize("permission", ON_BUCKET)
@pytest.mark.parametrize("kind", ["CanonicalUser", "AmazonCustomerByEmail"])
def test_grants_on_a_bucket(world: World, main: Holder, alt: Holder, bucket: str, permission: str, kind: str) -> None:
    named = {"ID": ALT_ID} if kind == "CanonicalUser" else {"EmailAddress": "alt@example.com"}
    main.s3.put_bucket_acl(Bucket=bucket, AccessControlPolicy=grants(MAIN_ID, {"Type": kind, **named}, permission))
    listed = main.s3.get_bucket_acl(Bucket=bucket)["Grants"][1]
    assert (listed["Grantee"]["Type"], listed["Grantee"]["ID"]) == ("CanonicalUser", ALT_ID)
    lists, writes, reads_acl, writes_acl = map(expected, ON_BUCKET[permission])
    s3 = alt.s3
    for read in READS:
        assert outcome(lambda read=read: getattr(s3, read)(Bucket=bucket)) == lists, read
    assert outcome(lambda: s3.put_object(Bucket=bucket, Key="new", Body=b"")) == writes
    assert outcome(lambda: s3.delete_object(Bucket=bucket, Key="new")) == writes
    assert outcome(lambda: s3.create_multipart_upload(Bucket=bucket, Key="new")) == writes
    assert outcome(lambda: s3.get_bucket_acl(Bucket=bucket)) == reads_acl
    assert outcome(lambda: s3.put_bucket_acl(Bucket=bucket, AccessControlPolicy=
                   grants(MAIN_ID, {"Type": "CanonicalUser", "ID": ALT_ID}, permission))) == writes_acl  # fmt: skip
    assert outcome(lambda: s3.get_object(Bucket=bucket, Key="key")) == REFUSED
    for anybody in (NOBODY, PLAIN_USER):
        assert outcome(lambda anybody=anybody: world.of(anybody).s3.list_objects(Bucket=bucket)) == REFUSED
    if permission == "FULL_CONTROL":  # of a bucket's ACL: nothing that only policies give
        assert outcome(lambda: s3.get_bucket_policy(Bucket=bucket)) == REFUSED
        assert outcome(lambda: s3.delete_bucket(Bucket=bucket)) == REFUSED


@pytest.mark.parametrize("permission", ON_OBJECT)
def test_grants_on_an_object(main: Holder, alt: Holder, bucket: str, permission: str) -> None:
    wanted = grants(MAIN_ID, {"Type": "CanonicalUser", "ID": ALT_ID}, permission)
    main.s3.put_object_acl(Bucket=bucket, Key="key", AccessControlPolicy=wanted)
    reads, reads_acl, writes_acl = map(expected, ON_OBJECT[permission])
    s3, named = alt.s3, {"Bucket": bucket, "Key": "key"}
    assert outcome(lambda: s3.get_object(**named)) == reads
    assert outcome(lambda: s3.head_object(**named)) == reads
    assert outcome(lambda: s3.get_object_acl(**named)) == reads_acl
    assert outcome(lambda: s3.put_object_acl(**named, AccessControlPolicy=wanted)) == writes_acl
    assert outcome(lambda: s3.put_object(**named, Body=b"")) == REFUSED
    assert outcome(lambda: s3.delete_object(**named)) == REFUSED
    assert outcome(lambda: s3.get_object_tagging(**named)) == REFUSED
    assert outcome(lambda: s3.list_objects(Bucket=bucket)) == REFUSED


@pytest.mark.parametrize(
    ("acl", "group", "permissions"),
    [
        ("private", "", set()),
        ("public-read", ALL_USERS, {"READ"}),
        ("public-read-write", ALL_USERS, {"READ", "WRITE"}),
        ("authenticated-read", AUTHENTICATED, {"READ"}),
    ],
)
def test_canned_acls(
    world: World, main: Holder, alt: Holder, bucket: str, acl: str, group: str, permissions: set[str]
) -> None:
    main.s3.put_bucket_acl(Bucket=bucket, ACL=acl)
    main.s3.put_object_acl(Bucket=bucket, Key="key", ACL=acl)
    for answer in (main.s3.get_bucket_acl(Bucket=bucket), main.s3.get_object_acl(Bucket=bucket, Key="key")):
        own, *others = answer["Grants"]
        assert (own["Grantee"]["ID"], own["Permission"]) == (MAIN_ID, "FULL_CONTROL")
        assert {(each["Grantee"]["URI"], each["Permission"]) for each in others} == {(group, p) for p in permissions}
    for who in (world.of(NOBODY), alt, world.of(ALT_USER)):
        is_in = group == ALL_USERS or (group == AUTHENTICATED and who.keys != NOBODY)
        reads, writes = expected("READ" in permissions and is_in), expected("WRITE" in permissions and is_in)
        assert outcome(lambda who=who: who.s3.list_objects_v2(Bucket=bucket)) == reads
        assert outcome(lambda who=who: who.s3.head_bucket(Bucket=bucket)) == reads
        assert outcome(lambda who=who: who.s3.get_object(Bucket=bucket, Key="key")) == reads
        assert outcome(lambda who=who: who.s3.put_object(Bucket=bucket, Key="new", Body=b"")) == writes
        missing = outcome(lambda who=who: who.s3.get_object(Bucket=bucket, Key="missing"))
        assert missing == ("NoSuchKey" if reads == ALLOWED else REFUSED)
        missing = outcome(lambda who=who: who.s3.head_object(Bucket=bucket, Key="missing"))
        assert missing == ("NotFound" if reads == ALLOWED else REFUSED)


def test_objects_belong_to_their_writers(world: World, main: Holder, alt: Holder, bucket: str) -> None:
    main.s3.put_bucket_acl(Bucket=bucket, ACL="public-read-write")
    named = {"Bucket": bucket, "Key": "theirs"}
    alt.s3.put_object(**named, Body=b"x")
    shown = alt.s3.get_object_acl(**named)
    assert shown["Owner"] == {"ID": ALT_ID, "DisplayName": "alt"}
    assert [one["Grantee"] for one in shown["Grants"]] == [{**shown["Owner"], "Type": "CanonicalUser"}]
    for listed in (
        main.s3.list_objects(Bucket=bucket, Prefix="theirs")["Contents"],
        main.s3.list_objects_v2(Bucket=bucket, Prefix="theirs", FetchOwner=True)["Contents"],
        main.s3.list_object_versions(Bucket=bucket, Prefix="theirs")["Versions"],
    ):
        assert [one["Owner"] for one in listed] == [{"ID": ALT_ID, "DisplayName": "alt"}]
    assert outcome(lambda: main.s3.get_object(**named)) == REFUSED
    assert outcome(lambda: main.s3.put_object_acl(**named, ACL="public-read")) == REFUSED
    assert outcome(lambda: main.s3.get_object_acl(**named)) == REFUSED
    alt.s3.put_object_acl(**named, ACL="bucket-owner-read")
    assert outcome(lambda: main.s3.get_object(**named)) == ALLOWED
    assert outcome(lambda: main.s3.get_object_acl(**named)) == REFUSED
    alt.s3.put_object_acl(**named, ACL="bucket-owner-full-control")
    assert main.s3.get_object_acl(**named)["Owner"]["ID"] == ALT_ID
    assert outcome(lambda: main.s3.put_object_acl(**named, ACL="private")) in (ALLOWED, REFUSED)
    assert outcome(lambda: main.s3.delete_object(**named)) == ALLOWED
    main.s3.put_bucket_ownership_controls(
        Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerPreferred"}]}
    )
    alt.s3.put_object(**named, Body=b"x", ACL="bucket-owner-full-control")
    assert main.s3.get_object_acl(**named)["Owner"]["ID"] == MAIN_ID


def test_parts_by_another_account(main: Holder, alt: Holder, bucket: str) -> None:
    """Who begins an upload owns the object; the bucket's owner may end it."""
    main.s3.put_bucket_acl(Bucket=bucket, AccessControlPolicy=grants(MAIN_ID, {"Type": "CanonicalUser", "ID": ALT_ID}, "WRITE"))  # fmt: skip  # noqa: E501
    upload = alt.s3.create_multipart_upload(Bucket=bucket, Key="big", ACL="bucket-owner-read")
    named = {"Bucket": bucket, "Key": "big", "UploadId": upload["UploadId"]}
    part = alt.s3.upload_part(**named, PartNumber=1, Body=b"part")
    assert outcome(lambda: alt.s3.list_parts(**named)) == ALLOWED
    listed = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    assert outcome(lambda: alt.s3.complete_multipart_upload(**named, MultipartUpload=listed)) == ALLOWED
    assert alt.s3.get_object_acl(Bucket=bucket, Key="big")["Owner"]["ID"] == ALT_ID
    assert main.s3.get_object(Bucket=bucket, Key="big")["Body"].read() == b"part"
    again = alt.s3.create_multipart_upload(Bucket=bucket, Key="big")["UploadId"]
    assert outcome(lambda: main.s3.abort_multipart_upload(Bucket=bucket, Key="big", UploadId=again)) == ALLOWED


def test_who_began_an_upload_is_shown(world: World, main: Holder, alt: Holder, bucket: str) -> None:
    """Accounts as accounts, users by their ARN; the object knows nothing of it."""
    user = world.user()
    user.let(allow("s3:*"))
    main.s3.put_bucket_acl(Bucket=bucket, AccessControlPolicy=grants(MAIN_ID, {"Type": "CanonicalUser", "ID": ALT_ID}, "WRITE"))  # fmt: skip  # noqa: E501
    wanted = {main: (MAIN_ID, "main", MAIN_ID), user: (user.arn, user.name, MAIN_ID), alt: (ALT_ID, "alt", ALT_ID)}
    for number, (holder, (who, name, owner)) in enumerate(wanted.items()):
        named = {"Bucket": bucket, "Key": f"begun-{number}"}
        named["UploadId"] = holder.s3.create_multipart_upload(**named, Metadata={"a": "b"})["UploadId"]
        part = holder.s3.upload_part(**named, PartNumber=1, Body=b"part")
        listed = next(
            one for one in main.s3.list_multipart_uploads(Bucket=bucket)["Uploads"] if one["Key"] == named["Key"]
        )
        for shown in (listed, main.s3.list_parts(**named)):
            assert (shown["Initiator"], shown["Owner"]["ID"]) == ({"ID": who, "DisplayName": name}, owner)
        parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        holder.s3.complete_multipart_upload(**named, MultipartUpload=parts)
        head = holder.s3.head_object(Bucket=bucket, Key=named["Key"])
        assert head["Metadata"] == {"a": "b"}
        assert "x-amz-initiator" not in head["ResponseMetadata"]["HTTPHeaders"]


def test_copies_between_accounts(world: World, main: Holder, alt: Holder, bucket: str) -> None:
    """A copy takes leave to read and leave to write, and is private to the one who made it."""
    target = f"alt-{bucket}"
    alt.s3.create_bucket(Bucket=target)
    asked = {"Bucket": target, "Key": "copy", "CopySource": f"{bucket}/key"}
    assert outcome(lambda: alt.s3.copy_object(**asked)) == REFUSED
    assert outcome(lambda: main.s3.copy_object(**asked)) == REFUSED
    main.s3.put_object_acl(Bucket=bucket, Key="key", ACL="public-read")
    assert outcome(lambda: alt.s3.copy_object(**asked)) == ALLOWED
    assert outcome(lambda: main.s3.copy_object(**asked)) == REFUSED
    assert [each["Permission"] for each in alt.s3.get_object_acl(Bucket=target, Key="copy")["Grants"]] == [
        "FULL_CONTROL"
    ]
    missing = {**asked, "CopySource": f"{bucket}/missing"}
    assert outcome(lambda: alt.s3.copy_object(**missing)) == REFUSED
    main.s3.put_bucket_acl(Bucket=bucket, ACL="public-read")
    assert outcome(lambda: alt.s3.copy_object(**missing)) == "NoSuchKey"
    # A confused deputy: the target's owner cannot have the store read for them what they may not.
    main.s3.put_object_acl(Bucket=bucket, Key="key", ACL="private")
    begun = alt.s3.create_multipart_upload(Bucket=target, Key="big")["UploadId"]
    part = {"Bucket": target, "Key": "big", "UploadId": begun, "PartNumber": 1, "CopySource": f"{bucket}/key"}
    assert outcome(lambda: alt.s3.upload_part_copy(**part)) == REFUSED


def test_tags_that_a_copy_takes_along_are_asked_for(world: World, main: Holder, bucket: str) -> None:
    user = world.user()
    main.s3.put_object(Bucket=bucket, Key="tagged", Body=b"", Tagging="a=b")
    asked = {"Bucket": bucket, "Key": "copy", "CopySource": f"{bucket}/tagged"}
    user.let(allow(["s3:GetObject", "s3:PutObject"]))
    assert outcome(lambda: user.s3.copy_object(**asked)) == REFUSED
    assert outcome(lambda: user.s3.copy_object(**{**asked, "CopySource": f"{bucket}/key"})) == ALLOWED
    assert outcome(lambda: user.s3.copy_object(**asked, TaggingDirective="REPLACE")) == ALLOWED
    user.let(allow(["s3:GetObject", "s3:PutObject", "s3:GetObjectTagging", "s3:PutObjectTagging"]))
    assert outcome(lambda: user.s3.copy_object(**asked)) == ALLOWED


def test_blocks_of_public_access(world: World, main: Holder, alt: Holder, bucket: str) -> None:
    nobody = world.of(NOBODY).s3
    main.s3.put_object_acl(Bucket=bucket, Key="key", ACL="public-read")
    assert outcome(lambda: nobody.get_object(Bucket=bucket, Key="key")) == ALLOWED

    def block(**switches: bool) -> None:
        main.s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=switches)

    block(IgnorePublicAcls=True)
    assert outcome(lambda: nobody.get_object(Bucket=bucket, Key="key")) == REFUSED
    assert outcome(lambda: main.s3.put_object_acl(Bucket=bucket, Key="key", ACL="public-read")) == ALLOWED
    block(BlockPublicAcls=True)
    assert outcome(lambda: nobody.get_object(Bucket=bucket, Key="key")) == ALLOWED
    for acl in ("public-read", "public-read-write", "authenticated-read"):
        assert outcome(lambda acl=acl: main.s3.put_object_acl(Bucket=bucket, Key="key", ACL=acl)) == REFUSED
        assert outcome(lambda acl=acl: main.s3.put_bucket_acl(Bucket=bucket, ACL=acl)) == REFUSED
        assert outcome(lambda acl=acl: main.s3.put_object(Bucket=bucket, Key="new", Body=b"", ACL=acl)) == REFUSED
    public = allow("s3:GetObject", f"arn:aws:s3:::{bucket}/*", Principal="*")
    shared = allow("s3:GetObject", f"arn:aws:s3:::{bucket}/*", Principal={"AWS": ALT_ACCOUNT})
    block(BlockPublicPolicy=True)
    assert outcome(lambda: world.let(bucket, public)) == REFUSED
    assert outcome(lambda: world.let(bucket, shared)) == ALLOWED
    assert main.s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"] is False
    block(RestrictPublicBuckets=False)
    main.s3.put_object(Bucket=bucket, Key="key", Body=b"private")
    world.let(bucket, public)
    assert main.s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"] is True
    for who in (nobody, alt.s3, world.of(PLAIN_USER).s3):
        assert outcome(lambda who=who: who.get_object(Bucket=bucket, Key="key")) == ALLOWED
    block(RestrictPublicBuckets=True)
    for who, is_allowed in ((nobody, False), (alt.s3, False), (world.of(PLAIN_USER).s3, True)):
        assert outcome(lambda who=who: who.get_object(Bucket=bucket, Key="key")) == expected(is_allowed)


def test_accounts_that_there_are_not_are_named(main: Holder, bucket: str) -> None:
    # As S3 names them: in headers (versity/versitygw#1384) not as in documents.
    nobody = "0" * 64
    policy = grants(MAIN_ID, {"Type": "CanonicalUser", "ID": nobody}, "READ")
    for asked, named in (
        (lambda: main.s3.put_bucket_acl(Bucket=bucket, GrantRead=f"id={nobody}"), "id"),
        (lambda: main.s3.put_object(Bucket=bucket, Key="k", Body=b"", GrantRead=f"id={nobody}"), "id"),
        (lambda: main.s3.put_bucket_acl(Bucket=bucket, AccessControlPolicy=policy), "CanonicalUser/ID"),
    ):
        with pytest.raises(ClientError) as caught:
            asked()
        error = caught.value.response["Error"]
        assert (error["Code"], error["Message"]) == ("InvalidArgument", "Invalid id")
        assert (error["ArgumentName"], error["ArgumentValue"]) == (named, nobody)


def test_acls_that_are_disabled(main: Holder, bucket: str) -> None:
    def own(ownership: str) -> str:
        rules = {"Rules": [{"ObjectOwnership": ownership}]}
        return outcome(lambda: main.s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=rules))

    main.s3.put_bucket_acl(Bucket=bucket, ACL="public-read")
    assert own("BucketOwnerEnforced") == "InvalidBucketAclWithObjectOwnership"
    main.s3.put_bucket_acl(Bucket=bucket, ACL="private")
    assert own("BucketOwnerEnforced") == ALLOWED
    disabled = "AccessControlListNotSupported"
    assert outcome(lambda: main.s3.put_bucket_acl(Bucket=bucket, ACL="public-read")) == disabled
    assert outcome(lambda: main.s3.put_object(Bucket=bucket, Key="k", Body=b"", ACL="public-read")) == disabled
    full = {"Bucket": bucket, "Key": "k", "Body": b"", "ACL": "bucket-owner-full-control"}
    assert outcome(lambda: main.s3.put_object(**full)) == ALLOWED


def test_requesters_who_pay_say_so(world: World, main: Holder, alt: Holder, bucket: str) -> None:
    main.s3.put_object_acl(Bucket=bucket, Key="key", ACL="public-read")
    main.s3.put_bucket_request_payment(Bucket=bucket, RequestPaymentConfiguration={"Payer": "Requester"})
    named = {"Bucket": bucket, "Key": "key"}
    assert outcome(lambda: main.s3.get_object(**named)) == ALLOWED
    assert "RequestCharged" not in main.s3.get_object(**named)
    assert outcome(lambda: alt.s3.get_object(**named)) == REFUSED
    assert alt.s3.get_object(**named, RequestPayer="requester")["RequestCharged"] == "requester"
    assert outcome(lambda: world.of(NOBODY).s3.get_object(**named, RequestPayer="requester")) == REFUSED
    target = f"alt-{bucket}"
    alt.s3.create_bucket(Bucket=target)
    copied = {"Bucket": target, "Key": "copy", "CopySource": f"{bucket}/key"}
    assert outcome(lambda: alt.s3.copy_object(**copied)) == REFUSED
    assert outcome(lambda: alt.s3.copy_object(**copied, RequestPayer="requester")) == ALLOWED
