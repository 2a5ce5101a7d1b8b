"""What boto3 presigns, used without boto3: links with sub-resources, and forms, on a whole store."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest
import urllib3

from tests.clients.programs import Endpoint
from tests.clients.test_boto3 import MIB, options, session

CORS = {
    "CORSRules": [
        {
            "AllowedMethods": ["PUT", "POST"],
            "AllowedOrigins": ["http://*.example.com"],
            "AllowedHeaders": ["*"],
            "ExposeHeaders": ["ETag"],
            "MaxAgeSeconds": 3000,
        }
    ]
}


@pytest.fixture(params=["s3v4", "s3"])
def s3(request: pytest.FixtureRequest, endpoint: Endpoint, bucket: str) -> Any:
    client = session(endpoint).client("s3", **options(endpoint, signature_version=request.param))
    client.create_bucket(Bucket=bucket)
    return client


@pytest.fixture
def pool(endpoint: Endpoint) -> urllib3.PoolManager:
    return urllib3.PoolManager(ca_certs=endpoint.ca_file, retries=False)


@pytest.mark.parametrize("size", [0, 100_000, 7 * MIB + 3])
def test_a_presigned_form(s3: Any, bucket: str, pool: urllib3.PoolManager, size: int) -> None:
    data = os.urandom(size)
    conditions = [["content-length-range", 0, 8 * MIB], {"success_action_status": "201"}, {"Content-Type": "image/x"}]
    fields = {"success_action_status": "201", "Content-Type": "image/x"}
    post = s3.generate_presigned_post(bucket, "up/${filename}", Fields=fields, Conditions=conditions)
    form = {**post["fields"], "file": ("pi c.png", data)}
    reply = pool.request("POST", post["url"], fields=form)
    assert reply.status == 201, reply.data
    answer = ElementTree.fromstring(reply.data)
    assert answer.findtext("Key") == "up/pi c.png" and answer.findtext("Bucket") == bucket
    found = s3.get_object(Bucket=bucket, Key="up/pi c.png")
    assert found["Body"].read() == data and found["ETag"] == answer.findtext("ETag")
    assert found["ContentType"] == "image/x"


def test_a_form_that_breaks_its_policy(s3: Any, bucket: str, pool: urllib3.PoolManager) -> None:
    post = s3.generate_presigned_post(bucket, "k", Conditions=[["content-length-range", 1, 10]])
    for fields, data, code in (
        ({**post["fields"], "acl": "private"}, b"x", "AccessDenied"),
        ({**post["fields"], "key": "other"}, b"x", "AccessDenied"),
        (post["fields"], b"x" * 11, "EntityTooLarge"),
        (post["fields"], b"", "EntityTooSmall"),
        ({"key": "k"}, b"x", "AccessDenied"),
    ):
        reply = pool.request("POST", post["url"], fields={**fields, "file": ("f", data)})
        assert ElementTree.fromstring(reply.data).findtext("Code") == code
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_links_with_sub_resources(s3: Any, bucket: str, pool: urllib3.PoolManager) -> None:
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration=CORS)
    assert s3.get_bucket_cors(Bucket=bucket)["CORSRules"] == CORS["CORSRules"]
    link = s3.generate_presigned_url("get_bucket_cors", Params={"Bucket": bucket})
    assert b"http://*.example.com" in pool.request("GET", link).data
    upload = s3.create_multipart_upload(Bucket=bucket, Key="big")["UploadId"]
    where = {"Bucket": bucket, "Key": "big", "UploadId": upload}
    put = s3.generate_presigned_url("upload_part", Params={**where, "PartNumber": 1})
    part = pool.request("PUT", put, body=b"part", headers={"Origin": "http://a.example.com"})
    assert part.status == 200 and part.headers["access-control-expose-headers"] == "ETag"
    listed = pool.request("GET", s3.generate_presigned_url("list_parts", Params=where))
    assert b"<PartNumber>1</PartNumber>" in listed.data
    assert pool.request("DELETE", s3.generate_presigned_url("abort_multipart_upload", Params=where)).status == 204
    delete = s3.generate_presigned_url("delete_bucket_cors", Params={"Bucket": bucket})
    assert pool.request("DELETE", delete).status == 204
    with pytest.raises(s3.exceptions.ClientError, match="NoSuchCORSConfiguration"):
        s3.get_bucket_cors(Bucket=bucket)


def test_website_configurations(s3: Any, bucket: str) -> None:
    site = {
        "IndexDocument": {"Suffix": "index.html"},
        "ErrorDocument": {"Key": "error.html"},
        "RoutingRules": [
            {"Condition": {"KeyPrefixEquals": "a/"}, "Redirect": {"ReplaceKeyPrefixWith": "b/"}},
            {"Condition": {"HttpErrorCodeReturnedEquals": "404"}, "Redirect": {"HostName": "h", "Protocol": "https"}},
        ],
    }
    s3.put_bucket_website(Bucket=bucket, WebsiteConfiguration=site)
    answer = s3.get_bucket_website(Bucket=bucket)
    assert {name: answer[name] for name in site} == site
    s3.delete_bucket_website(Bucket=bucket)
    with pytest.raises(s3.exceptions.ClientError, match="NoSuchWebsiteConfiguration"):
        s3.get_bucket_website(Bucket=bucket)
