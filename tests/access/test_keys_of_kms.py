"""Who may use a key of SSE-KMS: the roots of accounts; users and sessions as far as their own policies say."""

from __future__ import annotations

from typing import Any

import pytest

from s3gate.crypto.keyfile import KeyFile
from tests.access.world import ALLOWED, REFUSED, Holder, World, allow, deny, outcome, policy

KEY = "testkey-1"
VIA_S3 = {"StringEquals": {"kms:ViaService": "s3.us-east-1.amazonaws.com"}}


@pytest.fixture
def key_arn(world: World, main: Holder) -> str:
    """A key beside the one that is used when none is named."""
    path = world.store.home / "kms.json"
    if KEY not in KeyFile.read(path).keys:
        KeyFile.read(path).with_key(KEY).write(path)
    answer = main.s3.put_object(Bucket=world.bucket(), Key="k", ServerSideEncryption="aws:kms", SSEKMSKeyId=KEY)
    return str(answer["SSEKMSKeyId"])


@pytest.fixture
def bucket(world: World) -> str:
    return world.bucket()


def does(who: Holder, bucket: str, key_id: str | None = KEY) -> tuple[str, str, str]:
    """What becomes of a put, a get and a part."""
    s3 = who.client()
    named: dict[str, Any] = {"ServerSideEncryption": "aws:kms", **({"SSEKMSKeyId": key_id} if key_id else {})}
    made = {"Bucket": bucket, "Key": f"{key_id}"}

    def upload() -> Any:
        upload_id = s3.create_multipart_upload(**made, **named)["UploadId"]
        return s3.upload_part(**made, UploadId=upload_id, PartNumber=1, Body=b"x")

    return (
        outcome(lambda: s3.put_object(**made, Body=b"hello", **named)),
        outcome(lambda: s3.get_object(**made)),
        outcome(upload),
    )


def test_a_key_takes_leave_of_its_own(world: World, main: Holder, bucket: str, key_arn: str) -> None:
    assert does(main, bucket) == (ALLOWED,) * 3
    user = world.user()
    for statements, expected in (
        ([], (REFUSED,) * 3),
        ([allow("kms:GenerateDataKey", key_arn)], (ALLOWED, REFUSED, REFUSED)),
        ([allow("kms:Decrypt", key_arn)], (REFUSED, ALLOWED, REFUSED)),
        ([allow("kms:*", key_arn)], (ALLOWED,) * 3),
        ([allow("kms:*", f"{key_arn}0")], (REFUSED,) * 3),
        ([allow("kms:*", Condition=VIA_S3)], (ALLOWED,) * 3),
        ([allow("kms:*"), deny("kms:Decrypt", key_arn)], (ALLOWED, REFUSED, REFUSED)),
    ):
        user.let(allow("s3:*"), *statements)
        assert does(user, bucket) == expected, statements
        assert outcome(lambda: user.s3.head_object(Bucket=bucket, Key=KEY)) == ALLOWED


def test_the_key_of_those_who_name_none_is_everybodys(world: World, bucket: str) -> None:
    user = world.user()
    user.let(allow("s3:*"))
    assert does(user, bucket, None) == (ALLOWED,) * 3


def test_copies_and_defaults(world: World, main: Holder, bucket: str, key_arn: str) -> None:
    named = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": KEY}
    main.s3.put_object(Bucket=bucket, Key="sealed", Body=b"x", **named)
    main.s3.put_object(Bucket=bucket, Key="plain", Body=b"x")
    user = world.user()

    def copies(source: str, **more: str) -> str:
        return outcome(lambda: user.s3.copy_object(Bucket=bucket, Key="to", CopySource=f"{bucket}/{source}", **more))

    user.let(allow("s3:*"))
    assert copies("sealed") == copies("plain", **named) == REFUSED
    assert copies("plain") == ALLOWED
    user.let(allow(["s3:*", "kms:Decrypt"]))
    assert (copies("sealed"), copies("sealed", **named)) == (ALLOWED, REFUSED)
    user.let(allow(["s3:*", "kms:GenerateDataKey"]))
    assert (copies("sealed"), copies("plain", **named)) == (REFUSED, ALLOWED)
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key_arn}}
    main.s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    assert outcome(lambda: user.s3.put_object(Bucket=bucket, Key="k")) == ALLOWED
    user.let(allow("s3:*"))
    assert outcome(lambda: user.s3.put_object(Bucket=bucket, Key="k")) == REFUSED


def test_another_accounts_root_may(world: World, alt: Holder, bucket: str, key_arn: str) -> None:
    """Every account uses the keys of the installation, as long as the bucket lets it in."""
    assert key_arn.endswith(KEY)
    everything = ["s3:PutObject", "s3:GetObject"]
    world.let(bucket, allow(everything, f"arn:aws:s3:::{bucket}/*", Principal={"AWS": "222222222222"}))
    assert does(alt, bucket) == (ALLOWED,) * 3
    made = alt.client("sts").get_federation_token(Name="carol", Policy=policy(allow("s3:*")))["Credentials"]
    carol = Holder(world.store, (made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"]))
    assert does(carol, bucket) == (REFUSED,) * 3
