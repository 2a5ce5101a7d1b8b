"""One chunkd as a gate sees it: its connections, its signatures, its answers, and whether it is to be trusted.

It knows neither groups nor objects. Every request here may safely be sent twice (ids are immutable), so a
request that met a stale connection or an older incarnation is sent again at once; everything else is an error
of the caller's to deal with. A node that failed is marked, and asked for its health until it answers.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence

from awscrt.checksums import crc32c

from chunkd import wire
from s3gate.geometry.placement import NodeView
from s3gate.store.bundler import Bundler
from s3gate.store.connection import Answer, Buffer, Connection, ConnectionBroken
from s3gate.store.errors import NodeFailed, NodeRefused, ShardCorrupt, ShardMissing
from s3gate.store.limits import (
    PROBE_MOST_SECONDS,
    PROBE_SECONDS,
    READ_ATTEMPTS,
    REFUSED_SECONDS,
    REQUEST_ATTEMPTS,
    StoreLimits,
)
from s3gate.store.loans import Loan, Loans
from s3gate.store.pool import Pool

CRC = wire.CRC_HEADER.encode()
LENGTH = wire.LENGTH_HEADER.encode()
STATE = wire.STATE_HEADER.encode()
INCARNATION = wire.INCARNATION_HEADER.encode()
PLACE = wire.PLACE_HEADER.encode()
AFTER = wire.AFTER_HEADER.encode()
PLACE_WANTED = f"{wire.PLACE_HEADER}: wanted\r\n"
HEALTH = b"GET /health HTTP/1.1\r\nhost: chunkd\r\n\r\n"


class Node:
    """A node. `changed` is called when it fails, refuses or comes back."""

    def __init__(
        self,
        view: NodeView,
        key: wire.SigningKey,
        limits: StoreLimits,
        clock: Callable[[], float],
        changed: Callable[[], None],
    ) -> None:
        self.view = view
        self.node_id = view.node_id
        self.incarnation = view.incarnation
        self.failed = False
        self.refused_until = 0.0
        self.loans = Loans()
        self._key = key
        self._hex = view.node_id.hex()
        self._clock = clock
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._pool = Pool(view, limits, self._doubt)
        self._bundler = Bundler(self)
        self._unsure = True
        self._introducing = asyncio.Lock()
        self._probe: asyncio.Task[None] | None = None

    # --- what is known of it --------------------------------------------------------------------------

    def update(self, view: NodeView) -> None:
        """A newer row of the node."""
        self.view = view
        self.incarnation = max(self.incarnation, view.incarnation)
        self._pool.move(view)

    @property
    def under_way(self) -> int:
        """Requests of this gate that wait for the node."""
        return self._pool.under_way + self._bundler.waiting

    def tick(self) -> None:
        """Once a second: breaks off what makes no progress, and looks after what was lent."""
        self._pool.tick()
        self.loans.tick()

    def fail(self) -> None:
        """Marks the node as failed until it answers a probe."""
        if not self.failed and not self._pool.closed:
            self.failed = True
            self.loans.clear()
            self._probe = self._loop.create_task(self._probe_until_well())
            self._changed()

    async def _probe_until_well(self) -> None:
        wait = PROBE_SECONDS
        while True:
            await asyncio.sleep(wait)
            wait = min(PROBE_MOST_SECONDS, 1.5 * wait)
            # Whatever it was: a probe that ends would leave the node failed for as long as this gate runs.
            with contextlib.suppress(Exception):
                async with asyncio.timeout(PROBE_MOST_SECONDS):
                    await self._meet()
                    break
        self.failed = False
        self._probe = None
        self._changed()

    async def close(self) -> None:
        """Closes every connection and ends the probe."""
        self._pool.close()
        self.loans.clear()
        if self._probe is not None:
            self._probe.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._probe

    # --- connections ----------------------------------------------------------------------------------

    def take(self) -> Connection | None:
        """An idle connection, if there is one."""
        return self._pool.take()

    async def connect(self) -> Connection:
        """A connection to the node as it is now: who is there is asked first, when that may have changed."""
        if self._unsure:
            async with self._introducing:
                if self.failed:
                    raise NodeFailed(f"node {self._hex} does not answer")
                if self._unsure:
                    await self._meet()
        return await self._join()

    async def _join(self) -> Connection:
        try:
            return await self._pool.join()
        except NodeFailed:
            self.fail()
            raise

    def _doubt(self) -> None:
        """It may have been started again."""
        self._unsure = True
        self.loans.clear()

    # --- requests -------------------------------------------------------------------------------------

    def head(self, method: str, target: str, length: int = 0, crc: str = wire.NO_CRC, extra: str = "") -> bytes:
        """The signed head of a request; `extra` is more header lines."""
        expiry = int(self._clock()) + wire.SIGNATURE_SECONDS
        signature = wire.sign(self._key, method, target, self._hex, self.incarnation, expiry, length, crc)
        crc_line = f"{wire.CRC_HEADER}: {crc}\r\n" if crc != wire.NO_CRC else ""
        return (
            f"{method} {target} HTTP/1.1\r\nhost: chunkd\r\ncontent-length: {length}\r\n"
            f"{crc_line}{extra}authorization: {signature}\r\n\r\n"
        ).encode("ascii")

    async def request(
        self,
        method: str,
        target: str,
        body: Buffer = b"",
        crc: int | None = None,
        extra: str = "",
        more: Sequence[Buffer] = (),
    ) -> Answer:
        """A whole request, sent again when the connection was stale or the node has a newer incarnation."""
        crc_text = wire.NO_CRC if crc is None else wire.crc_text(crc)
        for _ in range(REQUEST_ATTEMPTS):
            connection = self.take() or await self.connect()
            length = len(body) + sum(map(len, more))
            head = self.head(method, target, length, crc_text, extra)
            parts = (head, body, *more) if body else (head,)
            answer = await self._ask(connection, parts, bodiless=method == "HEAD")
            if answer is not None:
                return answer
        raise NodeFailed(f"node {self._hex} closes its connections")

    async def _ask(self, connection: Connection, parts: Sequence[Buffer], *, bodiless: bool = False) -> Answer | None:
        future = connection.start(parts, bodiless=bodiless)
        try:
            return await self.settle(connection, future)
        except asyncio.CancelledError:
            connection.give_up(future)
            raise

    async def settle(self, connection: Connection, future: asyncio.Future[Answer]) -> Answer | None:
        """The answer to a request that was started; None if it is to be sent again."""
        try:
            answer = await future
        except ConnectionBroken as error:
            failure = self.broken(error)
            if error.fresh:
                raise failure from error
            return None
        return None if answer.status == 401 and self.learn(answer) else answer

    def broken(self, error: ConnectionBroken) -> NodeFailed:
        """What a broken connection means: the node failed, or an idle connection had been closed before."""
        if error.fresh:
            self.fail()
        else:
            self._unsure = True
            self._pool.drop_idle()
        return NodeFailed(f"node {self._hex} broke off: {error}")

    def learn(self, answer: Answer) -> bool:
        """Takes a newer incarnation from an answer: what it signs is worth nothing to anybody else."""
        text = answer.headers.get(INCARNATION, b"")
        if text.isdigit() and int(text) > self.incarnation:
            self.incarnation = int(text)
            return True
        return False

    # --- shards ---------------------------------------------------------------------------------------

    def start_put(self, connection: Connection, shard_id: bytes, data: Buffer, crc: int) -> asyncio.Future[Answer]:
        """Sends a shard whole; `finish_put` has the rest."""
        head = self.head("PUT", wire.shard_path(shard_id), len(data), wire.crc_text(crc))
        return connection.start((head, data))

    def start_stream(self, connection: Connection, shard_id: bytes, length: int) -> asyncio.Future[Answer]:
        """Sends the head of a shard whose bytes follow; its checksum is compared at the end."""
        return connection.start((self.head("PUT", wire.shard_path(shard_id), length),), more=True)

    async def finish_put(
        self, connection: Connection, future: asyncio.Future[Answer], shard_id: bytes, data: Buffer, crc: int
    ) -> None:
        """Returns when the shard is durable."""
        answer = await self.settle(connection, future)
        if answer is None:
            answer = await self.request("PUT", wire.shard_path(shard_id), data, crc)
        self.check_put(answer, crc)

    async def put(self, shard_id: bytes, data: Buffer, crc: int) -> None:
        """Stores a small shard, in one request with others that are to go there; returns when it is durable."""
        await self._bundler.put(shard_id, data, crc)

    def check_put(self, answer: Answer, crc: int) -> None:
        """Raises unless the node has acknowledged a shard with this checksum (law 2)."""
        if answer.headers.get(CRC) != b"%08x" % crc or answer.status not in (200, 201):
            raise self.not_stored(answer.status)

    def not_stored(self, status: int) -> NodeFailed:
        """Why a shard is not stored, to be raised. No write goes to the node for a while."""
        self.refused_until = self._loop.time() + REFUSED_SECONDS
        self._changed()
        if status == 507 or status == 503:
            return NodeRefused(f"node {self._hex} takes no writes")
        return NodeFailed(f"node {self._hex} did not store what it was sent: {status}")

    def start_get(
        self, connection: Connection, shard_id: bytes, window: str, borrow: bool = False
    ) -> asyncio.Future[Answer]:
        """Asks for a shard or, with a `window` from `range_line`, for some of its bytes. With `borrow` a node on
        this host may answer where they lie."""
        extra = window + PLACE_WANTED if borrow and connection.is_local and self.loans.wanted else window
        return connection.start((self.head("GET", wire.shard_path(shard_id), extra=extra),))

    async def finish_get(
        self,
        connection: Connection,
        future: asyncio.Future[Answer],
        shard_id: bytes,
        window: str,
        length: int,
        shard_length: int,
    ) -> bytes | bytearray | Loan:
        """The bytes asked for, verified (law 7), or a loan of the shard they belong to."""
        answer = await self.settle(connection, future)
        if answer is not None and answer.status == 303:
            loan = self.loans.accept(shard_id, answer.headers.get(PLACE, b"").decode("latin-1"), shard_length)
            return loan or await self.get(shard_id, window, length)
        data = None if answer is None else self._checked(answer, shard_id, length)
        return await self.get(shard_id, window, length) if data is None else data

    async def get(self, shard_id: bytes, window: str, length: int) -> bytes | bytearray:
        """The bytes asked for, verified; asked for again a few times if they were spoilt on the way."""
        for _ in range(READ_ATTEMPTS):
            answer = await self.request("GET", wire.shard_path(shard_id), extra=window)
            data = self._checked(answer, shard_id, length)
            if data is not None:
                return data
        raise ShardCorrupt(f"shard {shard_id.hex()} arrives spoilt from node {self._hex}")

    def _checked(self, answer: Answer, shard_id: bytes, length: int) -> bytes | bytearray | None:
        """The bytes of an answer; None if what arrived is not what was sent."""
        status, headers, body = answer
        if status == 200 or status == 206:
            good = len(body) == length and headers.get(CRC) == b"%08x" % crc32c(body)
            return body if good else None
        if status == 404:
            raise ShardMissing(f"node {self._hex} has no shard {shard_id.hex()}")
        if headers.get(STATE) == b"corrupt":
            raise ShardCorrupt(f"shard {shard_id.hex()} on node {self._hex}")
        raise NodeFailed(f"node {self._hex} answered a GET with {status}")

    async def stat(self, shard_id: bytes) -> wire.ListedShard | None:
        """Length, checksum and state of a shard, or None."""
        answer = await self.request("HEAD", wire.shard_path(shard_id))
        if answer.status == 404:
            return None
        self._expect(answer, 200)
        headers = answer.headers
        crc = wire.parse_crc(headers[CRC].decode())
        return wire.ListedShard(shard_id, int(headers[LENGTH]), crc, headers[STATE].decode())

    async def trash(self, shard_ids: list[bytes]) -> None:
        """Moves shards to the node's trash; those it does not have are fine."""
        for first in range(0, len(shard_ids), wire.MAX_DELETE_IDS):
            body = b"".join(shard_ids[first : first + wire.MAX_DELETE_IDS])
            self._expect(await self.request("POST", wire.DELETE_PATH, body, crc32c(body)), 204)

    async def list_shards(
        self, prefix: bytes, after: bytes, limit: int, state: str
    ) -> tuple[list[wire.ListedShard], bytes | None]:
        """A page of the node's sorted list, perhaps an empty one, and after which id there is more."""
        answer = await self.request("GET", wire.list_target(prefix, after, limit, state))
        self._expect(answer, 200)
        following = answer.headers.get(AFTER)
        page = wire.decode_lines(bytes(answer.body))
        return page, None if following is None else wire.parse_shard_id(following.decode())

    async def health(self) -> wire.Health:
        """What the node says of itself."""
        answer = None
        for _ in range(REQUEST_ATTEMPTS):
            answer = answer or await self._ask(self.take() or await self._join(), (HEALTH,))
        if answer is None or answer.status != 200:
            raise NodeFailed(f"node {self._hex} does not say how it is")
        try:
            return wire.Health.decode(bytes(answer.body))
        except wire.WireError as error:
            raise NodeFailed(f"node {self._hex} does not say how it is") from error

    async def _meet(self) -> None:
        """Asks who is there, before the first request and after connections were closed: a node that was started
        again has another incarnation, and a streamed PUT cannot be sent twice to find out."""
        health = await self.health()
        if health.node_id != self._hex or not health.incarnation:
            self.fail()
            raise NodeFailed(f"node {self._hex} has not joined yet, or another one answers in its place")
        self.incarnation = max(self.incarnation, health.incarnation)
        self._unsure = False

    def _expect(self, answer: Answer, status: int) -> None:
        if answer.status != status:
            raise NodeFailed(f"node {self._hex} answered {answer.status} and not {status}")


def range_line(start: int, stop: int) -> str:
    """The header line that asks for the bytes [start, stop)."""
    return f"range: bytes={start}-{stop - 1}\r\n"
