"""What browsers meet at the door: cross-origin headers on answers, forms over the wire, and websites."""

from __future__ import annotations

import asyncio
import hmac
import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from s3gate.s3.xml_cors import canonical as canonical_cors
from s3gate.s3.xml_website import canonical as canonical_site
from s3gate.settings import Settings
from s3gate.web.brakes import Brakes
from s3gate.web.dispatch import dispatch_table
from s3gate.web.door import Door
from s3gate.web.meters import Meters
from s3gate.web.website import WebsiteDoor, by_host
from tests.operations.bench import Bench
from tests.operations.fake_identities import root_with
from tests.operations.fake_store import ROW_BYTES
from tests.operations.test_forms import encode
from tests.web.test_door import ACCESS_KEY, SECRET_KEY, parsed, signed

OFF = Brakes(0, 0)
DOMAIN = "s3-website.test"
CORS = canonical_cors(
    b"<CORSConfiguration><CORSRule><AllowedOrigin>http://page.test</AllowedOrigin><AllowedMethod>GET</AllowedMethod>"
    b"<AllowedMethod>DELETE</AllowedMethod><ExposeHeader>ETag</ExposeHeader></CORSRule></CORSConfiguration>"
)
ORIGIN = {"Origin": "http://page.test"}


def rule(condition: str, redirect: str) -> str:
    return f"<RoutingRule><Condition>{condition}</Condition><Redirect>{redirect}</Redirect></RoutingRule>"


SITE = canonical_site(
    b"<WebsiteConfiguration><IndexDocument><Suffix>index.html</Suffix></IndexDocument>"
    b"<ErrorDocument><Key>error.html</Key></ErrorDocument><RoutingRules>"
    + rule("<KeyPrefixEquals>old/</KeyPrefixEquals>", "<ReplaceKeyPrefixWith>new/</ReplaceKeyPrefixWith>").encode()
    + rule(
        "<KeyPrefixEquals>gone/</KeyPrefixEquals><HttpErrorCodeReturnedEquals>404</HttpErrorCodeReturnedEquals>",
        "<HostName>elsewhere.test</HostName><HttpRedirectCode>302</HttpRedirectCode>",
    ).encode()
    + b"</RoutingRules></WebsiteConfiguration>"
)


@pytest.fixture
async def public(bench: Bench) -> None:
    """Everything may be read without a signature but what is private, and what is not there is said to be so."""
    listing = {"Effect": "Allow", "Principal": "*", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::box"}
    reading = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": "arn:aws:s3:::box/*",
    }
    private = {**reading, "Effect": "Deny", "Resource": "arn:aws:s3:::box/private/*"}
    await bench.catalog.delete_setting("box", "public-access-block")
    policy = {"Version": "2012-10-17", "Statement": [listing, reading, private]}
    await bench.catalog.put_setting("box", "policy", json.dumps(policy).encode())


@pytest.fixture
async def bench() -> Bench:
    made = Bench()
    made.identities.known[ACCESS_KEY] = root_with(ACCESS_KEY, SECRET_KEY)
    made.gate.settings = Settings(website_domains=(DOMAIN,), base_domains=("test",))
    for name in ("box", "empty"):
        await made.ask("PUT", f"/{name}")
    await made.catalog.put_setting("box", "cors", CORS)
    await made.catalog.put_setting("box", "website", SITE)
    for key in ("index.html", "photos/index.html", "error.html", "page.html", "private/page.html"):
        await made.put(f"/box/{key}", key.encode(), {"content-type": "text/html"})
    return made


@pytest.fixture
def app(bench: Bench) -> Any:
    meters = Meters()
    door = Door(bench.gate, dispatch_table(), None, meters, OFF)
    return by_host((DOMAIN,), WebsiteDoor(bench.gate, dispatch_table(), None, meters, OFF), door)


async def ask(listen: Any, app: Any, request: bytes, head_only: bool = False) -> Any:
    async with listen(app) as listener:
        wire = await listener.connect()
        await wire.say(request)
        return await wire.reply(head_only=head_only)


async def visit(listen: Any, app: Any, path: str, method: str = "GET", host: str = "box", **headers: str) -> Any:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    request = f"{method} {path} HTTP/1.1\r\nhost: {host}.{DOMAIN}:8080\r\n{lines}\r\n".encode()
    return await ask(listen, app, request, head_only=method == "HEAD")


# --- cross-origin


async def test_answers_and_refusals_carry_what_the_page_needs(listen: Any, app: Any) -> None:
    for path, status in (("/box/page.html", 200), ("/box/missing", 404), ("/box?cors&website", 400)):
        reply = await ask(listen, app, signed("GET", path, **ORIGIN))
        assert reply.status == status
        assert reply.headers["access-control-allow-origin"] == "http://page.test"
        assert reply.headers["access-control-allow-methods"] == "GET, DELETE"
        assert reply.headers["access-control-expose-headers"] == "ETag"
        assert reply.headers["vary"].startswith("Origin")
    refused = await ask(listen, app, b"GET /box/page.html HTTP/1.1\r\nhost: h\r\norigin: http://page.test\r\n\r\n")
    assert refused.status == 403 and "access-control-allow-origin" in refused.headers


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/box/page.html", {}),
        ("GET", "/box/page.html", {"Origin": "http://other.test"}),
        ("PUT", "/box/new", ORIGIN),
        ("GET", "/empty", ORIGIN),
        ("GET", "/absent", ORIGIN),
        ("GET", "/", ORIGIN),
        ("GET", "/UPPER", ORIGIN),
    ],
)
async def test_others_get_none_of_it(listen: Any, app: Any, method: str, path: str, headers: dict[str, str]) -> None:
    reply = await ask(listen, app, signed(method, path, **headers))
    assert not [name for name in reply.headers if name.startswith("access-control")]


async def test_the_page_is_told_even_when_the_bucket_is_gone_then(listen: Any, app: Any, bench: Bench) -> None:
    await bench.catalog.put_setting("empty", "cors", CORS)
    reply = await ask(listen, app, signed("DELETE", "/empty", **ORIGIN))
    assert reply.status == 204 and reply.headers["access-control-allow-origin"] == "http://page.test"


async def test_a_plain_request_looks_nothing_up(listen: Any, app: Any, bench: Bench) -> None:
    bench.catalog.calls.clear()
    assert (await ask(listen, app, signed("GET", "/box/page.html"))).status == 200
    assert bench.catalog.calls == ["find_object"]


async def test_a_request_from_a_page_looks_nothing_up_either(listen: Any, app: Any, bench: Bench) -> None:
    for method, path, looks in (("GET", "/box/page.html", ["find_object"]), ("PUT", "/box/page.html", ["put_object"])):
        bench.catalog.calls.clear()
        reply = await ask(listen, app, signed(method, path, **ORIGIN))
        assert reply.status == 200
        assert ("access-control-allow-origin" in reply.headers) == (method == "GET")
        assert [name for name in bench.catalog.calls if name != "find_bucket"] == looks
        assert bench.catalog.calls.count("find_bucket") == (method == "PUT")  # the one that a PUT needs to be let in


@pytest.mark.parametrize("target", [b"/box/key", b"/box/key?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=0"])
async def test_a_preflight_needs_no_signature(listen: Any, app: Any, target: bytes) -> None:
    head = b"HTTP/1.1\r\nhost: h\r\norigin: http://page.test\r\naccess-control-request-method: DELETE\r\n\r\n"
    reply = await ask(listen, app, b"OPTIONS " + target + b" " + head)
    assert (reply.status, reply.headers["access-control-allow-origin"]) == (200, "http://page.test")
    virtual = head.replace(b"host: h", b"host: box.test:9000")
    assert (await ask(listen, app, b"OPTIONS /key " + virtual)).status == 200
    refused = await ask(listen, app, b"OPTIONS /box/key HTTP/1.1\r\nhost: h\r\n\r\n")
    assert (refused.status, parsed(refused.body)["Code"]) == (400, "BadRequest")
    assert refused.headers["x-amz-request-id"]


async def test_a_form_over_the_wire(listen: Any, app: Any, bench: Bench) -> None:
    fields = post_fields({"key": "from/${filename}"}, ["starts-with", "$key", "from/"])
    body = encode(fields, b"hello")
    head = "content-type: multipart/form-data; boundary=----form\r\norigin: http://page.test\r\n"
    for host, path, where in (("box.test", "/", "http://box.test/from"), ("h", "/box", "http://h/box/from")):
        request = f"POST {path} HTTP/1.1\r\nhost: {host}\r\n{head}content-length: {len(body)}\r\n\r\n".encode()
        reply = await ask(listen, app, request + body)
        assert (reply.status, reply.headers["location"]) == (204, f"{where}%2Ffile.txt")
    assert (await bench.ask("GET", "/box/from/file.txt")).body == b"hello"
    signed_post = signed("POST", "/box", body, **{"Content-Type": "multipart/form-data; boundary=----form"})
    assert (await ask(listen, app, signed_post)).status == 400
    nobody = request.replace(str(len(body)).encode(), b"%d" % len(encode({"key": "a"}, b"")))
    assert (await ask(listen, app, nobody + encode({"key": "a"}, b""))).status == 403


def post_fields(fields: dict[str, str], *conditions: Any) -> dict[str, str]:
    """Signed by the door's own key and clock."""
    later = datetime.now(UTC) + timedelta(minutes=5)
    document = {"expiration": f"{later:%Y-%m-%dT%H:%M:%SZ}", "conditions": [{"bucket": "box"}, *conditions]}
    policy = b64encode(json.dumps(document).encode()).decode()
    signature = b64encode(hmac.digest(SECRET_KEY.encode(), policy.encode(), "sha1")).decode()
    return {**fields, "AWSAccessKeyId": ACCESS_KEY, "policy": policy, "signature": signature}


# --- websites


@pytest.mark.usefixtures("public")
async def test_pages_and_folders(listen: Any, app: Any) -> None:
    for path, body in (("/", "index.html"), ("/photos/", "photos/index.html"), ("/page.html?x=1", "page.html")):
        reply = await visit(listen, app, path)
        assert (reply.status, reply.body.decode(), reply.headers["content-type"]) == (200, body, "text/html")
    reply = await visit(listen, app, "/photos")
    assert (reply.status, reply.headers["location"], reply.body) == (302, "/photos/", b"")
    head = await visit(listen, app, "/page.html", "HEAD")
    assert (head.status, head.headers["content-length"]) == (200, "9")
    part = await visit(listen, app, "/page.html", range="bytes=0-3")
    assert (part.status, part.body) == (206, b"page")
    unchanged = await visit(listen, app, "/page.html", if_none_match=head.headers["etag"])
    assert (unchanged.status, unchanged.body) == (304, b"")


@pytest.mark.usefixtures("public")
async def test_errors_have_a_page(listen: Any, app: Any, bench: Bench) -> None:
    reply = await visit(listen, app, "/missing.html", range="bytes=0-3", if_none_match="*")
    assert (reply.status, reply.body) == (404, b"error.html")
    assert reply.headers["x-amz-error-code"] == "NoSuchKey"
    assert reply.headers["x-amz-error-detail-key"] == "missing.html"
    private = await visit(listen, app, "/private/page.html")
    assert (private.status, private.body) == (403, b"error.html")
    await bench.ask("DELETE", "/box/error.html")
    reply = await visit(listen, app, "/<missing>.html")
    assert reply.status == 404 and reply.headers["content-type"] == "text/html; charset=utf-8"
    page = reply.body.decode()
    assert "<h1>404 Not Found</h1>" in page and "<li>Key: &lt;missing&gt;.html</li>" in page
    assert "Custom Error Document" in page and "<li>Key: error.html</li>" in page
    head = await visit(listen, app, "/missing.html", "HEAD")
    assert (head.status, head.headers["x-amz-error-message"]) == (404, "The specified key does not exist.")


@pytest.mark.usefixtures("public")
async def test_rules_lead_elsewhere(listen: Any, app: Any, bench: Bench) -> None:
    reply = await visit(listen, app, "/old/a%20b")
    assert (reply.status, reply.headers["location"]) == (301, f"http://box.{DOMAIN}:8080/new/a%20b")
    reply = await visit(listen, app, "/gone/x")
    assert (reply.status, reply.headers["location"]) == (302, "http://elsewhere.test/gone/x")
    data = b"x" * 3 * ROW_BYTES
    await bench.put("/box/moved", data, {"x-amz-website-redirect-location": "/page.html"})
    free = bench.budget.free
    reply = await visit(listen, app, "/moved")
    assert (reply.status, reply.headers["location"], reply.body) == (301, "/page.html", b"")
    await asyncio.sleep(0)
    assert bench.budget.free == free


@pytest.mark.parametrize(
    ("host", "method", "status", "code"),
    [
        ("empty", "GET", 404, "NoSuchWebsiteConfiguration"),
        ("absent", "GET", 404, "NoSuchBucket"),
        ("x_y", "GET", 400, "InvalidBucketName"),
        ("box", "PUT", 405, "MethodNotAllowed"),
        ("box", "POST", 405, "MethodNotAllowed"),
        ("box", "OPTIONS", 405, "MethodNotAllowed"),
    ],
)
async def test_what_is_no_website(listen: Any, app: Any, host: str, method: str, status: int, code: str) -> None:
    reply = await visit(listen, app, "/index.html", method, host)
    assert reply.status == status and reply.headers["content-type"].startswith("text/html")
    assert f"<li>Code: {code}</li>" in reply.body.decode()
    assert reply.headers["x-amz-error-code"] == code


async def test_nobody_reads_what_nobody_opened(listen: Any, bench: Bench) -> None:
    closed = by_host(
        (DOMAIN,),
        WebsiteDoor(bench.gate, dispatch_table(), None, Meters(), OFF),
        Door(bench.gate, {}, None, Meters(), OFF),
    )
    reply = await visit(listen, closed, "/page.html")
    assert reply.status == 403 and "<li>Code: AccessDenied</li>" in reply.body.decode()


@pytest.mark.usefixtures("public")
async def test_websites_are_pages_of_other_origins_too(listen: Any, app: Any) -> None:
    for path, status in (("/page.html", 200), ("/absent.html", 404)):
        reply = await visit(listen, app, path, origin="http://page.test")
        assert (reply.status, reply.headers["access-control-allow-origin"]) == (status, "http://page.test")
