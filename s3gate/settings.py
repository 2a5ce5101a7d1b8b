"""What an operator may set: read once from the environment into one frozen value.

This file knows names, units, defaults and what is not acceptable. It refuses to know what any setting is used
for: rooms receive the value and take from it what they need. Secrets are kept out of `repr`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")
PREFIX = "S3GATE_"
LAYOUTS = ("6+0",)
OWNERSHIPS = ("BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter")
PLACEMENTS = ("load", "round-robin", "consistent-hash")
KIB = 1 << 10
MIB = 1 << 20
DATA_SHARDS = 6
MAX_SEGMENT_BYTES = 64 * MIB

_UNITS = {"": 1, "B": 1, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40}
_LABEL = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_SIZE = re.compile(r"(\d+)\s*([A-Za-z]*)")


class SettingsError(ValueError):
    """A variable holds what cannot be used; the message names the variable and what was expected."""


class Address(NamedTuple):
    """Where to listen, or whom to call. An empty host never occurs: `:9000` is read as all interfaces."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """`host:port`, `[v6]:port` or `:port`."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError("expected HOST:PORT")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError("expected [IPv6 address]:PORT")
    return Address(host or "0.0.0.0", int(port))


def parse_size(text: str) -> int:
    """Bytes, plain or with KiB, MiB, GiB, TiB."""
    match = _SIZE.fullmatch(text.strip())
    if match is None or match[2].upper() not in _UNITS:
        raise ValueError("expected a number of bytes such as 65536, 64KiB or 1MiB")
    return int(match[1]) * _UNITS[match[2].upper()]


def parse_seconds(text: str) -> float:
    """Seconds, fractions allowed; never negative, infinite or NaN."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e10:
        raise ValueError("expected seconds, zero or more")
    return value


def parse_count(text: str) -> int:
    """A number, zero or more."""
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise ValueError("expected a number, zero or more")
    return int(text)


def parse_switch(text: str) -> bool:
    """on/off, and what people write instead."""
    lowered = text.strip().lower()
    if lowered in ("on", "true", "yes", "1"):
        return True
    if lowered in ("off", "false", "no", "0"):
        return False
    raise ValueError("expected on or off")


def parse_list(text: str) -> tuple[str, ...]:
    """Comma-separated names, lower case, blanks dropped."""
    return tuple(item.strip().lower() for item in text.split(",") if item.strip())


def parse_labels(text: str) -> tuple[str, ...]:
    """Comma-separated words of capitals, digits and underscores."""
    labels = tuple(item.strip() for item in text.split(",") if item.strip())
    if not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError("expected names such as STANDARD_IA,GLACIER")
    return labels


def parse_placement(text: str) -> str:
    """One of the three strategies of `geometry/placement.py`."""
    if text not in PLACEMENTS:
        raise ValueError(f"expected one of {', '.join(PLACEMENTS)}")
    return text


def parse_ownership(text: str) -> str:
    """Who owns the objects that others write into a new bucket."""
    if text not in OWNERSHIPS:
        raise ValueError(f"expected one of {', '.join(OWNERSHIPS)}")
    return text


def parse_layout(text: str) -> str:
    """A layout that this version writes."""
    if text not in LAYOUTS:
        raise ValueError(f"layout {text} is not built yet; there is {', '.join(LAYOUTS)}")
    return text


def parse_log(text: str) -> str:
    """`off`, `-` for standard output, or a path. Kept as text; off is the empty string."""
    return "" if text.strip().lower() == "off" else text


def _setting(variable: str, default: T, parse: Callable[[str], T], *, secret: bool = False) -> T:
    return field(default=default, repr=not secret, metadata={"variable": PREFIX + variable, "parse": parse})


def _optional(parse: Callable[[str], T]) -> Callable[[str], T | None]:
    return lambda text: parse(text) if text else None


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a gate or a worker is told. Field names carry their unit."""

    database_url: str = _setting("DATABASE_URL", "", str, secret=True)
    cluster_key: str = _setting("CLUSTER_KEY", "", str.strip, secret=True)
    cluster_key_file: Path | None = _setting("CLUSTER_KEY_FILE", None, _optional(Path))
    root_access_key: str = _setting("ROOT_ACCESS_KEY", "", str)
    root_secret_key: str = _setting("ROOT_SECRET_KEY", "", str, secret=True)
    region: str = _setting("REGION", "us-east-1", str)
    listen: Address = _setting("LISTEN", Address("127.0.0.1", 9000), parse_address)
    # A socket that the supervisor bound before it started us: it outlives a gate, so that connections that
    # wait in its queue are taken by the next one.
    listen_fd: int | None = _setting("LISTEN_FD", None, _optional(parse_count))
    internal_listen: Address = _setting("INTERNAL_LISTEN", Address("127.0.0.1", 9001), parse_address)
    internal_fd: int | None = _setting("INTERNAL_FD", None, _optional(parse_count))
    base_domains: tuple[str, ...] = _setting("BASE_DOMAINS", (), parse_list)
    website_domains: tuple[str, ...] = _setting("WEBSITE_DOMAINS", (), parse_list)
    tls_cert: Path | None = _setting("TLS_CERT", None, _optional(Path))
    tls_key: Path | None = _setting("TLS_KEY", None, _optional(Path))
    layout: str = _setting("LAYOUT", "6+0", parse_layout)
    unit_bytes: int = _setting("UNIT_BYTES", 512 * KIB, parse_size)
    floor_bytes: int = _setting("FLOOR_BYTES", 64 * KIB, parse_size)
    segment_bytes: int = _setting("SEGMENT_BYTES", 0, parse_size)  # 0 becomes the most whole rows
    placement: str = _setting("PLACEMENT", "load", parse_placement)
    cache_bytes: int = _setting("CACHE_BYTES", 64 * MIB, parse_size)
    body_budget_bytes: int = _setting("BODY_BUDGET_BYTES", 96 * MIB, parse_size)
    write_wait_seconds: float = _setting("WRITE_WAIT_SECONDS", 10.0, parse_seconds)
    read_wait_seconds: float = _setting("READ_WAIT_SECONDS", 10.0, parse_seconds)
    upload_expiry_seconds: float = _setting("UPLOAD_EXPIRY_SECONDS", 604_800.0, parse_seconds)
    tombstone_seconds: float = _setting("TOMBSTONE_SECONDS", 604_800.0, parse_seconds)
    session_timeout_seconds: float = _setting("SESSION_TIMEOUT_SECONDS", 30.0, parse_seconds)
    collect_seconds: float = _setting("COLLECT_SECONDS", 2.0, parse_seconds)
    lifecycle_day_seconds: float = _setting("LIFECYCLE_DAY_SECONDS", 86_400.0, parse_seconds)
    kms_keys_file: Path | None = _setting("KMS_KEYS_FILE", None, _optional(Path))
    sse_c_over_http: bool = _setting("SSE_C_OVER_HTTP", False, parse_switch)
    storage_classes: tuple[str, ...] = _setting("STORAGE_CLASSES", (), parse_labels)
    object_ownership: str = _setting("OBJECT_OWNERSHIP", OWNERSHIPS[0], parse_ownership)
    block_public_access: bool = _setting("BLOCK_PUBLIC_ACCESS", True, parse_switch)
    sigv2: bool = _setting("SIGV2", True, parse_switch)
    access_log: str = _setting("ACCESS_LOG", "", parse_log)
    audit_log: str = _setting("AUDIT_LOG", "", parse_log)
    audit_log_bytes: int = _setting("AUDIT_LOG_BYTES", 100 * MIB, parse_size)
    audit_log_files: int = _setting("AUDIT_LOG_FILES", 10, parse_count)
    failed_signatures_per_minute: int = _setting("FAILED_SIGNATURES_PER_MINUTE", 300, parse_count)
    failed_signature_delay_seconds: float = _setting("FAILED_SIGNATURE_DELAY_SECONDS", 0.25, parse_seconds)

    def __post_init__(self) -> None:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise SettingsError("S3GATE_TLS_CERT and S3GATE_TLS_KEY: give both or neither")
        if not self.lifecycle_day_seconds >= 1:
            raise SettingsError("S3GATE_LIFECYCLE_DAY_SECONDS: expected one second or more")
        if bool(self.root_access_key) != bool(self.root_secret_key):
            raise SettingsError("S3GATE_ROOT_ACCESS_KEY and S3GATE_ROOT_SECRET_KEY: give both or neither")
        if self.unit_bytes < 1 or not 1 <= self.floor_bytes <= self.unit_bytes:
            raise SettingsError("S3GATE_FLOOR_BYTES: expected 1 byte up to S3GATE_UNIT_BYTES")
        row_bytes = DATA_SHARDS * self.unit_bytes
        if row_bytes > MAX_SEGMENT_BYTES:
            raise SettingsError("S3GATE_UNIT_BYTES: six of them must fit into a segment of 64MiB")
        if self.segment_bytes == 0:
            object.__setattr__(self, "segment_bytes", MAX_SEGMENT_BYTES // row_bytes * row_bytes)
        if not 0 < self.segment_bytes <= MAX_SEGMENT_BYTES or self.segment_bytes % row_bytes:
            raise SettingsError(f"S3GATE_SEGMENT_BYTES: expected whole rows of {row_bytes} bytes, at most 64MiB")

    def cluster_key_text(self) -> str:
        """The cluster key's one line, from the variable or else from the file."""
        if self.cluster_key:
            return self.cluster_key
        if self.cluster_key_file is None:
            raise SettingsError("S3GATE_CLUSTER_KEY or S3GATE_CLUSTER_KEY_FILE: one of them is needed")
        try:
            return self.cluster_key_file.read_text("ascii").strip()
        except (OSError, UnicodeError) as error:
            raise SettingsError(f"S3GATE_CLUSTER_KEY_FILE: {error}") from None

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Settings:
        """The settings in `environ`; a variable that is absent or empty leaves its default."""
        given: dict[str, Any] = {}
        for item in fields(cls):
            variable, parse = item.metadata["variable"], item.metadata["parse"]
            text = environ.get(variable, "")
            if not text:
                continue
            try:
                given[item.name] = parse(text)
            except ValueError as error:
                raise SettingsError(f"{variable}: {error}") from None
        return cls(**given)


def variables() -> list[str]:
    """Every variable that `Settings.read` looks at, in the order of the fields."""
    return [item.metadata["variable"] for item in fields(Settings)]


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """Variables that carry our prefix and mean nothing: most likely misspelt, so an entry point says so."""
    known = set(variables())
    return sorted(name for name in environ if name.startswith(PREFIX) and name not in known)
