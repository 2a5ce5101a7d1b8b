"""What the tests of bad input share: a bucket with two objects, a signer, and a gate that must stay healthy."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from uuid import uuid4

import pytest

from tests.fix_store import Store
from tests.limits.wire import UNSIGNED, Reply, Signer, Wire

CONTENT = b"0123456789"
DROP_SECONDS = 0.5
PATIENCE_SECONDS = 60.0


@pytest.fixture(scope="session")
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


@dataclass(frozen=True)
class SlowClients:
    """What became of each, and after how many seconds; the bodies were meant for `slow` in the bucket."""

    bucket: str
    answers: dict[str, Future[tuple[Reply, float]]]


@pytest.fixture(scope="session")
def slow_clients(store: Store, signer: Signer) -> Iterator[SlowClients]:
    """Clients that send a drop every half second, begun together and left to themselves."""
    name = f"slow-{uuid4().hex[:12]}"
    store.client().create_bucket(Bucket=name)
    get = b"GET / HTTP/1.1\r\nhost: h\r\n"
    put = signer.request("PUT", f"/{name}/slow", [("content-length", "100000")], payload=UNSIGNED).head
    chunked = [("x-amz-decoded-content-length", "100000"), ("transfer-encoding", "chunked")]
    streaming = signer.request("PUT", f"/{name}/slow", chunked, payload="STREAMING-UNSIGNED-PAYLOAD-TRAILER").head
    clients = {
        "header": (get + b"x-a: ", b"a"),
        "request line": (b"GET /", b"a"),
        "headers": (get, b"x: y\r\n"),
        "body": (put, b"a"),
        "silent body": (put, b""),
        "chunked body": (streaming + b"186b0\r\n186a0\r\n", b"a"),
    }
    with ThreadPoolExecutor(len(clients)) as pool:
        answers = {client: pool.submit(_dribble, signer.port, *sent) for client, sent in clients.items()}
        yield SlowClients(name, answers)


def _dribble(port: int, head: bytes, drop: bytes) -> tuple[Reply, float]:
    """Sends the head, then drops until the gate has had enough. How long that was."""
    started = time.monotonic()
    with Wire(port) as wire:
        wire.send(head)
        wire.socket.settimeout(DROP_SECONDS)
        while True:
            try:
                return wire.reply(), time.monotonic() - started
            except TimeoutError:
                assert time.monotonic() - started < PATIENCE_SECONDS
                wire.send(drop)
