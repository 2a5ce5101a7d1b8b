"""Random harm at random instants, against a history of what was acknowledged; the shard cache is off.

Gates, nodes, Postgres and the worker are killed with -9, alone and in pairs, or stopped for a while, a gate also for
longer than its session lives; connections to Postgres are cut. Sessions time out within seconds and the trash is
emptied soon, so that sweeping and purging go on all the time. The seed is printed; S3GATE_TEST_SEED repeats a run's
choices, though not the instants of the machine. S3GATE_TEST_STEPS says how much harm is done, --long much more.
"""

from __future__ import annotations

import os
import threading
import time
from random import Random

import pytest

from tests.crash.harm import GATE, NODE, SETTLE_SECONDS, Harm
from tests.crash.history import Writer, violations
from tests.crash.shards import wait_until_swept
from tests.fix_store import MakeStore, Store

BUCKET = "history"
WRITERS = 4
KEYS_EACH = 6
STEPS, STEPS_LONG = 14, 250


def settled_violations(store: Store, writers: list[Writer]) -> list[str]:
    """The violations, once the store answers."""
    store.wait_ready()
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        try:
            return violations(store.client(0), BUCKET, writers)
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def harm_while_writing(store: Store, seed: int, steps: int) -> list[Writer]:
    """Writers through both gates, while harm is done; the writers have ended when it returns."""
    stop = threading.Event()
    clients = [lambda gate=index % 2: store.client(gate, read_timeout=20) for index in range(WRITERS)]
    writers = [Writer(clients[i], BUCKET, seed + i, stop, KEYS_EACH) for i in range(WRITERS)]
    harm = Harm(store, Random(seed))
    harm.do_beside(writers, stop, steps, lambda: None)
    acknowledged, failed = sum(writer.acknowledged for writer in writers), sum(writer.failed for writer in writers)
    reads = sum(writer.reads for writer in writers)
    print(f"{harm.kills} kills, {acknowledged} writes acknowledged, {reads} reads right, {failed} requests failed")
    assert acknowledged > steps, store.log_tails()
    return writers


def test_nothing_acknowledged_is_lost(make_store: MakeStore, long: bool) -> None:
    seed = int(os.environ.get("S3GATE_TEST_SEED", time.time_ns() % 10**6))
    print(f"S3GATE_TEST_SEED={seed}")
    store = make_store(nodes=6 + seed % 2, gates=2, own_postgres=True, gate_settings=GATE, node_settings=NODE)
    store.client().create_bucket(Bucket=BUCKET)
    steps = int(os.environ.get("S3GATE_TEST_STEPS", STEPS_LONG if long else STEPS))
    writers = harm_while_writing(store, seed, steps)
    if wrong := settled_violations(store, writers):
        pytest.fail("\n".join([f"seed {seed}", *wrong, store.log_tails()]))
    store.check()
    wait_until_swept(store)
    for gate in store.gates:
        gate.start()
    assert settled_violations(store, writers) == []
