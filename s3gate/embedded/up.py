"""`s3gate up`: the whole store on one machine, in one directory, until ctrl-C.

    DATA/lock          held while it runs: a second `up` is refused
    DATA/cluster.key   what gates and chunkds know each other by (0600)
    DATA/root.key      access key and secret of the root user (0600)
    DATA/kms.json      the keys of what is stored encrypted (0600)
    DATA/store.json    how to reach the running store, for `s3gate admin --data-dir` (0600)
    DATA/postgres      the metadata        DATA/nodes/N   one chunkd each        DATA/logs

It decides what runs and in which order; the supervisor keeps it running. It knows no S3, shard or table.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from s3gate.crypto.keyfile import KeyFile
from s3gate.embedded import children, commands, keys, readiness
from s3gate.embedded.postgres import CONNECT_PAUSE_SECONDS, Postgres, PostgresError, socket_directory
from s3gate.embedded.running import Running, RunningError, store_file
from s3gate.embedded.supervisor import Process, Stopping, Supervisor
from s3gate.files import write_secret
from s3gate.settings import PREFIX, Address, Settings, SettingsError

LEAST_NODES = 6
BACKLOG = 1024
READY_PAUSE_SECONDS = 0.02
HOPELESS_DEATHS = 5
HOPELESS_STATUSES = {"s3gate": frozenset({2}), "chunkd": frozenset({2, 3, 4})}
"""By which our own programs say that only an operator can help."""
LOG_KEPT_BYTES = 16 << 20
LOG_SHOWN_LINES = 15
PATIENCE_SECONDS = 10.0
STAGE_GATES, STAGE_KEEPERS = 1, 2


class UpError(RuntimeError):
    """The store cannot be started; the message is for the person at the terminal."""


@dataclass(frozen=True, slots=True)
class Options:
    """The command line. What is None is decided by the data directory, the environment or the machine."""

    data_dir: Path
    nodes: int | None = None
    gates: int | None = None
    postgres_bin: Path | None = None
    ready_file: Path | None = None
    identities: Path | None = None


def up(
    options: Options,
    environ: Mapping[str, str],
    say: Callable[[str], None],
    announce: Callable[[Running], None],
) -> None:
    """Start everything, call `announce` when it takes requests, and stay until somebody asks to stop."""
    settings = Settings.read(environ)
    if options.nodes is not None and options.nodes < LEAST_NODES:
        raise UpError(f"--nodes {options.nodes}: a layout of six shards needs at least {LEAST_NODES} nodes")
    if options.gates is not None and options.gates < 1:
        raise UpError(f"--gates {options.gates}: at least one is needed")
    data_dir = options.data_dir.resolve()
    with ExitStack() as stack:
        stack.enter_context(locked(data_dir))
        supervisor = Supervisor(say)
        stack.enter_context(supervisor.signals())
        store = Store(options, settings, environ, data_dir, supervisor)
        stack.callback(store.close)
        stack.callback(supervisor.stop)
        try:
            running = store.start()
            announce(running)
            if options.ready_file is not None:  # last of all: who waits for it finds everything said
                write_secret(options.ready_file, running.as_json())
            supervisor.run()
        except Stopping:
            pass
        say("stopping")
    say("stopped")


@contextmanager
def locked(data_dir: Path) -> Iterator[None]:
    """One `up` per directory. The kernel drops the lock when we end, however we end."""
    try:
        data_dir.mkdir(mode=0o711, parents=True, exist_ok=True)
        descriptor = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise UpError(f"cannot use {data_dir}: {error}") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode("ascii", "replace").strip() or "unknown"
            raise UpError(f"{data_dir} is in use by another `s3gate up` (pid {holder})") from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


class Store:
    """The processes of one store and what they share."""

    def __init__(
        self,
        options: Options,
        settings: Settings,
        environ: Mapping[str, str],
        data_dir: Path,
        supervisor: Supervisor,
    ) -> None:
        self.options = options
        self.settings = settings
        self.environ = environ
        self.data_dir = data_dir
        self.supervisor = supervisor
        self.patience_ends = time.monotonic() + PATIENCE_SECONDS
        self.sockets = socket_directory(data_dir)
        (data_dir / "logs").mkdir(mode=0o700, exist_ok=True)
        self.root = keys.root_keys(data_dir / "root.key", environ)
        self.cluster_key_file = data_dir / "cluster.key"
        keys.keep(self.cluster_key_file, keys.new_cluster_key)
        self.kms_keys_file = settings.kms_keys_file or data_dir / "kms.json"
        keys.keep(self.kms_keys_file, lambda: KeyFile.fresh().text())
        self.listener = listen(settings.listen)
        self.internal = listen(self._internal_address())
        self.cluster = commands.Cluster(settings.database_url, self.cluster_key_file, self.root, self.kms_keys_file)

    def _internal_address(self) -> Address:
        if self.environ.get(PREFIX + "INTERNAL_LISTEN"):
            return self.settings.internal_listen
        port = self.settings.listen.port
        beside = Address("127.0.0.1", port + 1 if 0 < port < 65535 else 0)
        return beside if is_free(beside) else Address("127.0.0.1", 0)

    def start(self) -> Running:
        """The nodes load while Postgres starts; then the gates, whose sockets listen already; last the worker."""
        nodes = self._node_count()
        gates = self.options.gates or max(1, (os.cpu_count() or 1) // 2)
        postgres = None if self.settings.database_url else self._make_postgres()
        for number in range(1, nodes + 1):
            self._start_node(number)
        if postgres is not None:
            self._start_postgres(postgres)
        for number in range(1, gates + 1):
            self._start_gate(number)
        self._await(lambda: self._answers(nodes), READY_PAUSE_SECONDS)
        self._make_identities()
        self._start_worker()
        running = self._running(nodes, gates)
        write_secret(store_file(self.data_dir), running.as_json())
        return running

    def _await(self, condition: Callable[[], bool], pause_seconds: float) -> None:
        while not condition():
            self.supervisor.tend()
            for process in self.supervisor.processes:
                if process.is_hopeless or process.quick_deaths >= HOPELESS_DEATHS:
                    raise UpError(f"{process.name} does not start; {process.log} ends:\n{_tail(Path(process.log))}")
            self.supervisor.pause(pause_seconds)

    def _answers(self, nodes: int) -> bool:
        """Whether it takes requests. Those that write may have to wait, for room or for an operator; deletions need
        the worker, which is started afterwards."""
        found = readiness.ask(reachable(self.listener), tls=self.settings.tls_cert is not None)
        state = "the gate does not answer yet" if found is None else str(found)
        if found is not None and found.answers(nodes):
            if not found.ready:
                self.supervisor.say(f"NO WRITES ARE TAKEN NOW: {state}")
            return True
        if time.monotonic() > self.patience_ends:
            self.supervisor.say(f"still waiting: {state}")
            self.patience_ends = time.monotonic() + PATIENCE_SECONDS
        return False

    def _running(self, nodes: int, gates: int) -> Running:
        scheme = "https" if self.settings.tls_cert is not None else "http"
        return Running(
            endpoint=f"{scheme}://{reachable(self.listener)}",
            internal_url=self.internal_url,
            region=self.settings.region,
            access_key=self.root.access_key,
            secret_key=self.root.secret_key,
            nodes=nodes,
            gates=gates,
            data_dir=str(self.data_dir),
            database_url=self.cluster.database_url,
            cluster_key_file=str(self.cluster_key_file),
            kms_keys_file=str(self.kms_keys_file),
            pid=os.getpid(),
        )

    @property
    def internal_url(self) -> str:
        return f"http://{reachable(self.internal)}"

    def _node_count(self) -> int:
        """As many as asked for, and up to the last that the directory has: each of them keeps shards."""
        (self.data_dir / "nodes").mkdir(mode=0o700, exist_ok=True)
        found = {int(entry.name) for entry in (self.data_dir / "nodes").iterdir() if entry.name.isdigit()}
        last = max(found, default=0)
        wanted = self.options.nodes or LEAST_NODES
        for number in sorted(set(range(1, last + 1)) - found):
            self.supervisor.say(f"node-{number} has no directory any more: it starts empty, what it kept is missing")
        if self.options.nodes is not None and last > wanted:
            self.supervisor.say(f"{last} nodes keep shards in this directory: starting all of them")
        return max(last, wanted)

    def _make_postgres(self) -> Postgres:
        return Postgres(self.data_dir / "postgres", self.sockets, given=self.options.postgres_bin)

    def _start_postgres(self, postgres: Postgres) -> None:
        if not postgres.data.exists():
            self.supervisor.say("making the database")
        postgres.initialise()
        path, log = self._log("postgres")
        process = Process("postgres", lambda: postgres.start(log), STAGE_KEEPERS, children.FAST_SHUTDOWN, str(path))
        self.supervisor.start(process)
        self._await(postgres.answers, CONNECT_PAUSE_SECONDS)
        self.cluster = replace(self.cluster, database_url=postgres.dsn())

    def _start_node(self, number: int) -> None:
        own = commands.chunkd_variables(
            self.cluster,
            self.data_dir / "nodes" / str(number),
            self.sockets / f"node-{number}.sock",
            self.internal_url,
        )
        self._start(f"node-{number}", "chunkd", ["serve"], own, STAGE_KEEPERS)

    def _start_gate(self, number: int) -> None:
        descriptors = [self.listener.fileno(), self.internal.fileno()]
        listen_fd, internal_fd = map(str, descriptors)
        own = commands.gate_variables(self.cluster, listen_fd=listen_fd, internal_fd=internal_fd)
        self._start(f"gate-{number}", "s3gate", ["serve"], own, STAGE_GATES, descriptors)

    def _make_identities(self) -> None:
        """Those of the file, before anybody is told that the store takes requests."""
        if self.options.identities is None:
            return
        command = commands.python("s3gate", "admin", "apply", str(self.options.identities.resolve()))
        environ = commands.environment(self.environ, commands.gate_variables(self.cluster))
        no_input, said = subprocess.DEVNULL, subprocess.PIPE
        done = subprocess.run(command, env=environ, stdin=no_input, stdout=said, stderr=subprocess.STDOUT, check=False)
        text = done.stdout.decode("utf-8", "replace").strip()
        if done.returncode:
            raise UpError(f"--identities {self.options.identities}: {text}")
        if text:
            self.supervisor.say(text)

    def _start_worker(self) -> None:
        self._start("worker", "s3gate", ["work"], commands.gate_variables(self.cluster), STAGE_GATES)

    def _start(
        self,
        name: str,
        module: str,
        arguments: list[str],
        own: Mapping[str, str],
        stage: int,
        descriptors: list[int] | None = None,
    ) -> None:
        command = commands.python(module, *arguments)
        environ = commands.environment(self.environ, own)
        path, log = self._log(name)
        self.supervisor.start(
            Process(
                name,
                lambda: children.start(command, environ=environ, log=log, descriptors=descriptors or ()),
                stage,
                log=str(path),
                hopeless=HOPELESS_STATUSES[module],
            )
        )

    def _log(self, name: str) -> tuple[Path, int]:
        """An open log for a child. It stays open, because the child may be started again."""
        path = self.data_dir / "logs" / f"{name}.log"
        if path.exists() and path.stat().st_size > LOG_KEPT_BYTES:
            path.replace(path.with_suffix(".log.1"))
        return path, os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def close(self) -> None:
        """What a running store shows of itself goes; what it keeps stays."""
        self.listener.close()
        self.internal.close()
        for path in filter(None, (store_file(self.data_dir), self.options.ready_file)):
            path.unlink(missing_ok=True)
        shutil.rmtree(self.sockets, ignore_errors=True)


def _tail(log: Path) -> str:
    return "\n".join(log.read_text("utf-8", "replace").splitlines()[-LOG_SHOWN_LINES:])


def listen(address: Address) -> socket.socket:
    """A listening socket that gates inherit: what waits in its queue survives a gate."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind(tuple(address))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise UpError(f"cannot listen on {address}: {error.strerror}") from None
    return sock


def is_free(address: Address) -> bool:
    """Whether the port could be bound now."""
    try:
        listen(address).close()
    except UpError:
        return False
    return True


def reachable(sock: socket.socket) -> Address:
    """How somebody on this machine reaches the socket."""
    host, port = sock.getsockname()[:2]
    return Address({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port)


EXPECTED_ERRORS = (UpError, PostgresError, SettingsError, keys.KeyFileError, RunningError, OSError)


def complain(error: Exception) -> int:
    """An expected failure, for the person at the terminal."""
    print(f"s3gate: {error}", file=sys.stderr, flush=True)
    return 1
