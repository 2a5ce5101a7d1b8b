"""boto3's resource layer: objects that load themselves, collections that page, waiters."""

from __future__ import annotations

import io
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.clients.programs import Endpoint


@pytest.fixture
def s3(endpoint: Endpoint) -> Any:
    session = boto3.Session(endpoint.access_key, endpoint.secret_key, region_name="us-east-1")
    config = Config(retries={"max_attempts": 1})
    return session.resource("s3", endpoint_url=endpoint.url, verify=endpoint.ca_file or True, config=config)


@pytest.fixture
def place(s3: Any, bucket: str) -> Any:
    made = s3.create_bucket(Bucket=bucket)
    made.wait_until_exists()
    assert bucket in {each.name for each in s3.buckets.all()}
    return made


def test_objects_and_their_collections(s3: Any, place: Any) -> None:
    one = place.put_object(Key="a/one", Body=b"1", Metadata={"m": "v"})
    one.wait_until_exists()
    for number in range(5):
        place.Object(f"b/{number}").put(Body=b"%d" % number)
    assert [each.key for each in place.objects.page_size(2)] == ["a/one", *(f"b/{n}" for n in range(5))]
    summary = next(iter(place.objects.filter(Prefix="b/").limit(1)))
    assert (summary.key, summary.size, summary.storage_class) == ("b/0", 1, "STANDARD")
    assert summary.get()["Body"].read() == b"0" and summary.e_tag == summary.Object().e_tag
    assert (one.content_length, one.metadata) == (1, {"m": "v"})
    copy = place.Object("copy")
    copy.copy_from(CopySource={"Bucket": place.name, "Key": "a/one"}, MetadataDirective="REPLACE", Metadata={"m": "w"})
    assert copy.metadata == {"m": "w"}
    place.upload_fileobj(io.BytesIO(bytes(9 << 20)), "large")
    assert place.Object("large").content_length == 9 << 20
    assert len(place.objects.delete()[0]["Deleted"]) == 8
    copy.wait_until_not_exists()
    place.delete()
    place.wait_until_not_exists()


def test_versions(s3: Any, place: Any) -> None:
    versioning = place.Versioning()
    assert versioning.status is None
    versioning.enable()
    versioning.reload()
    assert versioning.status == "Enabled"
    thing = place.Object("k")
    first, second = (thing.put(Body=body)["VersionId"] for body in (b"first", b"second"))
    thing.delete()
    listed = list(place.object_versions.filter(Prefix="k"))
    assert [each.id for each in listed if each.size is not None] == [second, first]
    assert sum(each.size is None for each in listed) == 1, "the delete marker"
    old = s3.ObjectVersion(place.name, "k", first)
    assert old.get()["Body"].read() == b"first" and old.head()["ContentLength"] == 5
    thing.copy_from(CopySource={"Bucket": place.name, "Key": "k", "VersionId": first})
    assert thing.get()["Body"].read() == b"first"
    assert thing.version_id not in (first, second)
    versioning.suspend()
    versioning.reload()
    assert versioning.status == "Suspended"
    place.object_versions.delete()
    assert not list(place.object_versions.all())
    place.delete()


def test_parts_of_an_upload(s3: Any, place: Any) -> None:
    place.put_object(Key="source", Body=bytes(6 << 20))
    upload = place.Object("k").initiate_multipart_upload()
    copied = upload.Part(1).copy_from(CopySource=f"{place.name}/source", CopySourceRange=f"bytes=0-{(5 << 20) - 1}")
    sent = upload.Part(2).upload(Body=b"the end")
    assert [each.object_key for each in place.multipart_uploads.all()] == ["k"]
    assert [(each.part_number, each.size) for each in upload.parts.all()] == [(1, 5 << 20), (2, 7)]
    etags = (copied["CopyPartResult"]["ETag"], sent["ETag"])
    parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
    done = upload.complete(MultipartUpload={"Parts": parts})
    assert done.content_length == (5 << 20) + 7
    place.Object("other").initiate_multipart_upload().abort()
    assert not list(place.multipart_uploads.all())


def test_settings_of_a_bucket(place: Any) -> None:
    tags = [{"Key": "team", "Value": "ünï"}]
    place.Tagging().put(Tagging={"TagSet": tags})
    assert place.Tagging().tag_set == tags
    place.Tagging().delete()
    rule = {"ID": "r", "Filter": {"Prefix": "tmp/"}, "Status": "Enabled", "Expiration": {"Days": 3}}
    place.LifecycleConfiguration().put(LifecycleConfiguration={"Rules": [rule]})
    assert place.LifecycleConfiguration().rules == [rule]
    place.LifecycleConfiguration().delete()
    allowed = {"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}
    place.Cors().put(CORSConfiguration={"CORSRules": [allowed]})
    assert place.Cors().cors_rules == [allowed]
    place.Cors().delete()
    place.Website().put(WebsiteConfiguration={"IndexDocument": {"Suffix": "home.html"}})
    assert place.Website().index_document == {"Suffix": "home.html"}
    place.Website().delete()
    assert place.RequestPayment().payer == "BucketOwner"
    place.RequestPayment().put(RequestPaymentConfiguration={"Payer": "Requester"})
    assert place.RequestPayment().payer == "Requester"
    for gone in (place.Tagging(), place.LifecycleConfiguration(), place.Cors(), place.Website()):
        with pytest.raises(ClientError, match="NoSuch"):
            gone.load()
