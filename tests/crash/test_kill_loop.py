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

import psycopg
import pytest

from tests.crash.history import Writer, violations
from tests.crash.shards import wait_until_swept
from tests.fix_store import MakeStore, Process, Store

BUCKET = "history"
WRITERS = 4
KEYS_EACH = 6
STEPS, STEPS_LONG = 14, 250
SETTLE_SECONDS = 60.0
SESSION_SECONDS = 3
GATE = {"cache_bytes": "0", "collect_seconds": "0.1", "session_timeout_seconds": str(SESSION_SECONDS)}
NODE = {"trash_seconds": "5"}
CUT = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid() AND random() < 0.5"""


class Harm:
    """Does one thing after the other to a store."""

    def __init__(self, store: Store, chances: Random) -> None:
        assert store.postgres is not None and store.worker is not None
        self.store, self.chances = store, chances
        self.postgres = store.postgres
        self.victims: list[Process] = [*store.gates, *store.nodes, store.postgres, store.worker]
        self.kills = 0

    def step(self) -> None:
        self.look_after()
        draw, chances = self.chances.random(), self.chances
        if draw < 0.70:
            self._kill(chances.sample(self.victims, 1))
        elif draw < 0.78:
            self._kill(chances.sample(self.victims, 2))
        elif draw < 0.88:
            running = [process for process in self.victims if process is not self.postgres]
            self._pause(chances.choice(running), chances.uniform(0.1, 1.5))
        elif draw < 0.91:
            self._pause(chances.choice(self.store.gates), SESSION_SECONDS + 1.5)
        else:
            self._cut()

    def look_after(self) -> None:
        """Only Postgres may fail to start: its children may outlive a kill in its recovery, and hold its memory."""
        for victim in self.victims:
            if victim is self.postgres and not victim.running:
                victim.start()
            assert victim.running, f"{victim.name} ended by itself\n{self.store.log_tails()}"

    def come_back(self) -> None:
        """Returns when everything is up again."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while True:
            self.look_after()
            try:
                with psycopg.connect(self.store.cluster.database_url, connect_timeout=2):
                    break
            except psycopg.Error:
                assert time.monotonic() < deadline, self.store.log_tails()
                time.sleep(0.2)
        self.store.wait_ready()

    def _kill(self, victims: list[Process]) -> None:
        for victim in victims:
            victim.kill()
        self.kills += len(victims)
        time.sleep(self.chances.uniform(0.0, 0.7))
        for victim in victims:
            victim.start()

    def _pause(self, victim: Process, seconds: float) -> None:
        victim.pause()
        time.sleep(seconds)
        victim.resume()

    def _cut(self) -> None:
        try:
            with psycopg.connect(self.store.cluster.database_url, autocommit=True) as connection:
                connection.execute(CUT)
        except psycopg.Error:
            return  # it has not come back yet


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
    for writer in writers:
        writer.start()
    try:
        for _ in range(steps):
            time.sleep(harm.chances.uniform(0.05, 1.2))
            harm.step()
        harm.come_back()
        time.sleep(1)
    finally:
        stop.set()
        for writer in writers:
            writer.join(60)
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
