"""The door with operations that only remember: boto3 and raw bytes on real sockets, http and https."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import boto3
import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.client import BaseClient
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from s3gate.operations.exchange import Call, Response
from s3gate.s3.errors import S3Error
from s3gate.settings import Settings
from s3gate.store.budget import Budget
from s3gate.store.errors import NodeFailed
from s3gate.web.access_log import AccessLog
from s3gate.web.brakes import Brakes
from s3gate.web.door import Door
from s3gate.web.meters import Meters
from tests.operations.fake_identities import FakeIdentities, root_with

ACCESS_KEY, SECRET_KEY = "AKIDTEST", "secret"


class Shelf:
    """Operations over a dictionary, and a few that misbehave."""

    def __init__(self) -> None:
        self.objects: dict[bytes, bytes] = {}
        self.calls: list[Call] = []
        self.budget = Budget(64 << 20)

    def functions(self) -> dict[str, Callable[[Call], Any]]:
        named = (self.put_object, self.get_object, self.head_object, self.delete_object, self.list_buckets)
        return {"".join(word.title() for word in one.__name__.split("_")): one for one in named}

    async def put_object(self, call: Call) -> Response:
        self.calls.append(call)
        if call.request.key.startswith(b"refused"):
            raise S3Error.of("NoSuchBucket", BucketName=call.request.bucket)
        data = b""
        async for block in call.body.blocks(3 << 20, self.budget):
            data += block.data
            block.release()
        self.objects[call.request.key] = data
        return Response(headers=[(b"etag", b'"%b"' % call.body.digests().md5.hex().encode())])

    async def get_object(self, call: Call) -> Response:
        self.calls.append(call)
        key = call.request.key
        if key == b"fault":
            raise ValueError("the secret is 42")
        if key == b"cached":
            raise S3Error.of("NotModified").with_headers(etag='"e"')
        if key not in self.objects:
            raise S3Error.of("NoSuchKey", Key=key.decode())
        data = self.objects[key]
        headers = [(b"content-length", b"%d" % len(data)), (b"etag", b'"e"')]
        return Response(headers=headers, body=self.pieces(data, key if key.startswith(b"breaks") else b""))

    async def pieces(self, data: bytes, breaks: bytes) -> AsyncIterator[bytes | memoryview]:
        view = memoryview(data)
        for at in range(0, len(data), 1 << 18):
            if breaks and at:
                raise NodeFailed("a node is gone") if breaks == b"breaks" else ValueError("a fault of ours")
            yield view[at : at + (1 << 18)]

    async def head_object(self, call: Call) -> Response:
        found = await self.get_object(call)
        return Response(headers=found.headers)

    async def delete_object(self, call: Call) -> Response:
        self.objects.pop(call.request.key, None)
        return Response(status=204)

    async def list_buckets(self, call: Call) -> Response:
        await call.body.read(1000)
        return Response(body=b"<ListAllMyBucketsResult/>", headers=[(b"content-type", b"application/xml")])


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def meters() -> Meters:
    return Meters()


@pytest.fixture
def access_log() -> AccessLog:
    return AccessLog("-")


@pytest.fixture
def door(shelf: Shelf, meters: Meters, access_log: AccessLog) -> Door:
    settings = Settings(base_domains=("s3.test",))
    identities = FakeIdentities(datetime.now(UTC))
    identities.known[ACCESS_KEY] = root_with(ACCESS_KEY, SECRET_KEY)
    gate = SimpleNamespace(settings=settings, identities=identities)
    return Door(gate, shelf.functions(), None, meters, Brakes(0, 0), access_log)


def client(listener: Any, certificate: Any = None, **config: Any) -> BaseClient:
    scheme = "http" if listener.tls is None else "https"
    return boto3.client(
        "s3",
        endpoint_url=f"{scheme}://localhost:{listener.port}",
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=config.pop("secret", SECRET_KEY),
        region_name="us-east-1",
        verify=False if certificate is None else str(certificate.cert),
        config=Config(
            s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, max_pool_connections=1, **config
        ),
    )


def signed(method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
    """A whole request, signed for Host localhost."""
    request = AWSRequest(method=method, url=f"http://localhost{path}", data=body, headers=headers)
    request.context["payload_signing_enabled"] = True
    S3SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY), "s3", "us-east-1").add_auth(request)
    lines = [f"{method} {path} HTTP/1.1", "host: localhost"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    if body or method == "PUT":
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def parsed(document: bytes) -> dict[str, str]:
    root = ElementTree.fromstring(document)
    assert root.tag == "Error"
    return {child.tag: child.text or "" for child in root}


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("size", [0, 1, 4096, 5 << 20])
async def test_boto3_puts_and_gets(
    listen: Any, door: Door, shelf: Shelf, certificate: Any, tls: bool, size: int
) -> None:
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    async with listen(door, tls=tls) as listener:
        s3 = client(listener, certificate)
        put = await asyncio.to_thread(s3.put_object, Bucket="bucket", Key="a/ö +%2F", Body=data)
        assert shelf.objects == {"a/ö +%2F".encode(): data}
        got = await asyncio.to_thread(lambda: s3.get_object(Bucket="bucket", Key="a/ö +%2F")["Body"].read())
        assert got == data
        head = await asyncio.to_thread(s3.head_object, Bucket="bucket", Key="a/ö +%2F")
        assert head["ContentLength"] == size
        await asyncio.to_thread(s3.delete_object, Bucket="bucket", Key="a/ö +%2F")
    modes = {call.auth.payload.streaming for call in shelf.calls if call.operation.name == "PutObject"}
    assert modes == {tls}
    assert put["ResponseMetadata"]["RequestId"] == shelf.calls[0].request_id


@pytest.mark.parametrize("tls", [False, True])
async def test_refused_uploads_leave_the_client_usable(listen: Any, door: Door, certificate: Any, tls: bool) -> None:
    """boto3 sends Expect: 100-continue; an unread body must not be read as the next request (20 of 20 failed)."""
    async with listen(door, tls=tls) as listener:
        s3 = client(listener, certificate)
        for number in range(20):
            with pytest.raises(ClientError) as caught:
                await asyncio.to_thread(s3.put_object, Bucket="bucket", Key="refused", Body=b"x" * 100_000)
            assert caught.value.response["Error"]["Code"] == "NoSuchBucket"
            await asyncio.to_thread(s3.put_object, Bucket="bucket", Key=f"k{number}", Body=b"y")


async def test_wrong_secret_gets_its_answer_before_the_body(listen: Any, door: Door, shelf: Shelf) -> None:
    async with listen(door) as listener:
        s3 = client(listener, secret="wrong")
        with pytest.raises(ClientError) as caught:
            await asyncio.to_thread(s3.put_object, Bucket="bucket", Key="k", Body=b"x" * 5_000_000)
    assert caught.value.response["Error"]["Code"] == "SignatureDoesNotMatch"
    assert not shelf.calls


async def test_authentication_comes_before_continue(listen: Any, door: Door) -> None:
    async with listen(door) as listener:
        wire = await listener.connect()
        signed_for_another = signed("PUT", "/bucket/other", b"hello", expect="100-continue")[:-5]
        await wire.say(signed_for_another.replace(b"/bucket/other", b"/bucket/k"))
        reply = await wire.reply()
        assert (reply.status, reply.headers["connection"]) == (403, "close")
        wire = await listener.connect()
        request = signed("PUT", "/bucket/k", b"hello", expect="100-continue")
        await wire.say(request[:-5])
        assert (await wire.head())[0] == 100
        await wire.say(b"hello")
        assert (await wire.reply()).status == 200


async def test_who_expects_100_gets_it_or_the_connection_ends(listen: Any, door: Door) -> None:
    """Botocore keeps a final answer that came in place of a 100, and takes it for that of the next request."""
    async with listen(door) as listener:
        wire = await listener.connect()
        await wire.say(signed("PUT", "/bucket/empty", b"", expect="100-continue"))
        assert (await wire.head())[0] == 100
        assert (await wire.reply()).status == 200
        await wire.say(signed("GET", "/", b"", expect="100-continue").replace(b"GET / ", b"GET /% "))
        reply = await wire.reply()
        assert (reply.status, reply.headers["connection"]) == (400, "close")


async def test_error_document(listen: Any, door: Door) -> None:
    async with listen(door) as listener:
        wire = await listener.connect()
        reply = await wire.ask(signed("GET", "/bucket/miss%C3%A4ng"))
        error = parsed(reply.body)
        assert (reply.status, error["Code"], error["Key"]) == (404, "NoSuchKey", "missäng")
        assert reply.headers["content-type"] == "application/xml"
        assert error["RequestId"] == reply.headers["x-amz-request-id"]
        assert error["HostId"] == reply.headers["x-amz-id-2"]
        assert error["Resource"] == "/bucket/miss%C3%A4ng"
        assert reply.headers["x-amz-bucket-region"] == "us-east-1"
        await wire.say(signed("HEAD", "/bucket/missing"))
        reply = await wire.reply(head_only=True)
        assert reply.status == 404
        assert (await wire.ask(signed("GET", "/"))).body == b"<ListAllMyBucketsResult/>"


@pytest.mark.parametrize(
    ("request_line", "status", "code"),
    [
        ("GET /%FF HTTP/1.1", 400, "InvalidURI"),
        ("GET /b?x=%zz HTTP/1.1", 400, "InvalidURI"),
        ("GET /b?replication HTTP/1.1", 501, "NotImplemented"),
        ("DELETE /b?nonsense HTTP/1.1", 501, "NotImplemented"),
        ("PROPFIND /b/k HTTP/1.1", 405, "MethodNotAllowed"),
    ],
)
async def test_anonymous_requests(listen: Any, door: Door, request_line: str, status: int, code: str) -> None:
    async with listen(door) as listener:
        wire = await listener.connect()
        reply = await wire.ask(f"{request_line}\r\nhost: localhost\r\n\r\n".encode())
        assert (reply.status, parsed(reply.body)["Code"]) == (status, code)
        assert reply.headers["x-amz-request-id"]


async def test_unbuilt_operation_is_named(listen: Any, door: Door) -> None:
    async with listen(door) as listener:
        wire = await listener.connect()
        reply = await wire.ask(signed("GET", "/bucket?replication"))
        assert (reply.status, "GetBucketReplication" in parsed(reply.body)["Message"]) == (501, True)


async def test_no_content_and_not_modified(listen: Any, door: Door) -> None:
    async with listen(door) as listener:
        wire = await listener.connect()
        reply = await wire.ask(signed("DELETE", "/bucket/k"))
        assert (reply.status, "content-length" in reply.headers, "content-type" in reply.headers) == (204, False, False)
        reply = await wire.ask(signed("GET", "/bucket/cached"))
        assert (reply.status, reply.headers["etag"], "content-type" in reply.headers) == (304, '"e"', False)
        assert (await wire.ask(signed("GET", "/"))).status == 200


async def test_faults_of_ours_leak_nothing(listen: Any, door: Door, caplog: pytest.LogCaptureFixture) -> None:
    async with listen(door) as listener:
        wire = await listener.connect()
        reply = await wire.ask(signed("GET", "/bucket/fault"))
        assert (reply.status, parsed(reply.body)["Code"]) == (500, "InternalError")
        assert b"the secret" not in reply.body
        assert reply.headers["x-amz-request-id"] in caplog.text and "the secret is 42" in caplog.text


@pytest.mark.parametrize(("key", "is_ours"), [("breaks", False), ("breaks-by-us", True)])
async def test_a_body_that_breaks_off_breaks_the_connection(
    listen: Any, door: Door, shelf: Shelf, caplog: pytest.LogCaptureFixture, key: str, is_ours: bool
) -> None:
    """That a node is gone is one line in the log; a traceback is for faults of ours."""
    shelf.objects[key.encode()] = bytes(1 << 20)
    async with listen(door) as listener:
        wire = await listener.connect()
        await wire.say(signed("GET", f"/bucket/{key}"))
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await wire.reply()
    [record] = caplog.records
    assert "broke off" in record.getMessage() and bool(record.exc_info) == is_ours


async def test_a_client_that_leaves_ends_the_download(listen: Any, door: Door, shelf: Shelf, meters: Meters) -> None:
    shelf.objects[b"k"] = bytes(32 << 20)
    async with listen(door) as listener:
        wire = await listener.connect()
        await wire.say(signed("GET", "/bucket/k"))
        await wire.head()
        wire.writer.transport.abort()
        for _ in range(100):
            await asyncio.sleep(0.02)
            if not meters.inflight:
                break
        assert meters.inflight == 0


async def test_virtual_host_style(listen: Any, door: Door, shelf: Shelf) -> None:
    async with listen(door) as listener:
        wire = await listener.connect()
        request = AWSRequest(method="PUT", url="http://bucket.s3.test/k", data=b"v", headers={})
        request.context["payload_signing_enabled"] = True
        S3SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY), "s3", "US").add_auth(request)
        lines = ["PUT /k HTTP/1.1", "host: bucket.s3.test", "content-length: 1"]
        lines += [f"{name}: {value}" for name, value in request.headers.items()]
        assert (await wire.ask("\r\n".join([*lines, "", "v"]).encode())).status == 200
    assert (shelf.calls[0].request.bucket, shelf.objects) == ("bucket", {b"k": b"v"})


async def test_counters_and_log(listen: Any, door: Door, meters: Meters, access_log: AccessLog) -> None:
    async with listen(door) as listener:
        wire = await listener.connect()
        await wire.ask(signed("PUT", "/bucket/k?x-id=PutObject", b"hello", **{"user-agent": "test/1"}))
        await wire.ask(signed("GET", "/bucket/missing"))
        await wire.ask(b"GET /b/k?X-Amz-Signature=s3cr3t HTTP/1.1\r\nhost: h\r\n\r\n")
        await wire.say(signed("HEAD", "/bucket/missing"))
        await wire.reply(head_only=True)
    put = meters.operations["PutObject"]
    assert (put.by_class[2], put.bytes_in, meters.operations["GetObject"].by_class[4]) == (1, 5, 1)
    assert meters.inflight == 0
    entries = access_log._entries
    assert [(e.operation, e.status, e.error) for e in entries] == [
        ("PutObject", 200, ""),
        ("GetObject", 404, "NoSuchKey"),
        ("none", 400, "AuthorizationQueryParametersError"),
        ("HeadObject", 404, "NoSuchKey"),
    ]
    assert (entries[3].bytes_out, meters.operations["HeadObject"].bytes_out) == (0, 0) and entries[1].bytes_out > 0
    assert (entries[0].access_key, entries[0].path, entries[0].bytes_in) == (ACCESS_KEY, b"/bucket/k", 5)
    assert entries[0].user_agent == b"test/1"
    assert "s3cr3t" not in repr(entries)
