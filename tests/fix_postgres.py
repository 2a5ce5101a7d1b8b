"""A real Postgres: one server per pytest process, one database per test, cloned from a template.

Nothing is left behind, even when pytest is killed: the server dies with the process that started it, and a
janitor, which holds nothing but the end of a pipe, then removes its directory.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from s3gate.embedded import children
from s3gate.embedded.postgres import Postgres, socket_directory

ROOT = Path(__file__).resolve().parent.parent
SCHEMA = ROOT / "schema.sql"
TEMPLATE = "template_s3gate"
# What only a defect of ours could break, so that tests find it: checked in every store, it would cost each small write.
RULES = "".join(
    f"""
    ALTER TABLE {table}
        ADD CONSTRAINT {table}_extents CHECK (part_count = 0 OR length(extents) = 0),
        ADD CONSTRAINT {table}_marker
            CHECK (NOT marker OR (size = 0 AND part_count = 0 AND length(extents) = 0 AND lock = 0));
    """
    for table in ("object", "version")
)
STOP_SECONDS = 10.0

# Reads until whoever holds the other end of the pipe is gone, then removes the directories.
JANITOR = """
import os, shutil, sys, time
os.setsid()
sys.stdin.buffer.read()
for _ in range(200):
    left = [path for path in sys.argv[1:] if os.path.exists(path)]
    for path in left:
        shutil.rmtree(path, ignore_errors=True)
    if not left:
        break
    time.sleep(0.1)
"""


@contextmanager
def scratch_directory(prefix: str) -> Iterator[Path]:
    """A short path under the temporary directory that is removed even if we are killed with -9."""
    directory = Path(tempfile.mkdtemp(prefix=prefix))
    directory.chmod(0o711)
    janitor = subprocess.Popen([sys.executable, "-I", "-S", "-c", JANITOR, directory], stdin=subprocess.PIPE)
    try:
        yield directory
    finally:
        assert janitor.stdin is not None
        janitor.stdin.close()
        janitor.wait()


class DatabaseServer:
    """A running server and the databases that tests ask of it."""

    def __init__(self, postgres: Postgres) -> None:
        self.postgres = postgres
        self._numbers = itertools.count(1)
        self._admin = psycopg.connect(postgres.dsn("postgres"), autocommit=True)
        self._make_template()

    def _make_template(self) -> None:
        self._admin.execute(SQL("CREATE DATABASE {}").format(Identifier(TEMPLATE)))
        if SCHEMA.exists():
            with psycopg.connect(self.postgres.dsn(TEMPLATE), autocommit=True) as connection:
                connection.execute(SCHEMA.read_bytes())
                connection.execute(RULES.encode())

    def create(self, template: str = TEMPLATE) -> str:
        """The name of a fresh database cloned from the template."""
        name = f"test_{os.getpid()}_{next(self._numbers)}"
        statement = SQL("CREATE DATABASE {} TEMPLATE {}").format(Identifier(name), Identifier(template))
        self._admin.execute(statement)
        return name

    def drop(self, name: str) -> None:
        """Drop it whoever is still connected."""
        self._admin.execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(name)))

    def dsn(self, name: str) -> str:
        return self.postgres.dsn(name)

    def close(self) -> None:
        self._admin.close()


@contextmanager
def running_postgres(home: Path) -> Iterator[Postgres]:
    """A server on a fresh cluster under `home`, stopped at the end."""
    postgres = Postgres(home / "postgres", socket_directory(home))
    postgres.initialise(sync=False)
    with open(home / "postgres.log", "ab") as log:
        server = postgres.start(log)
    try:
        postgres.wait_ready(server)
        yield postgres
    finally:
        children.stop(server, children.FAST_SHUTDOWN, STOP_SECONDS)


@pytest.fixture(scope="session")
def database_server() -> Iterator[DatabaseServer]:
    """The pytest process's own server."""
    with ExitStack() as stack:
        home = stack.enter_context(scratch_directory("s3gate-pg-"))
        server = DatabaseServer(stack.enter_context(running_postgres(home)))
        stack.callback(server.close)
        yield server


@pytest.fixture
def database(database_server: DatabaseServer) -> Iterator[str]:
    """The DSN of an own, fresh database with the schema applied; dropped afterwards."""
    name = database_server.create()
    yield database_server.dsn(name)
    database_server.drop(name)


@pytest.fixture
def make_database(database_server: DatabaseServer) -> Iterator[Callable[[], str]]:
    """As `database`, for tests that need several."""
    names: list[str] = []

    def make() -> str:
        names.append(database_server.create())
        return database_server.dsn(names[-1])

    yield make
    for name in names:
        database_server.drop(name)
