"""A whole store as processes: Postgres, chunkds, gates and a worker on free ports, each to be killed at will.

    def test_something(store):                      # one for the whole run: 6 nodes, 2 gates; bring no harm to it
        store.client().put_object(...)

    def test_a_crash(make_store):                   # your own: kill what you like
        store = make_store(nodes=7, gates=2, own_postgres=True)
        store.nodes[3].kill()
        store.gates[0].restart()
        store.check()                               # `s3gate admin check` finds nothing

Every process dies with pytest, however pytest ends, and the directory goes too.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

import pytest

from s3gate.crypto.keyfile import KeyFile
from s3gate.embedded import children, commands, readiness
from s3gate.embedded.keys import RootKeys, keep, new_cluster_key
from s3gate.embedded.postgres import Postgres, socket_directory
from tests.fix_postgres import SCHEMA, DatabaseServer, scratch_directory
from tests.fix_process import Process, free_port
from tests.fix_tls import Certificate, make_certificate

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT_KEYS = RootKeys("AKIDTESTROOT00000000", "secretKey/with+odd=characters0123456789x")
REGION = "us-east-1"
READY_SECONDS = 30.0

# Tests wait for nothing that production may take its time for.
GATE_DEFAULTS = {
    "collect_seconds": "0.2",
    "write_wait_seconds": "5",
    "read_wait_seconds": "5",
    "failed_signatures_per_minute": "0",
}
NODE_DEFAULTS = {"free_floor_bytes": "64MiB"}


class Gate(Process):
    """A gate and where it listens."""

    endpoint: str
    port: int
    internal_port: int


class Store:
    """The processes of one store and how to use them."""

    def __init__(
        self,
        home: Path,
        *,
        database_url: str | None,
        nodes: int = 6,
        gates: int = 1,
        worker: bool = True,
        certificate: Certificate | None = None,
        gate_settings: Mapping[str, str] | None = None,
        node_settings: Mapping[str, str] | None = None,
    ) -> None:
        self.home = home
        self.certificate = certificate
        self.ca_file = str(certificate.cert) if certificate is not None else None
        self.access_key, self.secret_key = ROOT_KEYS
        self.region = REGION
        self._gate_settings = {**GATE_DEFAULTS, **(gate_settings or {})}
        self._node_settings = {**NODE_DEFAULTS, **(node_settings or {})}
        self._sockets = socket_directory(home)
        keep(home / "cluster.key", new_cluster_key)
        self.postgres: Process | None = None
        if database_url is None:
            database_url = self._make_postgres()
        keep(home / "kms.json", lambda: KeyFile.fresh().text())
        self.cluster = commands.Cluster(database_url, home / "cluster.key", ROOT_KEYS, home / "kms.json")
        self.gates = [self._make_gate(number) for number in range(1, gates + 1)]
        self.nodes = [self._make_node(number) for number in range(1, nodes + 1)]
        self.worker = self._make_worker("worker") if worker else None
        self.added_workers: list[Process] = []

    # --- making processes

    def _make_postgres(self) -> str:
        server = Postgres(self.home / "postgres", self._sockets)
        server.initialise(sync=False)
        self.postgres = Process("postgres", self.home / "postgres.log", server.start)
        self.postgres.stop_signal = children.FAST_SHUTDOWN
        self.postgres.start()
        assert self.postgres.child is not None
        server.wait_ready(self.postgres.child)
        import psycopg

        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            connection.execute(SCHEMA.read_bytes())
        return server.dsn()

    def gate_environment(self, **more: str) -> dict[str, str]:
        """What a gate, a worker or `s3gate admin` needs to know of this store."""
        own = commands.gate_variables(self.cluster, **{**self._gate_settings, **more})
        return commands.environment(_clean_environment(), own)

    def _make_gate(self, number: int) -> Gate:
        port, internal = free_port(), free_port()
        more = {"listen": f"127.0.0.1:{port}", "internal_listen": f"127.0.0.1:{internal}"}
        if self.certificate is not None:
            more |= {"tls_cert": str(self.certificate.cert), "tls_key": str(self.certificate.key)}
        environ = self.gate_environment(**more)
        name = f"gate-{number}"
        gate = Gate(name, self.home / f"{name}.log", _launcher(["s3gate", "serve"], environ))
        gate.port, gate.internal_port = port, internal
        gate.endpoint = f"{'https' if self.certificate else 'http'}://127.0.0.1:{port}"
        return gate

    def _make_node(self, number: int, **more: str) -> Process:
        join = ",".join(f"http://127.0.0.1:{gate.internal_port}" for gate in self.gates)
        own = commands.chunkd_variables(
            self.cluster,
            self.node_directory(number),
            self._sockets / f"n{number}.sock",
            join,
            **{**self._node_settings, **more},
        )
        environ = commands.environment(_clean_environment(), own)
        name = f"node-{number}"
        return Process(name, self.home / f"{name}.log", _launcher(["chunkd", "serve"], environ))

    def _make_worker(self, name: str) -> Process:
        return Process(name, self.home / f"{name}.log", _launcher(["s3gate", "work"], self.gate_environment()))

    def node_directory(self, number: int) -> Path:
        """The data of the node with that number, counted from 1."""
        return self.home / "nodes" / str(number)

    def node_sockets(self) -> list[Path]:
        """Where each node listens beside its port."""
        return [self._sockets / f"n{number}.sock" for number in range(1, len(self.nodes) + 1)]

    def add_node(self, **settings: str) -> Process:
        """One more chunkd, started now; it joins by itself."""
        node = self._make_node(len(self.nodes) + 1, **settings)
        self.nodes.append(node)
        node.start()
        return node

    def add_worker(self) -> Process:
        """One more worker, started now, beside the first."""
        worker = self._make_worker(f"worker-{len(self.added_workers) + 2}")
        self.added_workers.append(worker)
        worker.start()
        return worker

    # --- running

    def processes(self) -> list[Process]:
        """All, in the order of stopping."""
        rest = [
            process for process in (*self.nodes, *self.added_workers, self.worker, self.postgres) if process is not None
        ]
        return [*self.gates, *rest]

    def start(self) -> None:
        """Start what does not run and wait until every gate takes requests."""
        (self.home / "nodes").mkdir(exist_ok=True)
        if self.postgres is not None and not self.postgres.running:
            self.postgres.start()
        for process in self.processes():
            if not process.running:
                process.start()
        self.wait_ready()

    def wait_ready(self, seconds: float = READY_SECONDS) -> None:
        """Until every gate that runs would take a PUT."""
        deadline = time.monotonic() + seconds
        for gate in self.gates:
            while gate.running and not is_ready(gate.port, tls=self.certificate is not None):
                assert time.monotonic() < deadline, f"{gate.name} is not ready\n{self.log_tails()}"
                time.sleep(0.02)
            assert gate.running, f"{gate.name} ended\n{self.log_tails()}"

    def stop(self) -> None:
        """Everything, at once and for good."""
        for process in self.processes():
            if process.child is not None:
                process.child.kill()
        for process in self.processes():
            if process.child is not None:
                process.child.wait()

    def log_tails(self, lines: int = 15) -> str:
        """The last words of every process."""
        tails = []
        for process in self.processes():
            tail = "\n".join(process.log_text().splitlines()[-lines:])
            tails.append(f"--- {process.name} ({'running' if process.running else 'ended'})\n{tail}")
        return "\n".join(tails)

    # --- using

    @property
    def endpoint(self) -> str:
        return self.gates[0].endpoint

    def client(self, gate: int = 0, *, endpoint: str | None = None, **config: Any) -> Any:
        """A boto3 client without retries; `config` goes to botocore's Config."""
        from botocore.config import Config

        options: dict[str, Any] = {"retries": {"total_max_attempts": 1}, "s3": {"addressing_style": "path"}}
        with making_clients:  # a session is not for several threads; its clients are
            return boto3_session().client(
                "s3",
                endpoint_url=endpoint or self.gates[gate].endpoint,
                region_name=self.region,
                aws_access_key_id=self.access_key,
                aws_secret_access_key=self.secret_key,
                verify=self.ca_file,
                config=Config(**{**options, **config}),
            )

    def client_environment(self, gate: int = 0) -> dict[str, str]:
        """For command line clients: credentials, endpoint, trust, and nothing of the user's own configuration."""
        environ = {
            **_clean_environment(),
            "HOME": str(self.home),
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ENDPOINT_URL": self.gates[gate].endpoint,
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        if self.certificate is not None:
            environ |= {"AWS_CA_BUNDLE": str(self.certificate.cert), "SSL_CERT_FILE": str(self.certificate.cert)}
        return environ

    def admin(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `s3gate admin …`."""
        return subprocess.run(
            [sys.executable, "-m", "s3gate", "admin", *arguments],
            env=self.gate_environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def check(self) -> None:
        """Rows to shards and shards to rows: fails with the report unless everything agrees."""
        result = self.admin("check")
        assert result.returncode == 0, f"{result.stdout}\n{result.stderr}"


making_clients = threading.Lock()


def is_ready(port: int, *, tls: bool = False) -> bool:
    """Whether the gate there would take a PUT now."""
    found = readiness.ask(("127.0.0.1", port), tls=tls)
    return found is not None and found.ready


@cache
def boto3_session() -> Any:
    """One for all: it keeps the model of S3, which takes a while to read."""
    import boto3

    return boto3.session.Session()


def _launcher(command: Sequence[str], environ: Mapping[str, str]) -> Callable[[IO[bytes]], subprocess.Popen[bytes]]:
    module, *arguments = command
    return lambda log: children.start(commands.python(module, *arguments), environ=environ, log=log)


def _clean_environment() -> dict[str, str]:
    """Ours without what would steer a store or a client."""
    prefixes = ("S3GATE_", "CHUNKD_", "AWS_", "RCLONE_", "PG")
    return {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}


class MakeStore(Protocol):
    """What the fixture `make_store` is: the arguments are those of `Store`."""

    def __call__(
        self,
        *,
        nodes: int = 6,
        gates: int = 1,
        worker: bool = True,
        tls: bool = False,
        own_postgres: bool = False,
        start: bool = True,
        gate_settings: Mapping[str, str] | None = None,
        node_settings: Mapping[str, str] | None = None,
    ) -> Store: ...


def store_factory(stack: ExitStack, server: Callable[[], DatabaseServer]) -> MakeStore:
    """A function that makes stores which end with `stack`."""

    def make(*, tls: bool = False, own_postgres: bool = False, start: bool = True, **arguments: Any) -> Store:
        home = stack.enter_context(scratch_directory("s3gate-st-"))
        database_url = None
        if not own_postgres:
            name = server().create()
            stack.callback(server().drop, name)
            database_url = server().dsn(name)
        certificate = make_certificate(home) if tls else None
        store = Store(home, database_url=database_url, certificate=certificate, **arguments)
        stack.callback(store.stop)
        if start:
            store.start()
        return store

    return make


@pytest.fixture
def make_store(request: pytest.FixtureRequest) -> Iterator[MakeStore]:
    """Makes stores for one test, which may break them."""
    with ExitStack() as stack:
        yield store_factory(stack, lambda: _server(request))


@pytest.fixture(scope="module")
def make_module_store(request: pytest.FixtureRequest) -> Iterator[MakeStore]:
    """Makes stores for the tests of one file."""
    with ExitStack() as stack:
        yield store_factory(stack, lambda: _server(request))


@pytest.fixture(scope="session")
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """One store for all tests that bring no harm to it: 6 nodes, 2 gates."""
    with ExitStack() as stack:
        yield store_factory(stack, lambda: _server(request))(gates=2)


@pytest.fixture(scope="session")
def tls_store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """As `store`, over https."""
    with ExitStack() as stack:
        yield store_factory(stack, lambda: _server(request))(tls=True)


def _server(request: pytest.FixtureRequest) -> DatabaseServer:
    server: DatabaseServer = request.getfixturevalue("database_server")
    return server
