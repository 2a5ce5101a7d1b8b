"""Random kills at random instants, against a history of what was acknowledged; the shard cache is off.

The seed is printed; S3GATE_TEST_SEED repeats a run's choices, though not the instants of the machine.
"""

from __future__ import annotations

import os
import threading
import time
from random import Random

import pytest

from tests.crash.history import Writer, violations
from tests.fix_store import MakeStore, Process, Store

BUCKET = "history"
WRITERS = 4
KEYS_EACH = 6
KILLS, KILLS_LONG = 14, 300
SETTLE_SECONDS = 60.0


def kill_some(store: Store, chances: Random, kills: int) -> None:
    """kill -9 of anything, at any moment; back after a moment. Now and then a gate is only stopped for a while."""
    assert store.postgres is not None and store.worker is not None
    victims: list[Process] = [*store.gates, *store.nodes, store.postgres, store.worker]
    for _ in range(kills):
        time.sleep(chances.uniform(0.05, 1.2))
        victim = chances.choice(victims)
        if victim in store.gates and chances.random() < 0.2:
            victim.pause()
            time.sleep(chances.uniform(0.1, 1.0))
            victim.resume()
            continue
        victim.kill()
        time.sleep(chances.uniform(0.0, 0.7))
        victim.start()


def settled_violations(store: Store, writers: list[Writer]) -> list[str]:
    """The violations, once every process is up again and answers."""
    store.wait_ready()
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        try:
            return violations(store.client(0), BUCKET, writers)
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def test_nothing_acknowledged_is_lost(make_store: MakeStore, long: bool) -> None:
    seed = int(os.environ.get("S3GATE_TEST_SEED", time.time_ns() % 10**6))
    print(f"S3GATE_TEST_SEED={seed}")
    store = make_store(nodes=6, gates=2, own_postgres=True, gate_settings={"cache_bytes": "0"})
    store.client().create_bucket(Bucket=BUCKET)
    stop = threading.Event()
    clients = [lambda gate=index % 2: store.client(gate, read_timeout=20) for index in range(WRITERS)]
    writers = [Writer(clients[i], BUCKET, seed + i, stop, KEYS_EACH) for i in range(WRITERS)]
    for writer in writers:
        writer.start()
    try:
        kill_some(store, Random(seed), KILLS_LONG if long else KILLS)
        time.sleep(1)
    finally:
        stop.set()
        for writer in writers:
            writer.join(60)
    acknowledged, failed = sum(w.acknowledged for w in writers), sum(w.failed for w in writers)
    print(f"{acknowledged} writes acknowledged, {failed} failed")
    assert acknowledged > 10, store.log_tails()
    if wrong := settled_violations(store, writers):
        pytest.fail("\n".join([f"seed {seed}", *wrong, store.log_tails()]))
    store.check()
