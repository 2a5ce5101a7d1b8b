"""A chunkd in memory that speaks the wire and misbehaves on request: in this process, plain asyncio."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from pathlib import Path

from awscrt.checksums import crc32c

from chunkd import bundle, wire
from s3gate.geometry.placement import NodeView

KEY = wire.ClusterKey.parse(f"s3gate-cluster-v1:{'ab' * 16}:{'cd' * 32}")
NOW = 1_700_000_000.0


class Cut(Exception):
    """Closes the connection, after sending these bytes."""

    def __init__(self, first: bytes = b"") -> None:
        super().__init__("cut")
        self.first = first


Fault = Callable[[str, bytes], "bytes | None"]


class FakeChunkd:
    """`faults` are used up one per request: each gets the request line and the answer, and returns another one."""

    def __init__(self, number: int, directory: Path, unix: bool = False) -> None:
        self.node_id = bytes([number + 1]) * 16
        self.incarnation = 3
        self.state = "ok"
        self.shards: dict[bytes, bytes] = {}
        self.trashed: set[bytes] = set()
        self.requests: list[str] = []
        self.faults: deque[Fault] = deque()
        self.delay_seconds = 0.0
        self.early_status = 0
        self.connections = 0
        self.most_connections = 0
        self.port = 0
        self._socket = directory / f"{number}.sock" if unix else None
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    def view(self, **changes: object) -> NodeView:
        """Its row in the catalog."""
        fields: dict[str, object] = {
            "node_id": self.node_id,
            "incarnation": self.incarnation,
            "address": f"127.0.0.1:{self.port}",
            "socket": str(self._socket or ""),
            "capacity_bytes": 10**12,
        }
        return NodeView(**(fields | changes))  # type: ignore[arg-type]

    async def start(self) -> None:
        if self._socket is not None:
            self._socket.unlink(missing_ok=True)
            self._server = await asyncio.start_unix_server(self._serve, self._socket)
        else:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, reuse_address=True)
            self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """As a kill does it: every connection is reset, nobody listens."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._writers):
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        self.connections += 1
        self.most_connections = max(self.connections, self.most_connections)
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while await self._one(reader, writer):
                    pass
        finally:
            self._writers.discard(writer)
            self.connections -= 1
            writer.transport.abort()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        line, *rest = head[:-4].split("\r\n")
        headers = dict(one.split(": ", 1) for one in rest)
        if line.startswith("PUT") and self.early_status:
            writer.write(answer(self.early_status))
            await writer.drain()
            return False
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.requests.append(line)
        if self.delay_seconds:
            await asyncio.sleep(self.delay_seconds)
        said: bytes | None = self.answer(line, headers, body)
        if self.faults and "/health" not in line:
            try:
                said = self.faults.popleft()(line, said or b"")
            except Cut as cut:
                writer.write(cut.first)
                await writer.drain()
                return False
        if said is None:
            await asyncio.sleep(3600)
        writer.write(said or b"")
        await writer.drain()
        return b"connection: close" not in (said or b"")

    def answer(self, line: str, headers: dict[str, str], body: bytes) -> bytes:
        method, target, _ = line.split(" ")
        if target == "/health":
            return answer(200, {}, self._health())
        reason = wire.verify(
            KEY.derive(wire.REQUEST_PURPOSE),
            headers.get("authorization"),
            method,
            target,
            self.node_id.hex(),
            self.incarnation,
            NOW,
            len(body),
            headers.get(wire.CRC_HEADER, wire.NO_CRC),
        )
        if reason is not None:
            return answer(401, {wire.INCARNATION_HEADER: str(self.incarnation)})
        if target == wire.DELETE_PATH:
            self.trashed |= {body[at : at + 17] for at in range(0, len(body), 17)}
            return answer(204)
        if target.startswith("/shards?"):
            return self._list(target)
        if target == wire.SHARDS_PATH:
            return self._put_many(headers, body)
        shard_id = wire.parse_shard_id(target.removeprefix("/shards/"))
        if method == "PUT":
            return self._put(shard_id, headers, body)
        return self._get(shard_id, method, headers)

    def _put(self, shard_id: bytes, headers: dict[str, str], body: bytes) -> bytes:
        crc = crc32c(body)
        announced = headers.get(wire.CRC_HEADER)
        status = self._store(shard_id, body, crc if announced is None else wire.parse_crc(announced))
        return answer(status, {wire.CRC_HEADER: wire.crc_text(crc)} if status < 400 or status == 409 else {})

    def _put_many(self, headers: dict[str, str], body: bytes) -> bytes:
        table, data = bundle.split_table(body)
        assert wire.crc_text(crc32c(table)) == headers[wire.CRC_HEADER]
        shards = bundle.decode_table(table, data)
        said = [(self._store(shard_id, bytes(one), crc), crc) for shard_id, one, crc in shards]
        return answer(200, {}, bundle.encode_answer(said))

    def _store(self, shard_id: bytes, body: bytes, announced: int) -> int:
        if self.state != "ok":
            return 507 if self.state == "full" else 503
        if announced != crc32c(body):
            return 400
        if shard_id in self.shards:
            return 200 if self.shards[shard_id] == body else 409
        self.shards[shard_id] = body
        return 201

    def _get(self, shard_id: bytes, method: str, headers: dict[str, str]) -> bytes:
        data = self.shards.get(shard_id)
        if data is None:
            return answer(404)
        known = {wire.LENGTH_HEADER: str(len(data)), wire.STATE_HEADER: wire.SHARD_LIVE}
        if method == "HEAD":
            return answer(200, {**known, wire.CRC_HEADER: wire.crc_text(crc32c(data))})
        status = 200
        if "range" in headers:
            first, last = headers["range"].removeprefix("bytes=").split("-")
            data, status = data[int(first) : int(last) + 1], 206
        if len(data) > wire.MAX_READ_BYTES:
            return answer(400)
        return answer(status, {**known, wire.CRC_HEADER: wire.crc_text(crc32c(data))}, data)

    def _list(self, target: str) -> bytes:
        fields = dict(one.split("=") for one in target.partition("?")[2].split("&"))
        prefix, after, limit = bytes.fromhex(fields["prefix"]), bytes.fromhex(fields["after"]), int(fields["limit"])
        found = [one for one in sorted(self.shards) if one.startswith(prefix) and one > after]
        lines = [wire.encode_line(i, len(self.shards[i]), crc32c(self.shards[i]), "live") for i in found[:limit]]
        more = {wire.MORE_HEADER: "0"}
        if len(found) > limit:
            more = {wire.MORE_HEADER: "1", wire.AFTER_HEADER: found[limit - 1].hex()}
        return answer(200, more, "".join(lines).encode())

    def _health(self) -> bytes:
        health = wire.Health(
            self.node_id.hex(), "ab" * 16, self.incarnation, self.state, 10**12, 10**12, 0, 0, 0, 0.0, 0, ""
        )
        return health.encode()


def answer(status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    return f"HTTP/1.1 {status} x\r\ncontent-length: {len(body)}\r\n{lines}\r\n".encode() + body
