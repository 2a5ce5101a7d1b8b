"""What the tests of bad input share: a bucket with two objects, a signer, and a gate that must stay healthy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest

from tests.fix_store import Store
from tests.limits.wire import Reply, Signer, Wire

CONTENT = b"0123456789"


@pytest.fixture(scope="module")
def signer(store: Store) -> Signer:
    return Signer(store)


@pytest.fixture(scope="module")
def bucket(store: Store) -> str:
    """A bucket of the file's own, with `ten` (ten bytes) and `empty`."""
    name = f"bad-{uuid4().hex[:12]}"
    client = store.client()
    client.create_bucket(Bucket=name)
    client.put_object(Bucket=name, Key="ten", Body=CONTENT)
    client.put_object(Bucket=name, Key="empty", Body=b"")
    return name


@pytest.fixture
def ask(store: Store) -> Callable[[bytes], Reply]:
    """Sends one request on a connection of its own."""

    def one(data: bytes) -> Reply:
        with Wire(store.gates[0].port) as wire:
            return wire.ask(data)

    return one


@pytest.fixture
def healthy(store: Store, bucket: str, signer: Signer) -> Iterator[None]:
    """Afterwards the same process answers as ever, and has logged no fault of its own."""
    gate = store.gates[0]
    pid, log = gate.pid, len(gate.log_text())
    yield
    with Wire(gate.port) as wire:
        reply = wire.ask(signer.request("GET", f"/{bucket}/ten").raw)
    assert (reply.status, reply.body) == (200, CONTENT)
    assert gate.running and gate.pid == pid
    said = gate.log_text()[log:]
    assert "Traceback" not in said and "failed" not in said, said
