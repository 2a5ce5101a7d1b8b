"""The embedded Postgres: made once, found again whatever happened, never left behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from s3gate.embedded import children
from s3gate.embedded.postgres import (
    SOCKET_PATH_LIMIT,
    Postgres,
    PostgresError,
    find_binaries,
    socket_directory,
)
from tests.embedded.fix_up import processes_with
from tests.fix_postgres import running_postgres, scratch_directory

ROOT = Path(__file__).resolve().parents[2]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")


@pytest.fixture
def home() -> Iterator[Path]:
    with scratch_directory("s3gate-t-") as directory:
        yield directory


def query(postgres: Postgres, text: str) -> object:
    with psycopg.connect(postgres.dsn("postgres"), autocommit=True) as connection:
        cursor = connection.execute(text)
        return cursor.fetchone() if cursor.description else None


def test_it_is_durable_by_default(database: str) -> None:
    with psycopg.connect(database) as connection:
        for name in ("fsync", "full_page_writes", "synchronous_commit"):
            assert connection.execute("SELECT current_setting(%s)", (name,)).fetchone() == ("on",)


def test_text_sorts_by_bytes(database: str) -> None:
    with psycopg.connect(database) as connection:
        rows = connection.execute("SELECT x FROM unnest(ARRAY['a','B','é','Z']) x ORDER BY x").fetchall()
    assert [row[0] for row in rows] == ["B", "Z", "a", "é"]


def test_databases_are_apart(make_database: Callable[[], str]) -> None:
    first, second = make_database(), make_database()
    with psycopg.connect(first, autocommit=True) as one, psycopg.connect(second, autocommit=True) as two:
        one.execute("CREATE TABLE only_here (x int)")
        assert two.execute("SELECT to_regclass('only_here')").fetchone() == (None,)
        assert two.execute("SELECT to_regclass('bucket') IS NOT NULL").fetchone() == (True,)


@pytest.mark.parametrize("mode", [0o711, 0o700])
def test_a_directory_that_others_may_enter_or_not(home: Path, mode: int) -> None:
    """As root: another uid, or a user namespace; as a user: ourselves. Twice, so that its owner is found again."""
    home.chmod(mode)
    for attempt in range(2):
        with running_postgres(home) as postgres:
            if attempt == 0:
                query(postgres, "CREATE TABLE kept AS SELECT 42 AS x")
            assert query(postgres, "SELECT x FROM kept") == (42,)
            if os.geteuid() == 0:
                namespace = postgres.identity.startswith("userns:")
                assert namespace == (mode == 0o700) == (postgres.data.stat().st_uid == 0)


def test_odd_paths(home: Path) -> None:
    odd = home / ('it\'s a "long, odd" name ü ' + "x" * 80)
    odd.mkdir()
    sockets = socket_directory(odd)
    assert sockets != odd / "run" and len(str(sockets)) < SOCKET_PATH_LIMIT
    with running_postgres(odd) as postgres:
        assert query(postgres, "SELECT 1") == (1,)
    shutil.rmtree(sockets)


def test_kill_9_and_a_stale_pid(home: Path) -> None:
    """A pid file that names a living process of somebody else does not keep the server from starting."""
    postgres = Postgres(home / "postgres", socket_directory(home))
    assert postgres.initialise(sync=False) is True
    assert postgres.initialise(sync=False) is False
    with open(home / "log", "ab") as log:
        server = postgres.start(log)
        postgres.wait_ready(server)
        query(postgres, "CREATE TABLE kept AS SELECT 42 AS x")
        server.kill()
        server.wait()
        pid_file = postgres.data / "postmaster.pid"
        lines = pid_file.read_text().split("\n")
        pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]))
        deadline = time.monotonic() + 10
        while True:  # the killed server's own children may hold its memory for a moment
            server = postgres.start(log)
            try:
                postgres.wait_ready(server)
                break
            except PostgresError:
                assert time.monotonic() < deadline
        assert query(postgres, "SELECT x FROM kept") == (42,)
        children.stop(server, children.FAST_SHUTDOWN, 5)


def test_a_half_made_cluster_is_made_anew(home: Path) -> None:
    rest = home / "postgres" / "data.new-1"
    rest.mkdir(parents=True)
    (rest / "PG_VERSION").write_text("18\n")
    with running_postgres(home) as postgres:
        assert query(postgres, "SELECT 1") == (1,)
    assert not rest.exists()


def test_versions_that_do_not_fit_are_told(home: Path) -> None:
    with pytest.raises(PostgresError, match=r"Postgres 7 .* was not found .*version 18"):
        find_binaries(find_binaries().directory, major=7)
    with pytest.raises(PostgresError, match="--postgres-bin"):
        find_binaries(home)


KILLED = """
import sys, time
from pathlib import Path
from tests.fix_postgres import running_postgres, scratch_directory
with scratch_directory("s3gate-k-") as home, running_postgres(home):
    print(home, flush=True)
    time.sleep(600)
"""


def test_nothing_is_left_when_the_tests_are_killed() -> None:
    process = subprocess.Popen([sys.executable, "-c", KILLED], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    home = Path(process.stdout.readline().strip())
    process.stdout.close()
    assert processes_with(f"{home}/postgres")
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 10
    while home.exists() or processes_with(f"{home}/postgres"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
