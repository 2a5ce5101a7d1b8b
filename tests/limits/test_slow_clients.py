"""Clients that take too long, each sent away when its time is up. They began when the session needed them first."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest

from tests.fix_store import Store
from tests.limits.conftest import SlowClients
from tests.limits.wire import UNSIGNED, Signer, Wire

# Name of the client -> after how many seconds it is sent away, at least and at most.
HEADER = (9, 25)  # a header section has ten seconds
BODY = (15, 55)  # a body must come with a kilobyte a second, measured over windows of twenty
PATIENCE = {
    "header": HEADER,
    "request line": HEADER,
    "headers": HEADER,
    "body": BODY,
    "silent body": BODY,
    "chunked body": BODY,
}


@pytest.mark.parametrize("client", PATIENCE)
def test_slow_clients_are_sent_away(slow_clients: SlowClients, client: str) -> None:
    reply, seconds = slow_clients.answers[client].result()
    least, most = PATIENCE[client]
    assert (reply.status, reply.code, reply.closes) == (400, "RequestTimeout", True)
    assert least < seconds < most


def test_nothing_of_them_is_stored(slow_clients: SlowClients, signer: Signer) -> None:
    for answer in slow_clients.answers.values():
        answer.result()
    with Wire(signer.port) as wire:
        assert wire.ask(signer.request("GET", f"/{slow_clients.bucket}/slow").raw).status == 404


# --- what they hold ---

MIB = 1 << 20
CROWD = 50
"""More of them than rows fit into the byte budget."""
PROMPT_SECONDS = 2.0
CROWDED_SECONDS = 30.0
"""Until the slow ones are sent away because others wait: ten seconds, and room for a busy machine."""


@contextmanager
def crowd(signer: Signer, make: Callable[[int], bytes]) -> Iterator[None]:
    """Clients that send this and then do nothing more, neither read nor write."""
    with ExitStack() as stack:
        for number in range(CROWD):
            stack.enter_context(Wire(signer.port)).send(make(number))
        time.sleep(0.5)
        yield


def test_stopped_clients_do_not_stop_the_others(store: Store, bucket: str) -> None:
    """Those that read nothing are at one gate, those that send nothing at the other."""
    store.client().put_object(Bucket=bucket, Key="large", Body=bytes(64 * MIB))
    reader, writer = Signer(store, 0), Signer(store, 1)
    length = [("content-length", str(64 * MIB))]

    def send(number: int) -> bytes:
        return writer.request("PUT", f"/{bucket}/s{number}", length, payload=UNSIGNED).head + bytes(100_000)

    with (
        crowd(reader, lambda _: reader.request("GET", f"/{bucket}/large").raw),
        crowd(writer, send),
        ThreadPoolExecutor(2) as pool,
    ):
        for others in [pool.submit(use, store, gate, bucket) for gate in range(2)]:
            others.result()


def use(store: Store, gate: int, bucket: str) -> None:
    """As others do meanwhile: what is small is done at once, what is large before its client loses patience."""
    client = store.client(gate, read_timeout=CROWDED_SECONDS)
    for size, patience in ((4096, PROMPT_SECONDS), (400_000, PROMPT_SECONDS), (8 * MIB, CROWDED_SECONDS)):
        started = time.monotonic()
        client.put_object(Bucket=bucket, Key=f"others-{gate}", Body=bytes(size))
        assert client.get_object(Bucket=bucket, Key=f"others-{gate}")["Body"].read() == bytes(size)
        assert time.monotonic() - started < patience, size
