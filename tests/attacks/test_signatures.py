"""One change to a signed request, of everything that a signature vouches for: none is let in.

Each attack is tried on the four ways of signing, where that way covers what is attacked. What a version leaves open by
its design (the body of version 2, headers other than x-amz-*) is AWS's, and is not here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from s3gate.s3.operation import SUBRESOURCES
from s3gate.s3.sigv2 import SIGNED_PARAMETERS
from tests.attacks.conftest import TREASURE, Prey, assert_refused
from tests.attacks.message import Message, version_2, version_2_link, version_4, version_4_link
from tests.limits.wire import UNSIGNED, Reply, Signer

pytestmark = pytest.mark.usefixtures("unharmed")

Ask = Callable[[bytes], Reply]
Attack = Callable[[Message], Message]

MAKERS = {"v4": version_4, "v4 link": version_4_link, "v2": version_2, "v2 link": version_2_link}
V4 = ("v4", "v4 link")
LINKS = ("v4 link", "v2 link")
ALL = tuple(MAKERS)


def day(offset: int) -> bytes:
    return f"{datetime.now(UTC) + timedelta(days=offset):%Y%m%d}".encode()


def shifted(offset: float) -> str:
    return f"{datetime.now(UTC) + timedelta(minutes=offset):%Y%m%dT%H%M%SZ}"


def in_scope(old: bytes, new: bytes) -> Attack:
    """Something else in the scope of the credential, wherever that stands."""

    def attack(message: Message) -> Message:
        if message.header("authorization"):
            return message.substituting("authorization", b"/" + old, b"/" + new)
        assert f"%2F{old.decode()}" in message.query
        return replace(message, query=message.query.replace(f"%2F{old.decode()}", f"%2F{new.decode()}"))

    return attack


def with_signature(change: Callable[[str], str]) -> Attack:
    """Another signature."""

    def attack(message: Message) -> Message:
        value = message.header("authorization").decode()
        if value:
            before, mark, signature = value.rpartition("Signature=" if "Signature=" in value else ":")
            return message.having("authorization", before + mark + change(signature))
        name = "X-Amz-Signature" if "X-Amz-Signature" in message.query else "Signature"
        before, mark, rest = message.query.partition(f"{name}=")
        signature, more, tail = rest.partition("&")
        return replace(message, query=before + mark + change(signature) + more + tail)

    return attack


def by_method(method: str) -> Attack:
    return lambda message: replace(message, method=method)


def by_asking(more: str) -> Attack:
    return lambda message: message.asking(more)


def encoded_slash(message: Message) -> Message:
    bucket, _, key = message.path[1:].partition("/")
    return message.to(f"/{bucket}%2F{key}")


# name -> attack on a GET of the treasure, and the ways of signing that it is tried on
READING: dict[str, tuple[Attack, tuple[str, ...]]] = {
    **{
        f"method {method}": (by_method(method), ALL)
        for method in ("PUT", "DELETE", "POST", "PATCH", "HEAD")
    },
    "lower case method": (lambda m: replace(m, method="get"), ALL),
    "path longer": (lambda m: m.to(m.path + "x"), ALL),
    "path shorter": (lambda m: m.to(m.path[:-1]), ALL),
    "path in capitals": (lambda m: m.to(m.path[:-1] + "E"), ALL),
    "path with a slash more": (lambda m: m.to(m.path + "/"), ALL),
    "path with two slashes": (lambda m: m.to(m.path.replace("/treasure", "//treasure")), ALL),
    "path with two slashes first": (lambda m: m.to("/" + m.path), ALL),
    "path with a dot": (lambda m: m.to(m.path.replace("/treasure", "/./treasure")), ALL),
    "path with two dots": (lambda m: m.to(m.path.replace("/treasure", "/x/../treasure")), ALL),
    "path with escaped dots": (lambda m: m.to(m.path.replace("/treasure", "/x/%2e%2e/treasure")), ALL),
    "path with an escaped slash": (encoded_slash, ALL),
    "path with NUL": (lambda m: m.to(m.path + "%00"), ALL),
    "path with a space": (lambda m: m.to(m.path + "%20"), ALL),
    "path with a plus": (lambda m: m.to(m.path + "+"), ALL),
    "path escaped twice": (lambda m: m.to(m.path.replace("treasure", "%2574reasure")), ALL),
    "the bucket alone": (lambda m: m.to("/" + m.path.split("/")[1]), ALL),
    "the service": (lambda m: m.to("/"), ALL),
    **{
        f"asking {name}": (by_asking(f"{name}=x"), V4)
        for name in ("partNumber", "versionId", "x", "response-content-type", "prefix", "X-Amz-Acl", "Signature")
    },
    **{
        f"asking {name}": (by_asking(name), ("v2", "v2 link"))
        for name in sorted({each.decode() for each in SIGNED_PARAMETERS} & SUBRESOURCES)
    },
    "host": (lambda m: m.having("host", "other.example"), V4),
    "two hosts": (lambda m: m.adding("host", "other.example"), ALL),
    "no host": (lambda m: m.without("host"), ALL),
    "host of the bucket": (lambda m: m.having("host", f"{m.path.split('/')[1]}.example"), V4),
    "yesterday": (in_scope(day(0), day(-1)), V4),
    "tomorrow": (in_scope(day(0), day(1)), V4),
    "another region": (in_scope(b"us-east-1", b"eu-west-1"), V4),
    "an alias of the region": (in_scope(b"us-east-1", b"US"), V4),
    "another service": (in_scope(b"s3/", b"sts/"), ("v4",)),
    "another terminator": (in_scope(b"aws4_request", b"aws5_request"), V4),
    "a minute later": (lambda m: m.having("x-amz-date", shifted(1)), ("v4",)),
    "a minute later in a link": (lambda m: m.with_query("X-Amz-Date", shifted(1)), ("v4 link",)),
    "longer": (lambda m: m.with_query("X-Amz-Expires", "86400"), ("v4 link",)),
    "longer in version 2": (lambda m: m.with_query("Expires", "9999999999"), ("v2 link",)),
    "other signed headers": (lambda m: m.with_query("X-Amz-SignedHeaders", "host;x-amz-date"), ("v4 link",)),
    "no signed headers": (lambda m: m.with_query("X-Amz-SignedHeaders", ""), ("v4 link",)),
    "host not signed": (lambda m: m.with_query("X-Amz-SignedHeaders", "date"), ("v4 link",)),
    "fewer signed headers": (lambda m: m.substituting("authorization", b"host;x", b"x"), ("v4",)),
    "another algorithm": (lambda m: m.substituting("authorization", b"SHA256 ", b"SHA1 "), ("v4",)),
    "no algorithm": (lambda m: m.with_query("X-Amz-Algorithm", "none"), ("v4 link",)),
    "another hash": (lambda m: m.having("x-amz-content-sha256", "0" * 64), ("v4",)),
    "no hash": (lambda m: m.having("x-amz-content-sha256", UNSIGNED), ("v4",)),
    "no date": (lambda m: m.without("date").without("x-amz-date"), ("v4", "v2")),
    "date": (lambda m: m.having("date", "Mon, 01 Jan 2024 00:00:00 GMT"), ("v2",)),
    "a second date": (lambda m: m.adding("x-amz-date", shifted(0)), ("v4", "v2")),
    "no signature": (lambda m: m.without("authorization"), ("v4", "v2")),
    "empty signature": (with_signature(lambda s: ""), ALL),
    "first half": (with_signature(lambda s: s[: len(s) // 2]), ALL),
    "longer signature": (with_signature(lambda s: s + "00"), ALL),
    "signature in capitals": (with_signature(str.upper), ALL),
    "zeros": (with_signature(lambda s: "0" * 64), ALL),
    "signature twice": (with_signature(lambda s: f"{s},{s}"), ALL),
    "two ways": (lambda m: m.asking("X-Amz-Algorithm=AWS4-HMAC-SHA256"), ("v4", "v2", "v2 link")),
    "two headers": (lambda m: m.adding("authorization", m.header("authorization")), ("v4", "v2")),
    "a token": (lambda m: m.adding("x-amz-security-token", "x"), ALL),
    "a token in the query": (lambda m: m.asking("X-Amz-Security-Token=x"), V4),
}  # fmt: skip

AMZ_TEXT = """
    x-amz-acl x-amz-bypass-governance-retention x-amz-checksum-mode x-amz-content-sha256 x-amz-copy-source
    x-amz-copy-source-range x-amz-copy-source-server-side-encryption-customer-key x-amz-date x-amz-expected-bucket-owner
    x-amz-grant-full-control x-amz-grant-read x-amz-meta-owner x-amz-metadata-directive x-amz-mfa
    x-amz-object-lock-legal-hold x-amz-object-lock-mode x-amz-object-lock-retain-until-date x-amz-request-payer
    x-amz-security-token x-amz-server-side-encryption x-amz-server-side-encryption-aws-kms-key-id
    x-amz-server-side-encryption-customer-algorithm x-amz-server-side-encryption-customer-key x-amz-storage-class
    x-amz-tagging x-amz-tagging-directive x-amz-trailer x-amz-website-redirect-location x-amz-whatever
"""
AMZ = AMZ_TEXT.split()


def signed(signer: Signer, prey: Prey, how: str, method: str = "GET", body: bytes = b"") -> Message:
    return MAKERS[how](signer, method, prey.target, (), body)


@pytest.mark.parametrize("how", ALL)
def test_without_an_attack(ask: Ask, signer: Signer, prey: Prey, how: str) -> None:
    reply = ask(signed(signer, prey, how).raw)
    assert (reply.status, reply.body) == (200, TREASURE)


@pytest.mark.parametrize(("attack", "how"), [(name, how) for name, (_, hows) in READING.items() for how in hows])
def test_a_changed_request(ask: Ask, signer: Signer, prey: Prey, attack: str, how: str) -> None:
    changed = READING[attack][0](signed(signer, prey, how))
    assert_refused(ask(changed.raw))


@pytest.mark.parametrize("how", ALL)
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_an_amz_header_that_was_not_signed(ask: Ask, signer: Signer, prey: Prey, how: str, method: str) -> None:
    """In either case, before and behind the others, with an empty value, and hidden among those that are signed."""
    message = signed(signer, prey, how, method)
    for name in AMZ:
        for added in (message.adding(name, "x"), message.before(name.upper(), "x"), message.adding(name, "")):
            if how.startswith("v2") and name == "x-amz-date":
                continue  # version 2 takes it instead of Date: see "a second date"
            assert_refused(ask(added.raw))


@pytest.mark.parametrize("how", ["v4", "v2", "v2 link"])
def test_a_header_that_was_signed(ask: Ask, signer: Signer, prey: Prey, how: str) -> None:
    """Changed, removed, sent twice, or moved into another."""
    headers = [("x-amz-meta-a", "one"), ("x-amz-meta-b", "two"), ("x-amz-tagging", "a=b")]
    message = MAKERS[how](signer, "PUT", prey.target, headers, b"stolen")
    for name, value in headers:
        for changed in (
            message.having(name, value + "x"),
            message.having(name, value.upper()),
            message.having(name, ""),
            message.without(name),
            message.adding(name, value),
            message.adding(name, "x"),
            message.before(name, "x"),
        ):
            assert_refused(ask(changed.raw))
    assert_refused(ask(message.having("x-amz-meta-a", "two").having("x-amz-meta-b", "one").raw))
    assert_refused(ask(message.without("x-amz-meta-b").having("x-amz-meta-a", "one\nx-amz-meta-b:two").raw))


def test_a_body_that_was_signed(ask: Ask, signer: Signer, prey: Prey) -> None:
    message = version_4(signer, "PUT", prey.target, (), b"what was signed")
    for body in (b"what was signeD", b"what was signe", b"", b"what was signed and more"):
        assert_refused(ask(replace(message.having("content-length", str(len(body))), body=body).raw))
    chunked = message.without("content-length").adding("transfer-encoding", "chunked")
    assert_refused(ask(replace(chunked, body=b"5\r\nother\r\n0\r\n\r\n").raw))
    digest = message.adding("content-md5", "A" * 22 + "==")
    assert_refused(ask(digest.raw))


@pytest.mark.parametrize("minutes", [-60 * 24 * 365, -16, 16, 60 * 24])
def test_a_replay_outside_the_window(ask: Ask, signer: Signer, prey: Prey, minutes: int) -> None:
    """Well signed, but not for now."""
    message = Message.parse(signer.request("GET", prey.target, timestamp=shifted(minutes)).raw)
    assert_refused(ask(message.raw))
    assert_refused(ask(message.having("x-amz-date", shifted(0)).raw))
    link = Message.parse(signer.presigned("GET", prey.target, Date=shifted(minutes), Expires="600"))
    assert_refused(ask(link.raw))
    assert_refused(ask(link.with_query("X-Amz-Date", shifted(0)).raw))


def test_a_post_to_iam_is_not_one_to_s3(ask: Ask, signer: Signer, prey: Prey) -> None:
    """A signature is for one service: neither takes the other's."""
    form = b"Action=GetUser&Version=2010-05-08"
    headers = [("content-type", "application/x-www-form-urlencoded; charset=utf-8")]
    for service in ("iam", "sts", "ec2"):
        assert_refused(ask(signer.request("GET", prey.target, service=service).raw))
    as_s3 = signer.request("POST", "/", headers, form, service="s3")
    assert_refused(ask(as_s3.raw))
    as_iam = Message.parse(signer.request("POST", "/", headers, form, service="iam").raw)
    for changed in (
        replace(as_iam, body=form.replace(b"GetUser", b"DelUser")),
        replace(as_iam, body=form + b"&UserName=x").having("content-length", str(len(form) + 11)),
        as_iam.substituting("authorization", b"/iam/", b"/sts/"),
        as_iam.having("x-amz-date", shifted(1)),
        as_iam.asking("Action=ListUsers"),
        as_iam.without("authorization"),
    ):
        assert_refused(ask(changed.raw))
