"""What the client tests share: a store by scheme, and files to send."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from uuid import uuid4

import pytest

from tests.clients.programs import Endpoint
from tests.fix_store import Store

ODD_NAMES = (
    "plain.txt",
    "with space.txt",
    "plus+and=sign.txt",
    "percent%41.txt",
    "ünïcödé-日本.txt",
    "quote'and(paren).txt",
    "tilde~at@amp&.txt",
)


def endpoint_of(store: Store) -> Endpoint:
    return Endpoint(store.endpoint, store.access_key, store.secret_key, store.ca_file)


@pytest.fixture(params=["http", "https"])
def endpoint(request: pytest.FixtureRequest) -> Endpoint:
    """One store over plain HTTP, one over TLS: over TLS the SDKs send trailers instead of headers."""
    return endpoint_of(request.getfixturevalue("store" if request.param == "http" else "tls_store"))


@pytest.fixture
def http(store: Store) -> Endpoint:
    """For clients to which TLS makes no difference."""
    return endpoint_of(store)


@pytest.fixture
def https(tls_store: Store) -> Endpoint:
    """For what is refused without TLS."""
    return endpoint_of(tls_store)


@pytest.fixture
def bucket() -> str:
    """A bucket name of this test's own; nothing is made."""
    return f"t-{uuid4().hex[:12]}"


@pytest.fixture
def make_file(tmp_path: Path) -> Callable[[str, int], Path]:
    """Makes a file of random bytes, the same for the same name and size."""

    def make(name: str, size: int) -> Path:
        path = tmp_path / "files" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(Random(f"{name}{size}").randbytes(size))
        return path

    return make


@pytest.fixture
def tree(make_file: Callable[[str, int], Path]) -> Path:
    """A folder as people have them: empty, tiny and larger files, odd names, folders in folders."""
    for index, name in enumerate(ODD_NAMES):
        make_file(f"tree/{name}", 1 + index * 1000)
    make_file("tree/empty", 0)
    make_file("tree/deep/er/one-mebibyte", 1 << 20)
    large = make_file("tree/deep/twenty-mebibyte", 20 << 20)
    return large.parent.parent
