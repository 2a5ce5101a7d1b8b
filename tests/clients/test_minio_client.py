"""The `minio` Python client: it builds, signs and reads everything by itself, without botocore."""

from __future__ import annotations

import io
import os
from datetime import UTC, datetime, timedelta

import minio
import pytest
import urllib3
from minio.commonconfig import COMPLIANCE, DISABLED, ENABLED, GOVERNANCE, ComposeSource, CopySource, Filter, Tags
from minio.datatypes import PostPolicy
from minio.deleteobjects import DeleteObject
from minio.error import S3Error
from minio.lifecycleconfig import Expiration, LifecycleConfig, Rule
from minio.objectlockconfig import DAYS, ObjectLockConfig
from minio.retention import Retention
from minio.select import CSVInputSerialization, CSVOutputSerialization, SelectRequest
from minio.sse import SseCustomerKey, SseS3
from minio.sseconfig import Rule as SSERule
from minio.sseconfig import SSEConfig
from minio.versioningconfig import SUSPENDED, VersioningConfig

from tests.clients.programs import Endpoint

MIB = 1 << 20


@pytest.fixture
def pool(endpoint: Endpoint) -> urllib3.PoolManager:
    return urllib3.PoolManager(ca_certs=endpoint.ca_file, retries=False, timeout=30)


@pytest.fixture
def client(endpoint: Endpoint, pool: urllib3.PoolManager) -> minio.Minio:
    return minio.Minio(
        endpoint=endpoint.host,
        access_key=endpoint.access_key,
        secret_key=endpoint.secret_key,
        secure=endpoint.secure,
        http_client=pool,
    )


@pytest.fixture
def place(client: minio.Minio, bucket: str) -> str:
    client.make_bucket(bucket_name=bucket)
    assert client.bucket_exists(bucket_name=bucket)
    return bucket


def put(client: minio.Minio, place: str, key: str, data: bytes, **more: object) -> str | None:
    return client.put_object(
        bucket_name=place, object_name=key, data=io.BytesIO(data), length=len(data), **more
    ).version_id


def get(client: minio.Minio, place: str, key: str, **more: object) -> bytes:
    answer = client.get_object(bucket_name=place, object_name=key, **more)
    try:
        return answer.read()
    finally:
        answer.release_conn()


def test_objects(client: minio.Minio, place: str) -> None:
    large = os.urandom(12 * MIB)
    put(client, place, "a/b ü+%", b"hello", metadata={"owner": "someone"}, content_type="text/x")
    client.put_object(bucket_name=place, object_name="large", data=io.BytesIO(large), length=-1, part_size=5 * MIB)
    found = client.stat_object(bucket_name=place, object_name="a/b ü+%")
    assert (found.size, found.content_type, found.metadata["x-amz-meta-owner"]) == (5, "text/x", "someone")
    assert get(client, place, "large") == large
    assert get(client, place, "large", offset=5 * MIB - 3, length=9) == large[5 * MIB - 3 :][:9]
    names = {each.object_name for each in client.list_objects(bucket_name=place)}
    assert names == {"a/", "large"}
    assert len(list(client.list_objects(bucket_name=place, recursive=True))) == 2
    client.copy_object(bucket_name=place, object_name="copy", source=CopySource(place, "a/b ü+%"))
    assert get(client, place, "copy") == b"hello"
    gone = [DeleteObject("copy"), DeleteObject("a/b ü+%"), DeleteObject("large")]
    assert not list(client.remove_objects(bucket_name=place, delete_object_list=gone))
    with pytest.raises(S3Error, match="NoSuchKey"):
        client.stat_object(bucket_name=place, object_name="copy")
    client.remove_bucket(bucket_name=place)


def test_objects_composed_of_others(client: minio.Minio, place: str) -> None:
    pieces = [os.urandom(5 * MIB), os.urandom(6 * MIB), b"tail"]
    for number, piece in enumerate(pieces):
        put(client, place, f"piece-{number}", piece)
    sources = [ComposeSource(place, f"piece-{number}") for number in range(3)]
    client.compose_object(bucket_name=place, object_name="whole", sources=sources)
    assert get(client, place, "whole") == b"".join(pieces)


def test_versions_and_tags(client: minio.Minio, place: str) -> None:
    assert client.get_bucket_versioning(bucket_name=place).status is None
    client.set_bucket_versioning(bucket_name=place, config=VersioningConfig(ENABLED))
    first, second = (put(client, place, "k", body) for body in (b"first", b"second"))
    client.remove_object(bucket_name=place, object_name="k")
    listed = list(client.list_objects(bucket_name=place, include_version=True))
    assert {(each.version_id, each.is_delete_marker) for each in listed} > {(first, False), (second, False)}
    assert [each.is_delete_marker for each in listed].count(True) == 1
    assert get(client, place, "k", version_id=first) == b"first"
    tags = Tags.new_object_tags()
    tags["colour"] = "grün + blue"
    client.set_object_tags(bucket_name=place, object_name="k", tags=tags, version_id=first)
    assert client.get_object_tags(bucket_name=place, object_name="k", version_id=first) == tags
    client.delete_object_tags(bucket_name=place, object_name="k", version_id=first)
    assert not client.get_object_tags(bucket_name=place, object_name="k", version_id=first)
    client.set_bucket_versioning(bucket_name=place, config=VersioningConfig(SUSPENDED))
    assert client.get_bucket_versioning(bucket_name=place).status == SUSPENDED
    bucket_tags = Tags.new_bucket_tags()
    bucket_tags["team"] = "a"
    client.set_bucket_tags(bucket_name=place, tags=bucket_tags)
    assert client.get_bucket_tags(bucket_name=place) == bucket_tags


def test_retention_and_legal_hold(client: minio.Minio, endpoint: Endpoint, bucket: str) -> None:
    client.make_bucket(bucket_name=bucket, object_lock=True)
    client.set_object_lock_config(bucket_name=bucket, config=ObjectLockConfig(GOVERNANCE, 1, DAYS))
    assert client.get_object_lock_config(bucket_name=bucket).mode == GOVERNANCE
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    if not endpoint.secure:  # then it sends no Content-MD5, which locks ask for
        with pytest.raises(S3Error, match="Content-MD5"):
            put(client, bucket, "k", b"x", retention=Retention(COMPLIANCE, until))
        return
    version = put(client, bucket, "k", b"x", retention=Retention(COMPLIANCE, until), legal_hold=True)
    where = {"bucket_name": bucket, "object_name": "k"}
    kept = client.get_object_retention(**where)
    assert kept is not None and (kept.mode, kept.retain_until_date) == (COMPLIANCE, until)
    assert client.is_object_legal_hold_enabled(**where)
    client.disable_object_legal_hold(**where)
    assert not client.is_object_legal_hold_enabled(**where)
    with pytest.raises(S3Error, match="AccessDenied"):
        client.remove_object(**where, version_id=version)
    with pytest.raises(S3Error, match="AccessDenied"):
        client.set_object_retention(**where, config=Retention(COMPLIANCE, until - timedelta(minutes=1)))
    client.set_object_retention(**where, config=Retention(COMPLIANCE, until + timedelta(minutes=1)))
    client.delete_object_lock_config(bucket_name=bucket)
    assert client.get_object_lock_config(bucket_name=bucket).mode is None


def test_settings_of_a_bucket(client: minio.Minio, place: str) -> None:
    rules = [Rule(ENABLED, rule_filter=Filter(prefix="tmp/"), rule_id="r", expiration=Expiration(days=3))]
    rules.append(Rule(DISABLED, rule_filter=Filter(prefix=""), rule_id="off", expiration=Expiration(days=9)))
    client.set_bucket_lifecycle(bucket_name=place, config=LifecycleConfig(rules))
    found = client.get_bucket_lifecycle(bucket_name=place)
    assert found is not None
    assert [(each.rule_id, each.status, each.expiration.days) for each in found.rules] == [
        ("r", ENABLED, 3),
        ("off", DISABLED, 9),
    ]
    client.delete_bucket_lifecycle(bucket_name=place)
    assert client.get_bucket_lifecycle(bucket_name=place) is None
    client.set_bucket_encryption(bucket_name=place, config=SSEConfig(SSERule.new_sse_s3_rule()))
    shown = client.get_bucket_encryption(bucket_name=place)
    assert shown is not None and shown.rule.sse_algorithm == "AES256"
    put(client, place, "k", b"x")
    head = client.stat_object(bucket_name=place, object_name="k")
    assert head.metadata["x-amz-server-side-encryption"] == "AES256"
    client.delete_bucket_encryption(bucket_name=place)


def test_encrypted_objects(client: minio.Minio, endpoint: Endpoint, place: str) -> None:
    put(client, place, "ours", b"secret", sse=SseS3())
    assert get(client, place, "ours") == b"secret"
    if endpoint.secure:
        key = SseCustomerKey(bytes(range(32)))
        put(client, place, "theirs", b"secret", sse=key)
        assert get(client, place, "theirs", ssec=key) == b"secret"
        with pytest.raises(S3Error, match="InvalidRequest"):
            get(client, place, "theirs")


def test_links_without_keys(client: minio.Minio, endpoint: Endpoint, pool: urllib3.PoolManager, place: str) -> None:
    where = {"bucket_name": place, "object_name": "shared file"}
    assert pool.request("PUT", client.presigned_put_object(**where), body=b"shared").status == 200
    asked = client.presigned_get_object(**where, response_headers={"response-content-type": "text/odd"})
    answer = pool.request("GET", asked)
    assert (answer.data, answer.headers["content-type"]) == (b"shared", "text/odd")
    policy = PostPolicy(place, datetime.now(UTC) + timedelta(hours=1))
    policy.add_starts_with_condition("key", "up/")
    policy.add_content_length_range_condition(1, 100)
    form = client.presigned_post_policy(policy=policy)
    sent = {**form, "key": "up/one", "file": ("name", b"posted")}
    assert pool.request("POST", f"{endpoint.url}/{place}", fields=sent).status == 204
    assert get(client, place, "up/one") == b"posted"


def test_what_is_not_built_says_so(client: minio.Minio, place: str) -> None:
    put(client, place, "table.csv", b"a,b\n1,2\n")
    request = SelectRequest("select * from S3Object", CSVInputSerialization(), CSVOutputSerialization())
    with pytest.raises(S3Error, match="NotImplemented"):
        client.select_object_content(bucket_name=place, object_name="table.csv", request=request)
    with pytest.raises(S3Error, match="NotImplemented"):
        client.get_bucket_notification(bucket_name=place)
    with pytest.raises(S3Error), client.listen_bucket_notification(bucket_name=place) as events:
        next(iter(events))
