"""Guessing at a real gate: slowed for whoever guesses; the owner of the key and the neighbours notice nothing."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import urllib3

from tests.attacks.conftest import DELAY_SECONDS, PER_MINUTE
from tests.attacks.realm import Realm, allow
from tests.fix_store import Store
from tests.limits.wire import Signer, Wire

MOST_AT_ONCE = 40


def seconds_of(port: int, request: bytes) -> tuple[float, int, bytes]:
    """How long it took, the status, and the document."""
    with Wire(port) as wire:
        started = time.monotonic()
        reply = wire.ask(request)
        return time.monotonic() - started, reply.status, reply.body


def metric(store: Store, name: str) -> float:
    page = urllib3.request("GET", f"{store.endpoint}/-/metrics").data.decode()
    return next(float(line.split()[1]) for line in page.splitlines() if line.startswith(name + " "))


@pytest.fixture(scope="module")
def guarded(watched: Store) -> Store:
    """With something in it."""
    client = watched.client()
    client.create_bucket(Bucket="guarded")
    client.put_object(Bucket="guarded", Key="k", Body=b"x")
    return watched


def annoy(store: Store) -> None:
    """As many failures as are free."""
    signer = Signer(store)
    wrong = signer.request("GET", "/guarded/k", secret_key="guess").raw
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(lambda _: seconds_of(signer.port, wrong), range(PER_MINUTE)))


def test_guesses_are_slowed(guarded: Store) -> None:
    signer = Signer(guarded)
    good = signer.request("GET", "/guarded/k").raw
    wrong: list[bytes] = [
        signer.request("GET", "/guarded/k", secret_key="guess").raw,
        signer.request("GET", "/guarded/k", access_key="AKIDNOBODY0000000000").raw,
        signer.presigned("GET", "/guarded/k", secret_key="guess"),
    ]
    annoy(guarded)
    slow = [seconds_of(signer.port, one) for one in wrong]
    assert all(seconds >= DELAY_SECONDS * 0.9 and status == 403 for seconds, status, _ in slow)
    right = [seconds_of(signer.port, good) for _ in range(20)]
    assert all(status == 200 for _, status, _ in right)
    assert min(right)[0] < DELAY_SECONDS / 2, "right requests never wait"
    assert metric(guarded, "s3gate_failed_signatures_total") >= PER_MINUTE + 3
    assert metric(guarded, "s3gate_slowed_signatures_total") >= 3


def test_many_at_once_are_sent_away(guarded: Store) -> None:
    """Only so many guesses of one address are answered in the time of a delay; meanwhile right requests go through."""
    annoy(guarded)
    signer = Signer(guarded)
    wrong = signer.request("GET", "/guarded/k", secret_key="guess").raw
    with ThreadPoolExecutor(MOST_AT_ONCE) as pool:
        guesses = [pool.submit(seconds_of, signer.port, wrong) for _ in range(MOST_AT_ONCE)]
        assert seconds_of(signer.port, signer.request("GET", "/guarded/k").raw)[1] == 200
        answers = [guess.result() for guess in guesses]
    away = [body for _, status, body in answers if status == 503]
    assert len(away) >= MOST_AT_ONCE / 4
    assert all(b"<Code>SlowDown</Code>" in body for body in away)
    assert all(status in (403, 503) for _, status, _ in answers)


def test_so_are_those_at_iam_and_in_forms(guarded: Store) -> None:
    """Every way of signing goes by the same counts."""
    annoy(guarded)
    realm = Realm(guarded)
    keys = realm.user("guesser", allow("s3:*", "*"))
    nobody: Any = realm.client("iam", {**keys, "SecretAccessKey": "guess"})
    started = time.monotonic()
    with pytest.raises(nobody.exceptions.ClientError):
        nobody.list_users()
    assert time.monotonic() - started >= DELAY_SECONDS * 0.9
    post = realm.client("s3", keys).generate_presigned_post("guarded", "form")
    name = next(name for name in post["fields"] if "ignature" in name.lower())
    fields = {**post["fields"], name: "0" * 64, "file": ("f", b"x")}
    started = time.monotonic()
    answer = urllib3.request("POST", post["url"], fields=fields)
    assert answer.status == 403 and time.monotonic() - started >= DELAY_SECONDS * 0.9
    assert realm.client("s3", keys).get_object(Bucket="guarded", Key="k")["Body"].read() == b"x"
