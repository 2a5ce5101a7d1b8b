"""Random harm to a whole store: processes killed with -9, alone and in pairs, or stopped for a while; cut connections.

A gate is sometimes stopped for longer than its session lives. What happens is drawn from the chances that are given;
when exactly it happens is the machine's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from random import Random
from threading import Event, Thread

import psycopg

from tests.fix_process import Process
from tests.fix_store import Store

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

    def do_beside(self, writers: Sequence[Thread], stop: Event, steps: int, also: Callable[[], None]) -> None:
        """So many steps, each followed by `also`, beside writers, which have been told to end when it returns."""
        for writer in writers:
            writer.start()
        try:
            for _ in range(steps):
                time.sleep(self.chances.uniform(0.05, 1.2))
                self.step()
                also()
            self.come_back()
            time.sleep(1)
        finally:
            stop.set()
            for writer in writers:
                writer.join(60)

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
