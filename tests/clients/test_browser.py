"""A real browser: a page of another origin that uploads by link and by form, and what it is not allowed to do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest

from tests.clients.webdriver import Browser, chromium, page_server
from tests.fix_store import Store

DOMAIN = "s3-website.test"

FORM = """<!doctype html><title>upload</title><form method="post" enctype="multipart/form-data"></form>"""

PUT = """
const [url, color] = given;
const answer = await fetch(url, {method: 'PUT', headers: {'x-amz-meta-color': color}, body: 'from a page'});
return [answer.status, answer.headers.get('etag'), answer.headers.get('x-amz-request-id')];
"""

FETCH = "const answer = await fetch(given[0], {cache: 'no-store'}); return [answer.status, await answer.text()];"

SUBMIT = """
const [url, fields, name, content] = given;
const form = document.querySelector('form');
form.action = url;
for (const [key, value] of Object.entries(fields)) {
  const input = document.createElement('input');
  [input.type, input.name, input.value] = ['hidden', key, value];
  form.append(input);
}
const file = document.createElement('input');
[file.type, file.name] = ['file', 'file'];
const chosen = new DataTransfer();
chosen.items.add(new File([content], name));
file.files = chosen.files;
form.append(file);
setTimeout(() => form.submit(), 0);
"""

POST = """
const [url, fields] = given;
const form = new FormData();
for (const [key, value] of Object.entries(fields)) form.append(key, value);
form.append('file', new Blob(['x'.repeat(5000000)]), 'large.bin');
const answer = await fetch(url, {method: 'POST', body: form});
return [answer.status, (await answer.text()).match(/<Key>(.*)<.Key>/)[1]];
"""


@pytest.fixture(scope="module")
def store(make_module_store: Any) -> Store:
    made: Store = make_module_store(worker=False, gate_settings={"website_domains": DOMAIN})
    return made


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    with page_server({"/": FORM, "/done": "<h1>done</h1>", "/moved/page": "<h1>moved</h1>"}) as found:
        yield found


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("chromium"), f"--host-resolver-rules=MAP *.{DOMAIN} 127.0.0.1") as found:
        yield found


@pytest.fixture
def s3(store: Store) -> Any:
    return store.client(signature_version="s3v4")


@pytest.fixture
def bucket(s3: Any, origin: str) -> str:
    """One that lets the page in."""
    name = f"page-{uuid4().hex[:12]}"
    s3.create_bucket(Bucket=name)
    rule = {
        "AllowedOrigins": [origin],
        "AllowedMethods": ["PUT", "GET", "POST"],
        "AllowedHeaders": ["x-amz-meta-*"],
        "ExposeHeaders": ["ETag"],
    }
    s3.put_bucket_cors(Bucket=name, CORSConfiguration={"CORSRules": [rule]})
    return name


def put_link(s3: Any, bucket: str) -> str:
    where = {"Bucket": bucket, "Key": "a page's", "Metadata": {"color": "blue"}}
    return str(s3.generate_presigned_url("put_object", Params=where))


def test_a_page_puts_by_link_and_sees_what_is_exposed(browser: Browser, s3: Any, bucket: str, origin: str) -> None:
    browser.open(origin + "/")
    status, etag, request_id = browser.run(PUT, put_link(s3, bucket), "blue")
    found = s3.get_object(Bucket=bucket, Key="a page's")
    assert (status, etag, request_id) == (200, found["ETag"], None)
    assert found["Body"].read() == b"from a page" and found["Metadata"] == {"color": "blue"}
    link = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "a page's"})
    assert browser.run(FETCH, link) == [200, "from a page"]
    status, document = browser.run(FETCH, link.replace("Signature=", "Signature=0"))
    assert status == 403 and "SignatureDoesNotMatch" in document


def test_without_rules_the_browser_refuses(browser: Browser, s3: Any, bucket: str, origin: str) -> None:
    s3.put_object(Bucket=bucket, Key="a page's", Body=b"secret")
    browser.open(origin + "/")
    link = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "a page's"})
    assert browser.run(FETCH, link) == [200, "secret"]
    s3.delete_bucket_cors(Bucket=bucket)
    assert browser.run(FETCH, link) == "error: TypeError: Failed to fetch"
    assert browser.run(PUT, put_link(s3, bucket), "blue") == "error: TypeError: Failed to fetch"
    assert s3.get_object(Bucket=bucket, Key="a page's")["Body"].read() == b"secret"


def test_a_form_uploads_and_leads_back(browser: Browser, s3: Any, bucket: str, origin: str) -> None:
    fields = {"success_action_redirect": f"{origin}/done?from=form", "x-amz-meta-name": "${filename}"}
    conditions = [{"success_action_redirect": f"{origin}/done?from=form"}, ["starts-with", "$x-amz-meta-name", ""]]
    post = s3.generate_presigned_post(bucket, "forms/${filename}", Fields=fields, Conditions=conditions)
    browser.open(origin + "/")
    browser.run(SUBMIT, post["url"], post["fields"], "ein Bild.txt", "Grüße")
    query = parse_qs(urlsplit(browser.wait_for("/done")).query)
    assert (query["from"], query["bucket"], query["key"]) == (["form"], [bucket], ["forms/ein Bild.txt"])
    found = s3.get_object(Bucket=bucket, Key="forms/ein Bild.txt")
    assert found["Body"].read() == "Grüße".encode() and [found["ETag"]] == query["etag"]
    assert found["Metadata"] == {"name": "ein Bild.txt"}


def test_a_script_posts_a_large_form(browser: Browser, s3: Any, bucket: str, origin: str) -> None:
    status = {"success_action_status": "201"}
    post = s3.generate_presigned_post(bucket, "large", Fields=status, Conditions=[status])
    browser.open(origin + "/")
    assert browser.run(POST, post["url"], post["fields"]) == [201, "large"]
    assert s3.head_object(Bucket=bucket, Key="large")["ContentLength"] == 5_000_000


def test_a_public_website_is_shown(browser: Browser, s3: Any, store: Store, bucket: str) -> None:
    pages = {
        "index.html": ("text/html", b"<link rel=stylesheet href=style.css><h1>home</h1><a href=docs>docs</a>"),
        "style.css": ("text/css", b"h1 { color: rgb(1, 2, 3) }"),
        "docs/index.html": ("text/html", b"<h1>docs</h1>"),
        "oops.html": ("text/html", b"<h1>oops</h1>"),
    }
    for key, (kind, body) in pages.items():
        s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType=kind)
    site = {"IndexDocument": {"Suffix": "index.html"}, "ErrorDocument": {"Key": "oops.html"}}
    s3.put_bucket_website(Bucket=bucket, WebsiteConfiguration=site)
    reading = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    s3.delete_public_access_block(Bucket=bucket)
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [reading]}))
    home = f"http://{bucket}.{DOMAIN}:{store.gates[0].port}"
    browser.open(f"{home}/")
    assert browser.text().startswith("home")
    assert browser.run("return getComputedStyle(document.querySelector('h1')).color") == "rgb(1, 2, 3)"
    browser.open(f"{home}/docs")
    assert browser.url == f"{home}/docs/" and browser.text() == "docs"
    browser.open(f"{home}/nothing")
    assert browser.text() == "oops"


def test_a_website_leads_elsewhere_and_shows_its_errors(
    browser: Browser, s3: Any, store: Store, bucket: str, origin: str, tmp_path: Path
) -> None:
    rule = {
        "Condition": {"KeyPrefixEquals": "old/"},
        "Redirect": {"HostName": origin.removeprefix("http://"), "ReplaceKeyPrefixWith": "moved/"},
    }
    site = {"IndexDocument": {"Suffix": "index.html"}, "RoutingRules": [rule]}
    s3.put_bucket_website(Bucket=bucket, WebsiteConfiguration=site)
    home = f"http://{bucket}.{DOMAIN}:{store.gates[0].port}"
    browser.open(f"{home}/old/page")
    assert browser.url == f"{origin}/moved/page" and browser.text() == "moved"
    browser.open(f"{home}/private.html")
    shown = browser.text()
    assert shown.startswith("403 Forbidden") and "Code: AccessDenied" in shown
    assert browser.screenshot().startswith(b"\x89PNG")
