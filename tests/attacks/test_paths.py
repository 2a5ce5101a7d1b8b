"""A key is its bytes: no dot, slash, escape or NUL leads to another key, another bucket, or a file."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote_from_bytes

import pytest

from tests.attacks.conftest import TREASURE, Prey, assert_refused
from tests.fix_store import Store
from tests.limits.wire import Pairs, Reply, Signer, Wire

Ask = Callable[[bytes], Reply]

# Keys that something in between might take for each other.
KEYS = [
    b"a", b"A", b"a/", b"a//", b"/a", b"//a", b"a/b", b"a//b", b"a/./b", b"a/../b", b"../a", b"..", b".", b"./a",
    b"a/..", b"%61", b"%2561", b"a%2Fb", b"a%2fb", b"%2e%2e/a", b"..%2fa", b"%00", b"a%00", b"a b", b"a+b", b"a%20b",
    b"a\\b",    b"a;b", b"a?b", b"a#b", b"a&b=c", b"..;/a", b"a\r\nx-a: b", b"\xc3\xa9", b"e\xcc\x81", b"\xef\xbc\x8fa",
]  # fmt: skip

TO_THE_TREASURE = [
    "/../{b}/treasure", "/%2e%2e/{b}/treasure", "/%2E%2E%2F{b}/treasure", "/..%2f{b}%2ftreasure", "//{b}/treasure",
    "/%2F{b}/treasure", "/./{b}/treasure", "/..;/{b}/treasure", "/%252e%252e/{b}/treasure", "/..\\{b}\\treasure",
    "/%00/../{b}/treasure", "/%c0%ae%c0%ae/{b}/treasure", "/x/../../{b}/treasure", "/x%2f..%2f..%2f{b}/treasure",
    "/../../../../etc/passwd", "/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
]  # fmt: skip


@pytest.fixture(scope="module")
def yard(store: Store, prey: Prey) -> str:
    """Another bucket, in which anything may be written."""
    name = prey.bucket.replace("prey", "path")
    store.client().create_bucket(Bucket=name)
    return name


def target(bucket: str, key: bytes) -> str:
    return f"/{bucket}/{quote_from_bytes(key, safe='/')}"


def test_no_key_is_another_one(signer: Signer, yard: str) -> None:
    """Each is written with itself as content; at the end each holds itself, spelled in any way that means it."""
    with Wire(signer.port) as wire:
        for key in KEYS:
            assert wire.ask(signer.request("PUT", target(yard, key), body=key).raw).status == 200, key
        for key in KEYS:
            every_byte = "".join(f"%{byte:02x}" for byte in key)
            for path in (target(yard, key), f"/{yard}/{every_byte}", f"/{yard}/{every_byte.upper()}"):
                canonical = signer.request("GET", target(yard, key)).raw
                spelled = canonical.replace(target(yard, key).encode() + b" ", path.encode() + b" ", 1)
                reply = wire.ask(spelled)
                assert (reply.status, reply.body) == (200, key), path
        for key in KEYS:
            assert wire.ask(signer.request("DELETE", target(yard, key)).raw).status == 204
            assert wire.ask(signer.request("GET", target(yard, key)).raw).status == 404
        reply = wire.ask(signer.request("GET", f"/{yard}").raw)
        assert b"<Key>" not in reply.body


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize("trick", TO_THE_TREASURE)
@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
def test_no_way_out_of_a_bucket(ask: Ask, signer: Signer, prey: Prey, yard: str, trick: str, method: str) -> None:
    """Well signed as it stands there: it is a key of the one bucket, or nothing at all, and never the other's."""
    path = f"/{yard}{trick.format(b=prey.bucket)}"
    reply = ask(signer.request(method, path).raw)
    assert TREASURE[:20] not in reply.body and b"root:" not in reply.body
    assert reply.status in {"GET": (200, 404, 400), "DELETE": (204, 409, 400), "PUT": (200, 409, 400)}[method]
    if method == "GET":
        assert_refused(reply)
    if method == "PUT" and reply.status == 200:
        signed = signer.request("DELETE", path)
        assert ask(signed.raw).status == 204


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize(
    "source",
    [
        "{y}/../{b}/treasure", "{y}/%2e%2e/{b}/treasure", "/{y}//{b}/treasure", "{y}%2f..%2f{b}%2ftreasure",
        "../{b}/treasure", "%2e%2e/{b}/treasure", "//{b}/treasure", "{b}%00/treasure", "{b}/treasure%00",
        "{b}/Treasure", "arn:aws:s3:us-east-1:111111111111:accesspoint/x/object/treasure", "{b}/treasure/",
        "{b}/treasure\t?versionId=x", "http://127.0.0.1/{b}/treasure", "{b}\\treasure", "/etc/passwd",
    ],
)  # fmt: skip
def test_no_copy_of_what_was_not_named(ask: Ask, signer: Signer, prey: Prey, yard: str, source: str) -> None:
    headers: Pairs = [("x-amz-copy-source", source.format(b=prey.bucket, y=yard))]
    assert_refused(ask(signer.request("PUT", f"/{yard}/copied", headers).raw))
    assert ask(signer.request("GET", f"/{yard}/copied").raw).status == 404
