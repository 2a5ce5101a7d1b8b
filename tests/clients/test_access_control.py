"""Who may do what, with boto3: a user made by its IAM client, a bucket's policy, ACLs, and nobody in particular."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.clients.programs import Endpoint


def client(endpoint: Endpoint, service: str, access_key: str = "", secret_key: str = "") -> Any:
    config = Config(retries={"max_attempts": 1}, signature_version=None if access_key else UNSIGNED)
    session = boto3.Session(access_key or None, secret_key or None, region_name="us-east-1")
    return session.client(service, endpoint_url=endpoint.url, verify=endpoint.ca_file or True, config=config)


@pytest.fixture
def s3(endpoint: Endpoint, bucket: str) -> Any:
    made = client(endpoint, "s3", endpoint.access_key, endpoint.secret_key)
    made.create_bucket(Bucket=bucket)
    made.put_object(Bucket=bucket, Key="a/key", Body=b"content")
    return made


@pytest.fixture
def nobody(endpoint: Endpoint) -> Any:
    return client(endpoint, "s3")


@pytest.fixture
def iam(endpoint: Endpoint) -> Any:
    return client(endpoint, "iam", endpoint.access_key, endpoint.secret_key)


@pytest.fixture
def user(endpoint: Endpoint, iam: Any, bucket: str) -> Iterator[tuple[str, Any]]:
    """A user's ARN, and the user's client."""
    arn = iam.create_user(UserName=bucket)["User"]["Arn"]
    key = iam.create_access_key(UserName=bucket)["AccessKey"]
    yield arn, client(endpoint, "s3", key["AccessKeyId"], key["SecretAccessKey"])
    for name in iam.list_user_policies(UserName=bucket)["PolicyNames"]:
        iam.delete_user_policy(UserName=bucket, PolicyName=name)
    iam.delete_access_key(UserName=bucket, AccessKeyId=key["AccessKeyId"])
    iam.delete_user(UserName=bucket)


def policy(effect: str, action: str, resource: str, **more: Any) -> str:
    statement = {"Effect": effect, "Action": action, "Resource": resource, **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def code(operation: Any, **arguments: Any) -> str:
    with pytest.raises(ClientError) as caught:
        operation(**arguments)
    return str(caught.value.response["Error"]["Code"])


def test_a_user_may_what_policies_say(s3: Any, iam: Any, user: tuple[str, Any], bucket: str) -> None:
    arn, theirs = user
    thing = {"Bucket": bucket, "Key": "a/key"}
    assert code(theirs.get_object, **thing) == "AccessDenied"
    assert code(theirs.list_buckets) == "AccessDenied"
    iam.put_user_policy(
        UserName=bucket,
        PolicyName="read",
        PolicyDocument=policy("Allow", "s3:GetObject", f"arn:aws:s3:::{bucket}/a/*"),
    )
    assert theirs.get_object(**thing)["Body"].read() == b"content"
    assert code(theirs.get_object, Bucket=bucket, Key="b/key") == "AccessDenied"
    assert code(theirs.put_object, **thing) == "AccessDenied"
    allowing = policy("Allow", "s3:PutObject", f"arn:aws:s3:::{bucket}/*", Principal={"AWS": arn})
    s3.put_bucket_policy(Bucket=bucket, Policy=allowing)
    theirs.put_object(**thing, Body=b"theirs")
    assert json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"]) == json.loads(allowing)
    s3.put_bucket_policy(Bucket=bucket, Policy=policy("Deny", "s3:*", f"arn:aws:s3:::{bucket}/*", Principal="*"))
    assert code(theirs.get_object, **thing) == "AccessDenied"
    s3.delete_bucket_policy(Bucket=bucket)
    assert theirs.get_object(**thing)["Body"].read() == b"theirs"


def test_nobody_is_let_in_by_what_is_public(s3: Any, nobody: Any, bucket: str) -> None:
    thing = {"Bucket": bucket, "Key": "a/key"}
    public = policy("Allow", "s3:GetObject", f"arn:aws:s3:::{bucket}/*", Principal="*")
    assert code(nobody.get_object, **thing) == "AccessDenied"
    assert code(s3.put_bucket_policy, Bucket=bucket, Policy=public) == "AccessDenied"
    assert code(s3.put_object_acl, **thing, ACL="public-read") == "AccessControlListNotSupported"
    s3.delete_public_access_block(Bucket=bucket)
    s3.put_bucket_policy(Bucket=bucket, Policy=public)
    assert s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"] is True
    assert nobody.get_object(**thing)["Body"].read() == b"content"
    assert code(nobody.list_objects_v2, Bucket=bucket) == "AccessDenied"
    s3.delete_bucket_policy(Bucket=bucket)
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]})
    s3.put_object_acl(**thing, ACL="public-read")
    assert nobody.get_object(**thing)["Body"].read() == b"content"
    grants = s3.get_object_acl(**thing)["Grants"]
    assert [grant["Permission"] for grant in grants] == ["FULL_CONTROL", "READ"]
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration={"IgnorePublicAcls": True})
    assert code(nobody.get_object, **thing) == "AccessDenied"


def test_tags_decide(s3: Any, nobody: Any, bucket: str) -> None:
    s3.delete_public_access_block(Bucket=bucket)
    condition = {"StringEquals": {"s3:ExistingObjectTag/access": "public"}}
    s3.put_bucket_policy(
        Bucket=bucket,
        Policy=policy("Allow", "s3:GetObject", f"arn:aws:s3:::{bucket}/*", Principal="*", Condition=condition),
    )
    s3.put_object(Bucket=bucket, Key="public", Body=b"x", Tagging="access=public")
    assert nobody.get_object(Bucket=bucket, Key="public")["Body"].read() == b"x"
    assert code(nobody.get_object, Bucket=bucket, Key="a/key") == "AccessDenied"
