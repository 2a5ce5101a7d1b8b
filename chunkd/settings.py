"""What an operator may set for a chunkd: one table, from which flags, variables and documentation come.

Every row is a flag of `serve` (`--data-dir`) and a variable (`CHUNKD_DATA_DIR`); the flag wins. Read once
into a frozen value. This file knows names, units and defaults, and not what they are used for.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from chunkd.wire import ClusterKey, WireError

PREFIX = "CHUNKD_"
_HOST_AND_PORT = re.compile(r"(\[[^\]]*\]|[^:]*):\d+")
MAX_SOCKET_PATH = 107
"""What the kernel takes in a sockaddr_un."""


class SettingsError(ValueError):
    """A setting that cannot be used; the message names it."""


class Setting(NamedTuple):
    """One row of the table."""

    name: str
    default: str
    text: str

    @property
    def variable(self) -> str:
        """Its environment variable."""
        return PREFIX + self.name.upper()

    @property
    def flag(self) -> str:
        """Its flag on the command line."""
        return "--" + self.name.replace("_", "-")


TABLE = (
    Setting("data_dir", "", "Directory of this node's shards: one disk, one directory, one process. Required."),
    Setting("listen", "127.0.0.1:9100", "HOST:PORT to listen on; port 0 takes any free one."),
    Setting("socket", "", "Path of a unix socket to listen on as well, for gates on the same host."),
    Setting("join", "", "URLs of gates' internal ports, comma separated. Empty: stand alone."),
    Setting("cluster_key", "", "The cluster key itself; CLUSTER_KEY_FILE is the better place."),
    Setting("cluster_key_file", "", "File that holds the cluster key, readable by its owner only."),
    Setting("advertise", "", "HOST or HOST:PORT at which gates reach this node. Default: what it listens on."),
    Setting("host", "", "Name of the machine; groups avoid two nodes on one. Default: the host name."),
    Setting("zone", "", "Name of the failure zone (rack, room); groups avoid two nodes in one."),
    Setting("trash_seconds", "86400", "How long a deleted shard stays readable; longer than the longest read."),
    Setting("free_floor_bytes", "1GiB", "With less free space than this the node calls itself full."),
    Setting("scrub_seconds", "2592000", "One verification of everything takes this long."),
    Setting("expect_node_id", "", "Start only if the directory holds this node: notices an unmounted disk."),
    Setting("die_with_parent", "", "Process id of the parent: end when it ends (Linux)."),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """The values of the table, with their types."""

    data_dir: Path
    listen_host: str
    listen_port: int
    socket: str
    join: tuple[str, ...]
    key: ClusterKey
    advertise: str
    host: str
    zone: str
    trash_seconds: float
    free_floor_bytes: int
    scrub_seconds: float
    expect_node_id: str
    die_with_parent: int

    @classmethod
    def read(cls, given: Mapping[str, str | None], environment: Mapping[str, str]) -> Settings:
        """Flags first, then variables, then defaults."""
        raw = {}
        for setting in TABLE:
            flag = given.get(setting.name)
            raw[setting.name] = environment.get(setting.variable, setting.default) if flag is None else flag
        if not raw["data_dir"]:
            raise SettingsError("--data-dir (CHUNKD_DATA_DIR) is required")
        host, port = _typed("listen", raw, parse_address)
        return cls(
            data_dir=Path(raw["data_dir"]),
            listen_host=host,
            listen_port=port,
            socket=_typed("socket", raw, _socket_path),
            join=_typed("join", raw, _urls),
            key=read_key(raw["cluster_key"], raw["cluster_key_file"]),
            advertise=raw["advertise"],
            host=raw["host"] or socket.gethostname(),
            zone=raw["zone"],
            trash_seconds=_typed("trash_seconds", raw, _seconds),
            free_floor_bytes=_typed("free_floor_bytes", raw, parse_size),
            scrub_seconds=_typed("scrub_seconds", raw, _seconds),
            expect_node_id=raw["expect_node_id"],
            die_with_parent=_typed("die_with_parent", raw, _process_id),
        )

    def advertised(self, port: int) -> str:
        """The address for gates, given the port that is really listened on."""
        host = self.advertise or self.listen_host
        if self.advertise and _HOST_AND_PORT.fullmatch(self.advertise):
            return self.advertise
        if host in ("0.0.0.0", "::"):
            raise SettingsError("listening on all interfaces needs --advertise HOST (CHUNKD_ADVERTISE)")
        return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """Variables that carry our prefix and mean nothing: most likely misspelt, so an entry point says so."""
    known = {setting.variable for setting in TABLE}
    return sorted(name for name in environment if name.startswith(PREFIX) and name not in known)


def read_key(text: str, path: str) -> ClusterKey:
    """The cluster key from itself or from its file, which nobody else may read."""
    if not text:
        if not path:
            raise SettingsError("--cluster-key-file (CHUNKD_CLUSTER_KEY_FILE) is required")
        try:
            if os.stat(path).st_mode & 0o077:
                raise SettingsError(f"{path} may be readable by its owner only (chmod 600)")
            text = Path(path).read_text("ascii")
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"cannot read the cluster key: {error}") from error
    try:
        return ClusterKey.parse(text)
    except WireError as error:
        raise SettingsError(str(error)) from error


def parse_address(text: str) -> tuple[str, int]:
    """`HOST:PORT`, `[v6]:PORT` or `:PORT`."""
    host, colon, port = text.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise ValueError("expected HOST:PORT")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError("expected [IPv6 address]:PORT")
    return host or "0.0.0.0", int(port)


_UNITS = {"": 1, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40}


def parse_size(text: str) -> int:
    """Bytes, plain or with KiB, MiB, GiB, TiB."""
    matched = re.fullmatch(r"(\d+)\s*([A-Za-z]*)", text.strip())
    if matched is None or matched[2].upper() not in _UNITS:
        raise ValueError("expected bytes, such as 65536 or 1GiB")
    return int(matched[1]) * _UNITS[matched[2].upper()]


def _typed(name: str, raw: Mapping[str, str], parse: Callable[[str], Any]) -> Any:
    try:
        return parse(raw[name])
    except ValueError as error:
        flag = "--" + name.replace("_", "-")
        raise SettingsError(f"{flag} (CHUNKD_{name.upper()}) is {raw[name]!r}: {error}") from error


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e10:
        raise ValueError("expected seconds, more than zero")
    return value


def _process_id(text: str) -> int:
    if text and not (text.isascii() and text.isdecimal()):
        raise ValueError("expected a process id")
    return int(text or "0")


def _socket_path(text: str) -> str:
    if len(os.fsencode(text)) > MAX_SOCKET_PATH:
        raise ValueError(f"a socket's path has at most {MAX_SOCKET_PATH} bytes")
    return text


def _urls(text: str) -> tuple[str, ...]:
    urls = tuple(url.strip().rstrip("/") for url in text.split(",") if url.strip())
    for url in urls:
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname or parts.path or parts.query:
            raise ValueError("expected http://HOST:PORT[,…]")
    return urls
