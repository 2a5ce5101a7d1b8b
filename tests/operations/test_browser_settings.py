"""The configurations that browsers live by: cross-origin rules with preflights, and websites."""

from __future__ import annotations

import hashlib
from base64 import b64encode

import pytest

from s3gate.s3.credentials import Authentication
from s3gate.s3.errors import S3Error
from tests.operations.bench import Bench, Reply, code

CORS = (
    b"<CORSConfiguration><CORSRule><AllowedOrigin>http://page.test</AllowedOrigin><AllowedMethod>PUT</AllowedMethod>"
    b"<AllowedHeader>*</AllowedHeader></CORSRule></CORSConfiguration>"
)
SITE = b"<WebsiteConfiguration><IndexDocument><Suffix>index.html</Suffix></IndexDocument></WebsiteConfiguration>"


def with_digest(data: bytes) -> dict[str, str]:
    return {"content-md5": b64encode(hashlib.md5(data).digest()).decode()}


async def preflight(bench: Bench, target: str, **headers: str) -> Reply:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return await bench.ask("OPTIONS", target, b"", given, auth=Authentication.ANONYMOUS)


@pytest.mark.parametrize(
    ("kind", "document", "missing"),
    [("cors", CORS, "NoSuchCORSConfiguration"), ("website", SITE, "NoSuchWebsiteConfiguration")],
)
async def test_configurations_come_and_go(bench: Bench, kind: str, document: bytes, missing: str) -> None:
    target = f"/box?{kind}"
    assert await code(bench.ask("GET", target)) == missing
    assert (await bench.ask("PUT", target, document, with_digest(document))).status == 200
    reply = await bench.ask("GET", target)
    assert reply.status == 200 and reply.headers["content-type"] == "application/xml"
    assert (await bench.ask("PUT", target, reply.body, with_digest(reply.body))).status == 200
    assert (await bench.ask("GET", target)).body == reply.body
    for _ in range(2):
        assert (await bench.ask("DELETE", target)).status == 204
    assert await code(bench.ask("GET", target)) == missing
    assert await code(bench.ask("PUT", f"/none?{kind}", document, with_digest(document))) == "NoSuchBucket"
    assert await code(bench.ask("PUT", target, b"<x/>", with_digest(b"<x/>"))) == "MalformedXML"


async def test_rules_have_to_arrive_whole(bench: Bench) -> None:
    assert await code(bench.ask("PUT", "/box?cors", CORS)) == "InvalidRequest"
    long = CORS + b" " * 65536
    assert await code(bench.ask("PUT", "/box?cors", long, with_digest(long))) == "MaxMessageLengthExceeded"


@pytest.mark.parametrize("target", ["/box", "/box/some/key", "/box?uploads", "/box/k?X-Amz-Signature=other"])
async def test_a_preflight_is_answered_by_the_rules(bench: Bench, target: str) -> None:
    asked = {"origin": "http://page.test", "access_control_request_method": "PUT"}
    with pytest.raises(S3Error, match="CORS is not enabled") as refused:
        await preflight(bench, target, **asked)
    kind = "BUCKET" if target.partition("?")[0] == "/box" else "OBJECT"
    assert refused.value.extra == {"Method": "PUT", "ResourceType": kind}
    await bench.ask("PUT", "/box?cors", CORS, with_digest(CORS))
    reply = await preflight(bench, target, **asked, access_control_request_headers="x-amz-meta-a")
    assert (reply.status, reply.body) == (200, b"")
    assert reply.headers["access-control-allow-origin"] == "http://page.test"
    assert reply.headers["access-control-allow-headers"] == "x-amz-meta-a"
    assert await code(preflight(bench, target, **{**asked, "origin": "http://other.test"})) == "AccessForbidden"
    assert await code(preflight(bench, target, origin="http://page.test")) == "BadRequest"


async def test_a_preflight_for_nothing(bench: Bench) -> None:
    asked = {"origin": "http://page.test", "access_control_request_method": "PUT"}
    for target in ("/none/key", "/none", "/"):
        with pytest.raises(S3Error, match="Bucket not found") as refused:
            await preflight(bench, target, **asked)
        assert (refused.value.code, refused.value.extra["Method"]) == ("AccessForbidden", "PUT")
