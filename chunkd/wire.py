"""The contract between a gate and a chunkd: names, limits, signatures and the forms of messages.

Pure: no sockets, no clock, no disk, and nothing of ours is imported. Both sides import this file, so what
one writes the other reads. It knows neither how shards are kept nor what they mean.

    PUT    /shards/{id}                    store a shard            GET    /health    (unsigned)
    GET    /shards/{id}  Range: bytes=a-b  read a window of it      GET    /metrics   (unsigned)
        x-chunkd-place: wanted             ... or, to a gate on the same host, a 303: where it lies
    HEAD   /shards/{id}                    what is known of it
    DELETE /shards/{id}                    to the trash
    POST   /shards                         store several small ones, each with its own status (`bundle.py`)
    POST   /shards/delete                  many ids to the trash
    GET    /shards?prefix=&after=&limit=&state=   a page of the sorted list
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, TypeVar
from urllib.parse import quote, unquote

# --- limits (law 9) -----------------------------------------------------------------------------------

SHARD_ID_BYTES = 17
SMALL_SHARD_BYTES = 2 * 1024 * 1024
"""At most this long, a shard is sent whole with its checksum and goes into a pack."""
MAX_SHARD_BYTES = 1024 * 1024 * 1024
"""Longer ones are refused: a segment has at most 64 MiB, a shard of it less."""
MAX_READ_BYTES = 1024 * 1024
"""The most that one answer carries; larger ranges are asked for in windows."""
UNIX_BUFFER_BYTES = 1024 * 1024
"""Asked of the kernel for what either side sends over a Unix socket, so that a body leaves at one go; the kernel
grants no more than its own limit. Over TCP the kernel finds out itself."""
BLOCK_BYTES = 64 * 1024
"""The unit that has a checksum of its own (law 7)."""
MAX_DELETE_IDS = 4096
MAX_LIST_LINES = 10_000
MAX_HEAD_BYTES = 8 * 1024
MAX_PLACE_BYTES = 8 * 1024
"""A place that takes more of an answer's head is not told; at 8 bytes a block, the longest shards are like that."""
MAX_INTERNAL_BODY_BYTES = 16 * 1024
SIGNATURE_SECONDS = 300
"""How long a gate lets its signature live."""
MAX_SIGNATURE_SECONDS = 24 * 3600
"""An expiry farther away than this is refused; operators sign for curl by hand."""
HEARTBEAT_SECONDS = 3.0

# --- names --------------------------------------------------------------------------------------------

CRC_HEADER = "x-chunkd-crc32c"
LENGTH_HEADER = "x-chunkd-length"
STATE_HEADER = "x-chunkd-state"
MORE_HEADER = "x-chunkd-more"
AFTER_HEADER = "x-chunkd-after"
"""With 1 in the header before: the id after which the next page begins. A page may be empty and not be the last."""
INCARNATION_HEADER = "x-chunkd-incarnation"
PLACE_HEADER = "x-chunkd-place"

SHARD_LIVE = "live"
SHARD_TRASH = "trash"
SHARD_CORRUPT = "corrupt"
LIST_ALL = "all"

NODE_OK = "ok"
NODE_FULL = "full"
NODE_READ_ONLY = "read-only"

SHARDS_PATH = "/shards"
DELETE_PATH = "/shards/delete"
JOIN_PATH = "/internal/join"
HEARTBEAT_PATH = "/internal/heartbeat"

REQUEST_PURPOSE = "chunkd-request-v2"
INTERNAL_PURPOSE = "internal-v2"
SCHEME = "Chunkd"
MAC_BYTES = 32
"""Of keyed BLAKE2b. HMAC by OpenSSL takes twice as long, and four times where the caches have gone cold in between."""
_SIGNATURE = re.compile(rf"{SCHEME} ([0-9a-f]{{8}}):([1-9][0-9]{{0,11}}):([0-9a-f]{{{2 * MAC_BYTES}}})\Z")
NO_CRC = "-"
_CRC = re.compile(r"[0-9a-f]{8}\Z")


class WireError(ValueError):
    """A message, key or line that does not have the agreed form."""


# --- the cluster key and its signatures ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key for one purpose; its version says which secret it was derived from."""

    version: str
    key: bytes


@dataclass(frozen=True, slots=True, repr=False)
class ClusterKey:
    """The secret that gates and nodes of one cluster share; the previous one is valid during a rotation."""

    cluster_id: bytes
    secret: bytes
    previous: bytes | None = None

    PREFIX: ClassVar[str] = "s3gate-cluster-v1"

    @classmethod
    def parse(cls, text: str) -> ClusterKey:
        """Read `s3gate-cluster-v1:{cluster_id}:{secret}[:{previous}]`."""
        words = text.strip().split(":")
        if len(words) not in (3, 4) or words[0] != cls.PREFIX:
            raise WireError("a cluster key reads s3gate-cluster-v1:CLUSTER_ID:SECRET[:PREVIOUS_SECRET]")
        previous = _unhex(words[3], 32, "the previous secret") if len(words) == 4 else None
        return cls(_unhex(words[1], 16, "the cluster id"), _unhex(words[2], 32, "the secret"), previous)

    def format(self) -> str:
        """The one line that `parse` reads."""
        words = [self.PREFIX, self.cluster_id.hex(), self.secret.hex()]
        return ":".join(words + ([self.previous.hex()] if self.previous else []))

    def derive(self, purpose: str) -> list[SigningKey]:
        """The keys for one purpose, newest first: the first signs, all verify.

        The cluster's id goes into the derivation, so a signature of another cluster never fits by accident.
        """
        info = purpose.encode("ascii") + b":" + self.cluster_id
        secrets = [self.secret] if self.previous is None else [self.secret, self.previous]
        return [
            SigningKey(hashlib.sha256(secret).hexdigest()[:8], hmac.digest(secret, info, "sha256"))
            for secret in secrets
        ]

    def __repr__(self) -> str:
        return f"ClusterKey(cluster_id={self.cluster_id.hex()})"


def sign(
    key: SigningKey,
    method: str,
    target: str,
    node_id: str,
    incarnation: int,
    expiry: int,
    length: int = 0,
    crc: str = NO_CRC,
) -> str:
    """The value of the Authorization header; `target` is path and query as sent, `node_id` in hex."""
    message = f"{method}\n{target}\n{node_id}\n{incarnation}\n{expiry}\n{length}\n{crc}"
    mac = hashlib.blake2b(message.encode("ascii"), key=key.key, digest_size=MAC_BYTES).hexdigest()
    return f"{SCHEME} {key.version}:{expiry}:{mac}"


def verify(
    keys: Iterable[SigningKey],
    authorization: str | None,
    method: str,
    target: str,
    node_id: str,
    incarnation: int,
    now: float,
    length: int = 0,
    crc: str = NO_CRC,
) -> str | None:
    """None when the signature is good, else the reason why it is not."""
    if authorization is None:
        return "no signature"
    found = _SIGNATURE.match(authorization)
    if found is None:
        return "malformed signature"
    version, expiry_text, mac = found.groups()
    expiry = int(expiry_text)
    if expiry < now:
        return "expired signature: either it is old, or the clocks differ"
    if expiry > now + MAX_SIGNATURE_SECONDS:
        return "a signature good for too long: either that was asked for, or the clocks differ"
    message = f"{method}\n{target}\n{node_id}\n{incarnation}\n{expiry_text}\n{length}\n{crc}"
    for key in keys:
        if key.version == version:
            wanted = hashlib.blake2b(message.encode("utf-8"), key=key.key, digest_size=MAC_BYTES).hexdigest()
            return None if hmac.compare_digest(wanted, mac) else "wrong signature or incarnation"
    return "unknown key version"


# --- shards -------------------------------------------------------------------------------------------


def shard_path(shard_id: bytes) -> str:
    """The path of a shard."""
    return "/shards/" + shard_id.hex()


def parse_shard_id(text: str) -> bytes:
    """34 lower-case hex digits, nothing else."""
    return _unhex(text, SHARD_ID_BYTES, "a shard id")


def crc_text(crc: int) -> str:
    """A crc32c as it stands in headers and lists."""
    return f"{crc:08x}"


def parse_crc(text: str) -> int:
    """The reverse of `crc_text`; strict."""
    if _CRC.match(text) is None:
        raise WireError("a crc32c is 8 lower-case hex digits")
    return int(text, 16)


def list_target(prefix: bytes, after: bytes, limit: int, state: str = SHARD_LIVE) -> str:
    """Path and query of a page of the list; `prefix` and `after` may be empty."""
    return f"/shards?prefix={prefix.hex()}&after={after.hex()}&limit={limit}&state={state}"


@dataclass(frozen=True, slots=True)
class ListedShard:
    """One line of the list."""

    shard_id: bytes
    length: int
    crc32c: int
    state: str


def encode_line(shard_id: bytes, length: int, crc32c: int, state: str) -> str:
    """One line of the list, newline included."""
    return f"{shard_id.hex()} {length} {crc32c:08x} {state}\n"


def decode_lines(body: bytes) -> list[ListedShard]:
    """A whole page of the list; a page that ends inside a line is refused."""
    try:
        text = body.decode("ascii")
    except UnicodeDecodeError as error:
        raise WireError("a list is ASCII") from error
    if text and not text.endswith("\n"):
        raise WireError("a list that ends inside a line")
    return [_decode_line(line) for line in text.split("\n")[:-1]]


def _decode_line(line: str) -> ListedShard:
    words = line.split(" ")
    if len(words) != 4 or not words[1].isdigit() or words[3] not in (SHARD_LIVE, SHARD_TRASH):
        raise WireError(f"not a line of a list: {line[:100]!r}")
    return ListedShard(parse_shard_id(words[0]), int(words[1]), parse_crc(words[2]), words[3])


@dataclass(frozen=True, slots=True)
class Place:
    """Where a shard's bytes lie: in which file, from where on, and the crc32c of each of their blocks.

    Whoever reads there verifies every block that it touches (law 7). Device and inode tell whether the file that has
    this path is the one that was meant: another container may have another.
    """

    device: int
    inode: int
    path: str
    offset: int
    table: bytes

    def encode(self) -> str:
        """The value of the header."""
        return (
            f"{self.device}:{self.inode}:{self.offset}:{self.table.hex()}:{quote(self.path, errors='surrogateescape')}"
        )

    @classmethod
    def decode(cls, text: str) -> Place:
        """The reverse."""
        words = text.split(":", 4)
        if len(words) != 5 or not all(word.isascii() and word.isdigit() for word in words[:3]):
            raise WireError("a place reads DEVICE:INODE:OFFSET:CHECKSUMS:PATH")
        try:
            table = bytes.fromhex(words[3])
        except ValueError as error:
            raise WireError("checksums are hex digits") from error
        path = unquote(words[4], errors="surrogateescape")
        return cls(int(words[0]), int(words[1]), path, int(words[2]), table)


# --- joining and heartbeats ---------------------------------------------------------------------------

_Message = TypeVar("_Message", bound="_Json")


class _Json:
    """A flat message whose fields are str, int or float; unknown fields are ignored, so that it can grow."""

    __slots__ = ()

    def encode(self) -> bytes:
        """The message as JSON."""
        return json.dumps(asdict(self), separators=(",", ":")).encode("ascii")  # type: ignore[call-overload]

    @classmethod
    def decode(cls: type[_Message], body: bytes | Mapping[str, Any]) -> _Message:
        """Read it back; every field must be there and have its type."""
        data = _json_object(body) if isinstance(body, bytes) else body
        values = {}
        for field in fields(cls):  # type: ignore[arg-type]
            values[field.name] = _typed(data.get(field.name), str(field.type), field.name)
        return cls(**values)


@dataclass(frozen=True, slots=True)
class JoinRequest(_Json):
    """`POST /internal/join`: who I am, where I am, and what my superblock says of the last time."""

    node_id: str
    incarnation: int
    nonce: str
    address: str
    socket: str
    host: str
    zone: str
    device: str
    capacity_bytes: int
    free_bytes: int


@dataclass(frozen=True, slots=True)
class JoinAnswer(_Json):
    """200: the incarnation to write into the superblock and to expect in signatures."""

    incarnation: int


@dataclass(frozen=True, slots=True)
class Heartbeat(_Json):
    """`POST /internal/heartbeat`: how I am. 409 says: join again."""

    node_id: str
    incarnation: int
    free_bytes: int
    used_bytes: int
    capacity_bytes: int
    state: str
    queue: int
    fsync_seconds: float
    io_errors: int


@dataclass(frozen=True, slots=True)
class Health(_Json):
    """The answer of `GET /health`."""

    node_id: str
    cluster_id: str
    incarnation: int
    state: str
    capacity_bytes: int
    free_bytes: int
    used_bytes: int
    shards: int
    queue: int
    fsync_seconds: float
    io_errors: int
    device: str


def _json_object(body: bytes) -> Mapping[str, Any]:
    try:
        data = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise WireError("not JSON") from error
    if not isinstance(data, dict):
        raise WireError("not a JSON object")
    return data


_MAX_INTEGER = 2**63 - 1
_MAX_TEXT = 1024


def _typed(value: Any, kind: str, name: str) -> str | int | float:
    if kind == "int" and isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_INTEGER:
        return value
    if kind == "float" and isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e12:
        return float(value)
    if kind == "str" and isinstance(value, str) and len(value) <= _MAX_TEXT and value.isprintable():
        return value
    raise WireError(f"{name} is missing or malformed")


_HEX = frozenset("0123456789abcdef")


def _unhex(text: str, size: int, what: str) -> bytes:
    if len(text) != 2 * size or not _HEX.issuperset(text):
        raise WireError(f"{what} is {2 * size} lower-case hex digits")
    return bytes.fromhex(text)
