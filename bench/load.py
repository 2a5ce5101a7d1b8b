"""The closed-loop load generator: `concurrency` connections, each asking again as soon as it was answered.

Requests are signed before the clock starts, so that the client's share of a shared machine stays small. It
knows S3's wire and nothing of s3gate.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import re
import ssl
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from bench.connection import Answer, Connection
from bench.signing import Signer

PART_BYTES = 8 << 20
SIGNED_AHEAD = 30_000
PREPARE_CONNECTIONS = 8


@dataclass(frozen=True, slots=True)
class Target:
    """An S3 endpoint and the keys to it; `bucket` is made when it is missing."""

    endpoint: str
    access_key: str
    secret_key: str
    region: str = "us-east-1"
    bucket: str = "bench"


@dataclass(slots=True)
class Result:
    """What a run measured: latencies in milliseconds, bytes moved, failed requests, wall seconds; and what it
    cost the server, where its processes can be seen."""

    latencies_ms: list[float] = field(default_factory=list)
    moved_bytes: int = 0
    errors: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    memory_mib: float = 0.0

    @property
    def per_second(self) -> float:
        return len(self.latencies_ms) / self.seconds if self.seconds else 0.0

    @property
    def mib_per_second(self) -> float:
        return self.moved_bytes / self.seconds / (1 << 20) if self.seconds else 0.0

    def quantile_ms(self, share: float) -> float:
        ordered = sorted(self.latencies_ms)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


class Load:
    """One operation against one target. `size` in bytes; `objects` are made by `prepare()` before reading."""

    def __init__(self, target: Target, operation: str, size: int, objects: int) -> None:
        url = urlsplit(target.endpoint)
        self.target, self.operation, self.size, self.objects = target, operation, size, objects
        self.host, self.port = url.hostname or "127.0.0.1", url.port or (443 if url.scheme == "https" else 80)
        self.tls = ssl._create_unverified_context() if url.scheme == "https" else None
        self.signer = Signer(url.netloc, target.access_key, target.secret_key, target.region)
        self.payload = random.Random(7).randbytes(size)
        self.payload_hash = hashlib.sha256(self.payload).hexdigest()
        self.run_id = f"{time.time_ns():x}"
        self.written = 0
        self._puts: list[bytes] = []
        self._reads: dict[str, list[bytes]] = {}

    def path(self, index: int) -> str:
        return f"/{self.target.bucket}/o{self.size}/{index * 37 % 251:02x}/{index:08d}"

    async def connect(self) -> Connection:
        return await Connection.open(self.host, self.port, self.tls)

    async def prepare(self) -> None:
        """Makes the bucket, and the objects that reads, listings and deletes need; signs requests ahead."""
        connection = await self.connect()
        answer = await connection.ask(self.signer.head("PUT", f"/{self.target.bucket}", {}))
        if answer.status >= 300 and answer.status != 409:
            raise RuntimeError(f"create bucket: {answer.status} {b''.join(answer.body)[:300]!r}")
        connection.close()
        if self.operation in ("get", "stat", "list", "delete", "mixed"):
            await self._make_objects()
        for operation, method in (("get", "GET"), ("stat", "HEAD"), ("delete", "DELETE")):
            if self.operation in (operation, "mixed"):
                heads = [self.signer.head(method, self.path(i), {}) for i in range(self.objects)]
                self._reads[operation] = heads
        if self.operation in ("put", "mixed") and self.size <= 1 << 20:
            self._puts = [self._sign_put() for _ in range(SIGNED_AHEAD)]

    def _sign_put(self) -> bytes:
        self.written += 1
        path = f"/{self.target.bucket}/p{self.run_id}/{self.written % 97:02d}/{self.written}"
        return self.signer.head("PUT", path, {}, self.payload_hash, self.size)

    async def _make_objects(self) -> None:
        indexes = iter(range(self.objects))

        async def worker() -> None:
            connection = await self.connect()
            for i in indexes:
                head = self.signer.head("PUT", self.path(i), {}, self.payload_hash, self.size)
                answer = await connection.ask(head, self.payload)
                if answer.status != 200:
                    raise RuntimeError(f"prepare: {answer.status} {b''.join(answer.body)[:300]!r}")
            connection.close()

        count = 2 if self.size > 8 << 20 else PREPARE_CONNECTIONS
        await asyncio.gather(*(worker() for _ in range(count)))

    async def run(self, concurrency: int, seconds: float, *, once: bool = False) -> Result:
        """Measures for `seconds`; with `once` (and for delete) each object is asked for at most once."""
        result = Result()
        chances = random.Random(11)
        order = list(range(self.objects))
        chances.shuffle(order)
        left = iter(order) if once or self.operation == "delete" else None
        connections = [await self.connect() for _ in range(concurrency)]
        started = time.perf_counter()
        deadline = started + seconds

        async def worker(connection: Connection) -> None:
            while time.perf_counter() < deadline:
                index = next(left, None) if left is not None else chances.randrange(max(1, self.objects))
                if index is None:
                    return
                before = time.perf_counter()
                try:
                    moved = await self._one(connection, self._pick(chances), index)
                except (ConnectionError, ValueError):
                    result.errors += 1
                    connection = await self.connect()
                    continue
                result.latencies_ms.append((time.perf_counter() - before) * 1000)
                result.moved_bytes += moved

        await asyncio.gather(*(worker(connection) for connection in connections))
        result.seconds = time.perf_counter() - started
        for connection in connections:
            connection.close()
        return result

    def _pick(self, chances: random.Random) -> str:
        if self.operation != "mixed":
            return self.operation
        draw = chances.randrange(100)
        return "get" if draw < 45 else "stat" if draw < 75 else "put" if draw < 90 else "delete"

    async def _one(self, connection: Connection, operation: str, index: int) -> int:
        """One request (a whole upload for multipart). Returns the payload bytes moved; raises ValueError when
        the answer is not what the operation promises."""
        if operation == "put":
            head = self._puts.pop() if self._puts else self._sign_put()
            _check(await connection.ask(head, self.payload))
            return self.size
        if operation == "get":
            answer = await connection.ask(self._reads["get"][index], b"", self.payload)
            if answer.status == 404 and self.operation == "mixed":
                return 0
            if _check(answer).differs or answer.length != self.size:
                raise ValueError("the content differs")
            return self.size
        if operation == "list":
            query = {"list-type": "2", "max-keys": "1000", "prefix": f"o{self.size}/"}
            answer = _check(await connection.ask(self.signer.head("GET", f"/{self.target.bucket}", query)))
            if b"".join(answer.body).count(b"<Key>") != min(1000, self.objects):
                raise ValueError("the listing is not complete")
            return 0
        if operation == "multipart":
            return await self._multipart(connection)
        answer = await connection.ask(self._reads[operation][index])
        if answer.status >= 300 and answer.status != 404:
            raise ValueError(f"status {answer.status}")
        return 0

    async def _multipart(self, connection: Connection) -> int:
        self.written += 1
        path = f"/{self.target.bucket}/m{self.run_id}/{self.written}"
        answer = _check(await connection.ask(self.signer.head("POST", path, {"uploads": ""})))
        found = re.search(rb"<UploadId>([^<]+)<", b"".join(answer.body))
        if not found:
            raise ValueError("no UploadId")
        upload_id, listed = found[1].decode(), []
        for number, start in enumerate(range(0, self.size, PART_BYTES), 1):
            piece = self.payload[start : start + PART_BYTES]
            query = {"partNumber": str(number), "uploadId": upload_id}
            head = self.signer.head("PUT", path, query, hashlib.sha256(piece).hexdigest(), len(piece))
            etag = _check(await connection.ask(head, piece)).headers[b"etag"].decode()
            listed.append(f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>")
        body = f"<CompleteMultipartUpload>{''.join(listed)}</CompleteMultipartUpload>".encode()
        digest = hashlib.sha256(body).hexdigest()
        head = self.signer.head("POST", path, {"uploadId": upload_id}, digest, len(body))
        _check(await connection.ask(head, body))
        return self.size


def _check(answer: Answer) -> Answer:
    if answer.status >= 300:
        raise ValueError(f"status {answer.status}: {b''.join(answer.body)[:200]!r}")
    return answer
