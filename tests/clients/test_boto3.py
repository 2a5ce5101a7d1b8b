"""boto3: client, resource, transfer manager and presigned requests, over HTTP and TLS."""

from __future__ import annotations

import io
import os
import threading
import urllib.error
import urllib.request
from typing import Any

import boto3
import pytest
import urllib3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

from s3gate.s3.algorithms import Algorithm
from tests.clients.programs import Endpoint

MIB = 1 << 20
MADE_BY_BOTO3 = [each.value for each in Algorithm if each is not Algorithm.MD5]


def session(endpoint: Endpoint) -> boto3.Session:
    return boto3.Session(endpoint.access_key, endpoint.secret_key, region_name="us-east-1")


def options(endpoint: Endpoint, **config: Any) -> dict[str, Any]:
    config = Config(retries={"max_attempts": 1}, **config)
    return {"endpoint_url": endpoint.url, "verify": endpoint.ca_file or True, "config": config}


@pytest.fixture
def s3(endpoint: Endpoint, bucket: str) -> Any:
    client = session(endpoint).client("s3", **options(endpoint))
    client.create_bucket(Bucket=bucket)
    return client


def code_of(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, int]:
    answer = error.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]


@pytest.mark.parametrize("size", [0, 1, 4096, 65536, 65537, 393216, 5 * MIB, 16 * MIB + 7])
def test_an_object_comes_back_as_it_was_sent(s3: Any, bucket: str, size: int) -> None:
    body = os.urandom(size)
    metadata = {"owner": "someone", "note": "two words"}
    key = f"size {size}/ünï+%"
    put = s3.put_object(Bucket=bucket, Key=key, Body=body, Metadata=metadata, ContentType="text/x-test")
    answer = s3.get_object(Bucket=bucket, Key=key)
    assert answer["Body"].read() == body
    assert answer["ETag"] == put["ETag"]
    assert answer["Metadata"] == metadata and answer["ContentType"] == "text/x-test"
    assert s3.head_object(Bucket=bucket, Key=key)["ContentLength"] == size
    if size > 10:
        middle = s3.get_object(Bucket=bucket, Key=key, Range=f"bytes=3-{size - 5}")
        assert middle["Body"].read() == body[3:-4]
        assert middle["ContentRange"] == f"bytes 3-{size - 5}/{size}"


@pytest.mark.parametrize("algorithm", MADE_BY_BOTO3)
@pytest.mark.parametrize("size", [10, 3 * MIB])
def test_each_checksum_is_stored_and_returned(s3: Any, bucket: str, algorithm: str, size: int) -> None:
    body = os.urandom(size)
    put = s3.put_object(Bucket=bucket, Key="k", Body=body, ChecksumAlgorithm=algorithm)
    answer = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert answer["Body"].read() == body
    assert answer[f"Checksum{algorithm}"] == put[f"Checksum{algorithm}"]


def test_a_stream_of_unknown_length_and_a_transfer_with_threads(s3: Any, bucket: str) -> None:
    body = os.urandom(21 * MIB + 11)
    config = TransferConfig(multipart_threshold=8 * MIB, multipart_chunksize=8 * MIB, max_concurrency=4)
    s3.upload_fileobj(io.BytesIO(body), bucket, "stream", Config=config)
    down = io.BytesIO()
    s3.download_fileobj(bucket, "stream", down, Config=config)
    assert down.getvalue() == body
    assert s3.head_object(Bucket=bucket, Key="stream")["ETag"].endswith('-3"')
    part = s3.get_object(Bucket=bucket, Key="stream", PartNumber=2)
    assert part["PartsCount"] == 3 and part["Body"].read() == body[8 * MIB : 16 * MIB]


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_presigned_requests(endpoint: Endpoint, s3: Any, bucket: str, version: str) -> None:
    client = session(endpoint).client("s3", **options(endpoint, signature_version=version))
    where = {"Bucket": bucket, "Key": "a key/with+odd name"}
    # urllib3, for urllib adds a content type of its own, and version 2 signs it.
    pool = urllib3.PoolManager(ca_certs=endpoint.ca_file)
    put = client.generate_presigned_url("put_object", Params=where)
    assert pool.request("PUT", put, body=b"by link").status == 200
    link = client.generate_presigned_url(
        "get_object", Params={**where, "ResponseContentDisposition": 'attachment; filename="x"'}
    )
    with urllib.request.urlopen(link, context=endpoint.tls_context()) as answer:
        assert answer.read() == b"by link"
        assert answer.headers["Content-Disposition"] == 'attachment; filename="x"'
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(link.replace("odd", "other"), context=endpoint.tls_context())


def test_the_resource_layer(endpoint: Endpoint, bucket: str) -> None:
    s3 = session(endpoint).resource("s3", **options(endpoint))
    made = s3.create_bucket(Bucket=bucket)
    for index in range(30):
        made.put_object(Key=f"folder/{index:02}", Body=b"x" * index)
    assert sum(item.size for item in made.objects.filter(Prefix="folder/")) == sum(range(30))
    s3.Object(bucket, "copy").copy({"Bucket": bucket, "Key": "folder/07"})
    assert s3.Object(bucket, "copy").get()["Body"].read() == b"x" * 7
    assert made in list(s3.buckets.all())
    made.objects.all().delete()
    assert list(made.objects.all()) == []
    made.delete()


def test_conditional_writes_let_one_writer_through(s3: Any, bucket: str) -> None:
    outcomes: list[str] = []

    def write(index: int) -> None:
        try:
            s3.put_object(Bucket=bucket, Key="lock", Body=f"{index}".encode(), IfNoneMatch="*")
            outcomes.append(f"won {index}")
        except ClientError as error:
            outcomes.append(error.response["Error"]["Code"])

    threads = [threading.Thread(target=write, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [outcome for outcome in outcomes if outcome.startswith("won")]
    assert len(winners) == 1 and set(outcomes) - set(winners) <= {"PreconditionFailed"}
    answer = s3.get_object(Bucket=bucket, Key="lock")
    assert f"won {answer['Body'].read().decode()}" == winners[0]
    s3.put_object(Bucket=bucket, Key="lock", Body=b"next", IfMatch=answer["ETag"])
    with pytest.raises(ClientError) as stale:
        s3.put_object(Bucket=bucket, Key="lock", Body=b"late", IfMatch=answer["ETag"])
    assert code_of(stale) == ("PreconditionFailed", 412)
    with pytest.raises(ClientError) as absent:
        s3.put_object(Bucket=bucket, Key="absent", Body=b"x", IfMatch=answer["ETag"])
    assert code_of(absent) == ("NoSuchKey", 404)


def test_what_is_not_built_says_so_by_name(s3: Any, bucket: str) -> None:
    with pytest.raises(ClientError) as refused:
        s3.get_bucket_replication(Bucket=bucket)
    assert code_of(refused) == ("NotImplemented", 501)
    assert "GetBucketReplication" in refused.value.response["Error"]["Message"]
    with pytest.raises(ClientError) as header:
        s3.put_object(Bucket=bucket, Key="k", Body=b"", WriteOffsetBytes=0)
    assert code_of(header) == ("NotImplemented", 501)


def test_many_deletes_in_one_request(s3: Any, bucket: str) -> None:
    keys = [{"Key": f"k{index}"} for index in range(300)]
    for key in keys[:50]:
        s3.put_object(Bucket=bucket, Body=b"", **key)
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": keys})
    assert {row["Key"] for row in answer["Deleted"]} == {key["Key"] for key in keys}
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
