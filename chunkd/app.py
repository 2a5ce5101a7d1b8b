"""The door of a chunkd: which request is whose, who may, and how the engine's answers read in HTTP.

It decides at the head: identity first (law 12 holds here too), then form, then what the engine says. It knows
the engine's API and the wire contract, no socket and no file.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import parse_qsl

from awscrt.checksums import crc32c

from chunkd import bundle, wire
from chunkd.answer import Answer, Body, Refused, Sink, Work
from chunkd.bundle import Packed
from chunkd.errors import (
    BadChecksum,
    ShardConflict,
    ShardCorrupt,
    ShardMissing,
    StoreError,
    StoreFull,
    StoreReadOnly,
)
from chunkd.head import Head
from chunkd.metrics import Metrics
from chunkd.shards import LargeWrite, PutResult, ShardInfo, Shards
from chunkd.wire import MAX_READ_BYTES, NO_CRC, SMALL_SHARD_BYTES, SigningKey

_RANGE = re.compile(r"bytes=(0|[1-9][0-9]{0,14})-(0|[1-9][0-9]{0,14})\Z")
_SHARD_PATH = re.compile(r"/shards/([0-9a-f]{34})\Z")
_LIST_DEFAULTS = {"prefix": "", "after": "", "limit": "1000", "state": wire.SHARD_LIVE}
_READ_ONLY = b"x-chunkd-state: read-only\r\n"
_FULL = b"x-chunkd-state: full\r\n"
_CORRUPT = b"x-chunkd-state: corrupt\r\n"
_TRASH = b"x-chunkd-state: trash\r\n"


class App:
    """What stands behind the connections. `joined` is false until the cluster has given an incarnation."""

    def __init__(self, shards: Shards, keys: list[SigningKey], metrics: Metrics, now: Callable[[], float]) -> None:
        self._shards = shards
        self._keys = keys
        self._metrics = metrics
        self.answered = metrics.count
        self._now = now
        self._node_id = shards.superblock.node_id.hex()
        self._cluster_id = shards.superblock.cluster_id.hex()
        self.incarnation = 0
        self.joined = False

    def joined_as(self, incarnation: int) -> None:
        """From now on serve, and expect this incarnation in signatures."""
        self.incarnation = incarnation
        self.joined = True

    def begin(self, head: Head) -> Answer | Work | Sink:
        """Decide at the head."""
        path, method = head.path, head.method
        if path == "/health" and method in ("GET", "HEAD"):
            return self._health()
        if path == "/metrics" and method == "GET":
            return self._metrics_page()
        if not self.joined:
            return Answer.text(503, "this node has not joined its cluster yet")
        length = head.length or 0
        reason = wire.verify(
            self._keys,
            head.headers.get("authorization"),
            method,
            head.target,
            self._node_id,
            self.incarnation,
            self._now(),
            length,
            head.headers.get(wire.CRC_HEADER, NO_CRC),
        )
        if reason is not None:
            return Answer.text(401, reason, b"x-chunkd-incarnation: %d\r\n" % self.incarnation)
        if length and method not in ("PUT", "POST"):
            return Answer.text(400, "this method takes no body")
        matched = _SHARD_PATH.match(path)
        if matched is not None and not head.query:
            return self._on_shard(method, bytes.fromhex(matched[1]), head)
        return self._elsewhere(head)

    def _on_shard(self, method: str, shard_id: bytes, head: Head) -> Answer | Work | Sink:
        if method == "GET":
            return self._get(shard_id, head)
        if method == "PUT":
            return self._put(shard_id, head)
        if method == "HEAD":
            return self._head(shard_id)
        if method == "DELETE":
            return Work(lambda body: self._trash([shard_id]), 0)
        return Answer.text(405, "GET, HEAD, PUT or DELETE", b"allow: GET, HEAD, PUT, DELETE\r\n")

    def _elsewhere(self, head: Head) -> Answer | Work:
        if head.path == wire.DELETE_PATH and head.method == "POST" and not head.query:
            return self._delete_many(head)
        if head.path == wire.SHARDS_PATH and head.method == "GET":
            return self._list(head.query)
        if head.path == wire.SHARDS_PATH and head.method == "POST" and not head.query:
            return self._put_many(head)
        if head.path.startswith("/shards/"):
            return Answer.text(400, "a shard id is 34 lower-case hex digits")
        return Answer.text(404, "no such resource")

    # --- reading --------------------------------------------------------------------------------------

    def _get(self, shard_id: bytes, head: Head) -> Answer | Work:
        entry = self._shards.look(shard_id)
        if entry is None:
            return Answer.text(404, "no such shard")
        wanted = head.headers.get("range")
        start, stop = 0, entry.length
        if wanted is not None:
            matched = _RANGE.match(wanted)
            if matched is None or int(matched[1]) > int(matched[2]):
                return Answer.text(400, "a range reads bytes=FIRST-LAST")
            start, stop = int(matched[1]), min(int(matched[2]) + 1, entry.length)
            if start >= entry.length:
                return Answer.text(416, "beyond the end", b"content-range: bytes */%d\r\n" % entry.length)
        if stop - start > MAX_READ_BYTES:
            return Answer.text(400, f"at most {MAX_READ_BYTES} bytes at a time: ask for a range")
        may_be_cached = True
        if wire.PLACE_HEADER in head.headers:
            place = self._shards.place(shard_id, entry, start, stop)
            may_be_cached = place is not None
            text = "" if place is None else place.encode()
            if 0 < len(text) <= wire.MAX_PLACE_BYTES:
                return Answer(303, f"{wire.PLACE_HEADER}: {text}\r\n".encode("ascii"))
        ranged = wanted is not None

        def read_now(body: Body, answer: Callable[[Answer], None]) -> bool:
            found = self._shards.read_now(shard_id, entry, start, stop)
            if found is not None:
                answer(_found(found, start, stop, ranged))
            return found is not None

        reading = read_now if may_be_cached else None
        return Work(lambda body: self._read(shard_id, start, stop, ranged), stop - start, reading)

    async def _read(self, shard_id: bytes, start: int, stop: int, ranged: bool) -> Answer:
        try:
            return _found(await self._shards.read(shard_id, start, stop), start, stop, ranged)
        except ShardMissing:
            return Answer.text(404, "no such shard")
        except ShardCorrupt as error:
            return Answer.text(500, f"corrupt: {error}", _CORRUPT)

    def _head(self, shard_id: bytes) -> Answer:
        info = self._shards.find(shard_id)
        if info is None:
            return Answer(404, sized=False)
        fields = b"x-chunkd-crc32c: %08x\r\nx-chunkd-length: %d\r\nx-chunkd-state: %s\r\n"
        return Answer(200, fields % (info.crc32c, info.length, info.state.encode()), sized=False)

    def _list(self, query: str) -> Answer:
        try:
            pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query), max_num_fields=8)
            asked = {**_LIST_DEFAULTS, **dict(pairs)}
            if len(asked) != len(_LIST_DEFAULTS) or len(dict(pairs)) != len(pairs):
                raise ValueError("an unknown parameter, or one twice")
            prefix, after = _hex(asked["prefix"]), _hex(asked["after"])
            limit, state = int(asked["limit"]), asked["state"]
            if not 1 <= limit <= wire.MAX_LIST_LINES:
                raise ValueError(f"limit is 1 to {wire.MAX_LIST_LINES}")
            if state not in (wire.SHARD_LIVE, wire.SHARD_TRASH, wire.LIST_ALL):
                raise ValueError("state is live, trash or all")
        except ValueError as error:
            return Answer.text(400, f"malformed query: {error}")
        found, following = self._shards.list(prefix, after, limit, state)
        lines = [wire.encode_line(one, info.length, info.crc32c, info.state) for one, info in found]
        more = "0" if following is None else f"1\r\n{wire.AFTER_HEADER}: {following.hex()}"
        fields = f"{wire.MORE_HEADER}: {more}\r\ncontent-type: text/plain\r\n"
        return Answer(200, fields.encode("ascii"), "".join(lines).encode("ascii"))

    # --- writing --------------------------------------------------------------------------------------

    def _put(self, shard_id: bytes, head: Head) -> Answer | Work | Sink:
        length = head.length
        if length is None:
            return Answer.text(411, "a body needs a content-length")
        if length == 0:
            return Answer.text(400, "an empty shard is not stored")
        if length > wire.MAX_SHARD_BYTES:
            return Answer.text(413, f"a shard has at most {wire.MAX_SHARD_BYTES} bytes")
        text = head.headers.get(wire.CRC_HEADER)
        crc: int | None = None
        if text is not None:
            try:
                crc = wire.parse_crc(text)
            except wire.WireError as error:
                return Answer.text(400, str(error))
        if crc is None or length > SMALL_SHARD_BYTES:
            # Without a checksum the sender streams what it does not have yet, perhaps slowly.
            return self._begin_large(shard_id, length, crc)
        return self._put_small(shard_id, length, crc)

    def _put_small(self, shard_id: bytes, length: int, crc: int) -> Work:
        shards = self._shards

        def start(body: Body, answer: Callable[[Answer], None]) -> bool:
            return shards.store((Packed(shard_id, body, crc),), lambda results: answer(_stored(results[0], crc)))

        async def run(body: Body) -> Answer:
            try:
                return _stored(await shards.put(shard_id, body, crc), crc)
            except _REFUSALS as error:
                return _refusal(error)

        return Work(run, length, start)

    def _put_many(self, head: Head) -> Answer | Work:
        length, crc = head.length or 0, head.headers.get(wire.CRC_HEADER)
        if length > bundle.MAX_TABLE_BYTES + bundle.MAX_BYTES:
            return Answer.text(413, f"a bundle has at most {bundle.MAX_BYTES} bytes of shards")
        if crc is None:
            return Answer.text(400, f"{wire.CRC_HEADER} of the table is required")
        return self._put_bundle(length, crc)

    def _put_bundle(self, length: int, announced: str) -> Work:
        shards = self._shards

        def start(body: Body, answer: Callable[[Answer], None]) -> bool:
            bundled = _unpack(body, announced)
            return shards.store(bundled, lambda results: answer(_all_stored(bundled, results)))

        async def run(body: Body) -> Answer:
            bundled = _unpack(body, announced)
            try:
                return _all_stored(bundled, await shards.put_bundle(bundled))
            except _REFUSALS as error:
                return _refusal(error)

        return Work(run, length, start)

    def _begin_large(self, shard_id: bytes, length: int, crc: int | None) -> Answer | Sink:
        known = self._shards.find(shard_id)
        if known is not None and (known.length != length or (crc is not None and known.crc32c != crc)):
            return Answer.text(409, "this id holds another content")
        try:
            return _LargeSink(self._shards.begin(shard_id, length), crc)
        except _REFUSALS as error:
            return _refusal(error)

    def _delete_many(self, head: Head) -> Answer | Work:
        length = head.length or 0
        if not length or length % wire.SHARD_ID_BYTES or length > wire.MAX_DELETE_IDS * wire.SHARD_ID_BYTES:
            return Answer.text(400, f"1 to {wire.MAX_DELETE_IDS} ids of {wire.SHARD_ID_BYTES} bytes each")
        crc = head.headers.get(wire.CRC_HEADER)
        if crc is None:
            return Answer.text(400, f"{wire.CRC_HEADER} is required")
        wanted = crc
        return Work(lambda body: self._trash_listed(body, wanted), length)

    async def _trash_listed(self, body: Body, wanted: str) -> Answer:
        if wire.crc_text(crc32c(body)) != wanted:
            return Answer.text(400, "the body does not have the checksum that was announced")
        size = wire.SHARD_ID_BYTES
        return await self._trash([bytes(body[at : at + size]) for at in range(0, len(body), size)])

    async def _trash(self, ids: list[bytes]) -> Answer:
        try:
            await self._shards.trash(ids)
        except _REFUSALS as error:
            return _refusal(error)
        return Answer(204, sized=False)

    # --- state ----------------------------------------------------------------------------------------

    def health(self) -> wire.Health:
        """What /health says, and heartbeats too."""
        usage = self._shards.usage()
        return wire.Health(
            node_id=self._node_id,
            cluster_id=self._cluster_id,
            incarnation=self.incarnation,
            state=usage.state,
            capacity_bytes=usage.capacity_bytes,
            free_bytes=usage.free_bytes,
            used_bytes=usage.used_bytes,
            shards=usage.shards,
            queue=usage.queue,
            fsync_seconds=usage.fsync_seconds,
            io_errors=usage.io_errors,
            device=usage.device,
        )

    def _health(self) -> Answer:
        return Answer(200, b"content-type: application/json\r\n", self.health().encode() + b"\n")

    def _metrics_page(self) -> Answer:
        fields = b"content-type: text/plain; version=0.0.4; charset=utf-8\r\n"
        return Answer(200, fields, self._metrics.render(self.health()))


class _LargeSink:
    """A streamed shard: the engine's large write, and the checksum that was announced for it, if any."""

    __slots__ = ("_announced", "_crc", "_large")

    def __init__(self, large: LargeWrite, announced: int | None) -> None:
        self._large = large
        self._announced = announced
        self._crc = 0

    async def write(self, data: memoryview) -> None:
        """Hand a chunk to the engine."""
        if self._announced is not None:
            self._crc = crc32c(data, self._crc)
        try:
            await self._large.write(data)
        except _REFUSALS as error:
            raise Refused(_refusal(error)) from error

    async def finish(self) -> Answer:
        """Make it durable, unless it is not what was announced."""
        try:
            if self._announced is not None and self._announced != self._crc:
                raise BadChecksum
            result, crc = await self._large.commit()
        except _REFUSALS as error:
            raise Refused(_refusal(error)) from error
        return Answer(_status(result), b"x-chunkd-crc32c: %08x\r\n" % crc)

    async def abort(self) -> None:
        """Leave nothing behind."""
        await self._large.abort()


_REFUSALS = (ShardConflict, StoreFull, StoreReadOnly, BadChecksum)


def _found(found: tuple[memoryview, int, ShardInfo], start: int, stop: int, ranged: bool) -> Answer:
    data, crc, info = found
    fields = b"x-chunkd-crc32c: %08x\r\nx-chunkd-length: %d\r\n" % (crc, info.length)
    if info.state == wire.SHARD_TRASH:
        fields += _TRASH
    if not ranged:
        return Answer(200, fields, data)
    return Answer(206, fields + b"content-range: bytes %d-%d/%d\r\n" % (start, stop - 1, info.length), data)


def _unpack(body: Body, announced: str) -> list[Packed]:
    try:
        table, data = bundle.split_table(body)
        if wire.crc_text(crc32c(table)) != announced:
            raise wire.WireError("the table does not have the checksum that was announced")
        return bundle.decode_table(table, data)
    except wire.WireError as error:
        raise Refused(Answer.text(400, str(error))) from error


def _stored(result: PutResult | StoreError, crc: int) -> Answer:
    if isinstance(result, StoreError):
        return _refusal(result)
    return Answer(201 if result is PutResult.CREATED else 200, b"x-chunkd-crc32c: %08x\r\n" % crc)


def _all_stored(shards: list[Packed], results: list[PutResult | StoreError]) -> Answer:
    said = [(_status(result), one.crc) for one, result in zip(shards, results, strict=True)]
    return Answer(200, b"", bundle.encode_answer(said))


def _status(result: PutResult | Exception) -> int:
    """What became of one shard."""
    if result is PutResult.CREATED:
        return 201
    if result is PutResult.EXISTS:
        return 200
    if isinstance(result, StoreReadOnly):
        return 503
    if isinstance(result, StoreFull):
        return 507
    return 409 if isinstance(result, ShardConflict) else 400


def _refusal(error: Exception) -> Answer:
    status = _status(error)
    if status == 503:
        return Answer.text(503, f"read-only: {error}", _READ_ONLY)
    if status == 507:
        return Answer.text(507, f"full: {error}", _FULL)
    if status == 409:
        return Answer.text(409, "this id holds another content")
    return Answer.text(400, "the body does not have the checksum that was announced")


def _hex(text: str) -> bytes:
    if len(text) > 2 * wire.SHARD_ID_BYTES or len(text) % 2 or text != text.lower():
        raise ValueError("prefix and after are lower-case hex")
    return bytes.fromhex(text)
