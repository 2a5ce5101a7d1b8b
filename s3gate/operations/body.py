"""The body of a request: decoded, measured, digested, and not believed until its end.

Bytes go from the connection through the aws-chunked framing (where there is one) into rows that the store
takes as they are. After the last byte everything the client claimed is checked: length, chunk signatures,
payload hash, Content-MD5, checksum in header or trailer (law 12). It knows neither operations nor nodes.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, MutableMapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from s3gate.operations._digests import INLINE_BYTES, POOL, Chain, Piece, Row, Update
from s3gate.s3 import awschunked, checksums
from s3gate.s3.algorithms import DEFAULT, Algorithm, Hasher, new
from s3gate.s3.credentials import Authentication, PayloadMode
from s3gate.s3.errors import S3Error, not_implemented
from s3gate.s3.request import Headers
from s3gate.store.budget import Block, Budget

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

HASHED_AT_ONCE_BYTES = 1024 * 1024
"""Of what is being received, this much goes to the hashing threads at a time: each time costs the loop two wake-ups."""
# Computed at memory speed: handing them to a thread would cost more than they do.
_FAST = frozenset((Algorithm.CRC32C, Algorithm.CRC64NVME, Algorithm.XXHASH64, Algorithm.XXHASH3, Algorithm.XXHASH128))
_CHECKSUM_HEADERS = (b"x-amz-checksum-", b"x-amz-sdk-checksum-algorithm")


@dataclass(frozen=True, slots=True)
class Digests:
    """What was computed over the body. `md5` is empty unless it was wanted; `checksum` as rows keep it."""

    md5: bytes
    checksum: str


class Body:
    """The body of one request. Nothing is received before the first read: 100-continue waits for that."""

    __slots__ = (
        "_algorithm",
        "_auth",
        "_chains",
        "_checksum",
        "_decoder",
        "_digests",
        "_ended",
        "_expected",
        "_headers",
        "_md5",
        "_pending",
        "_receive",
        "_sha256",
        "_updates",
        "checksum_is_of_body",
        "consumed",
        "default_algorithm",
        "received",
        "want_md5",
    )

    def __init__(self, receive: Receive, headers: Headers, auth: Authentication) -> None:
        self.want_md5 = True
        self.checksum_is_of_body = True
        """False: checksum headers speak of something else (of the object, at CompleteMultipartUpload)."""
        self.default_algorithm = DEFAULT
        """Computed when the client names none."""
        self.consumed = False
        self._receive = receive
        self._headers = headers
        self._auth = auth
        self.received = 0
        self._ended = False
        self._pending: deque[Piece] = deque()
        self._updates: list[Update] = []
        self._chains: list[Chain] = []
        self._digests: Digests | None = None

    @property
    def length(self) -> int | None:
        """How many bytes the payload will have, if the client said so. Raises when it said nonsense."""
        if self._auth.payload.streaming:
            return awschunked.decoded_length(self._headers)
        text = self._headers.get_bytes(b"content-length")
        return None if text is None else int(text)

    def required_length(self, limit: int) -> int:
        """The length, which has to be known and at most `limit`: MissingContentLength, EntityTooLarge.

        Of a body that comes in HTTP's own chunks S3 says that it does not do that.
        """
        length = self.length
        if length is None:
            if self._headers.get_bytes(b"transfer-encoding") is not None:
                raise not_implemented("Transfer-Encoding")
            raise S3Error.of("MissingContentLength")
        if length > limit:
            raise S3Error.of("EntityTooLarge", ProposedSize=str(length), MaxSizeAllowed=str(limit))
        return length

    async def read(self, limit: int, too_large: str = "MaxMessageLengthExceeded") -> bytes:
        """All of it, verified; the error `too_large` above `limit` bytes, announced or not."""
        length = self.length
        if length is not None and length > limit:
            raise S3Error.of(too_large)
        self._begin(threaded=length is None or length > INLINE_BYTES)
        pieces: list[Piece] = []
        digested = undigested = 0
        while not self._ended:
            for piece in await self._take():
                if self.received > limit:
                    raise S3Error.of(too_large)
                pieces.append(piece)
                undigested += len(piece)
            if undigested >= (1 if self._ended else HASHED_AT_ONCE_BYTES):
                self._update(pieces[digested:])
                digested, undigested = len(pieces), 0
        await self._conclude(length)
        return bytes(pieces[0]) if len(pieces) == 1 else b"".join(pieces)

    def blocks(self, row_bytes: int, budget: Budget) -> AsyncIterator[Block]:
        """Rows of `row_bytes`, the last one shorter. Ends only after everything was verified, or raises."""
        left = self.length or 0
        return self.rows([min(row_bytes, left - start) for start in range(0, left, row_bytes)], budget)

    async def rows(self, sizes: Iterable[int], budget: Budget, beside: int = 0) -> AsyncIterator[Block]:
        """The whole body in rows of these sizes. `beside`: what else each of them takes of the budget."""
        length = self.length
        if length is None:
            raise S3Error.of("MissingContentLength")
        self._begin(threaded=length > INLINE_BYTES)
        for size in sizes:
            yield await self._row(size, budget, beside)
        await self._rest()
        await self._conclude(length)

    async def pieces(self) -> AsyncGenerator[Piece, None]:
        """As they come: of a body that is not itself an object. Ends only after everything was verified, or raises."""
        self._begin(threaded=False)
        while not self._ended:
            for piece in await self._take():
                self._update((piece,))
                yield piece
        await self._conclude(self.length)

    def digests(self) -> Digests:
        """What the body turned out to be; only after its end was reached."""
        if self._digests is None:
            raise RuntimeError("the body has not been read to its end")
        return self._digests

    # --- receiving ---

    def _begin(self, threaded: bool) -> None:
        """Reads what the headers claim: it may refuse the request before any of the body was asked for."""
        if self.consumed:
            raise RuntimeError("a body is read once")
        auth = self._auth
        mode = auth.payload
        headers = self._headers if self.checksum_is_of_body else _without_checksums(self._headers)
        expected = self._expected = checksums.parse_request(headers, mode)
        trailers = () if expected.trailer is None else (expected.trailer,)
        self._decoder = (
            awschunked.Decoder(mode, awschunked.decoded_length(self._headers), auth, trailers)
            if mode.streaming
            else None
        )
        self._md5 = hashlib.md5(usedforsecurity=False) if self.want_md5 or expected.md5 is not None else None
        self._sha256 = hashlib.sha256() if mode is PayloadMode.SIGNED else None
        self._algorithm = expected.algorithm if self._claims_checksum() else self.default_algorithm
        if self._algorithm is Algorithm.SHA256 and self._sha256 is not None:
            self._checksum: Hasher = self._sha256  # one computation serves both
        elif self._algorithm is Algorithm.MD5 and self._md5 is not None:
            self._checksum = self._md5
        else:
            self._checksum = new(self._algorithm)
        hashers = dict.fromkeys((self._md5, self._sha256, self._checksum))
        for hasher in hashers:
            if hasher is None:
                continue
            if threaded and not (hasher is self._checksum and self._algorithm in _FAST):
                self._chains.append(Chain(hasher.update))
            else:
                self._updates.append(hasher.update)
        self.consumed = True

    async def _take(self) -> Sequence[Piece]:
        """What arrived next, without framing. Sets `_ended` with the last of it."""
        message = await self._receive()
        if message["type"] != "http.request":
            raise S3Error.of("RequestTimeout" if message.get("slow") else "IncompleteBody")
        data: bytes = message.get("body", b"")
        self._ended = not message.get("more_body", False)
        decoder = self._decoder
        if decoder is None:
            self.received += len(data)
            return (data,) if data else ()
        if self._auth.payload.signs_chunks and len(data) > INLINE_BYTES:
            loop = asyncio.get_running_loop()
            pieces: Sequence[Piece] = await loop.run_in_executor(POOL, decoder.feed, data)
        else:
            pieces = decoder.feed(data)
        for piece in pieces:
            self.received += len(piece)
        return pieces

    def _update(self, pieces: Sequence[Piece], row: Row | None = None) -> None:
        for update in self._updates:
            for piece in pieces:
                update(piece)
        for chain in self._chains:
            chain.add(pieces, row)

    async def _row(self, size: int, budget: Budget, beside: int) -> Block:
        """One row, filled from what arrives. It is given back when the store and all digests are done."""
        await budget.acquire(size + beside)
        release = partial(budget.release, size + beside)
        row = Row(release, 1 + len(self._chains))
        try:
            view = await self._whole(size)
            if view is not None:
                self._update((view,), row)
            else:
                view = await self._fill(size, row)
        except BaseException:
            release()
            raise
        return Block(view, row.done)

    async def _whole(self, size: int) -> memoryview | None:
        """A row that arrived in one piece is used as it came."""
        pending = self._pending
        if not pending and not self._ended:
            pending.extend(await self._take())
        return memoryview(pending.popleft()) if pending and len(pending[0]) == size else None

    async def _fill(self, size: int, row: Row) -> memoryview:
        """A row copied together, digested in steps while more of it arrives."""
        view = memoryview(bytearray(size))
        pending = self._pending
        filled = digested = 0
        while filled < size:
            while not pending:
                if self._ended:
                    raise S3Error.of("IncompleteBody")
                pending.extend(await self._take())
            piece = pending.popleft()
            room = size - filled
            if len(piece) > room:
                rest = memoryview(piece)
                pending.appendleft(rest[room:])
                piece = rest[:room]
            view[filled : filled + len(piece)] = piece
            filled += len(piece)
            if filled - digested >= HASHED_AT_ONCE_BYTES and filled < size:
                self._update((view[digested:filled],))
                digested = filled
        self._update((view[digested:],), row)
        return view

    async def _rest(self) -> None:
        """What follows the payload: the end of the framing, and nothing else."""
        while not self._ended:
            self._pending.extend(await self._take())
        if self._pending:
            raise S3Error.of("IncompleteBody")

    # --- the end ---

    async def _conclude(self, length: int | None) -> None:
        """Everything that was claimed is compared with what came (law 12)."""
        if length is not None and self.received != length:
            raise S3Error.of("IncompleteBody")
        trailers = {} if self._decoder is None else self._decoder.finish()
        for chain in self._chains:
            await chain.drain()
        self._check_payload_hash()
        md5 = b"" if self._md5 is None else self._md5.digest()
        wanted = self._expected.md5
        if wanted is not None and wanted != md5:
            raise checksums.md5_mismatch(wanted, md5)
        self._digests = Digests(md5, self._check_checksum(trailers))

    def _check_payload_hash(self) -> None:
        if self._sha256 is None:
            return
        computed = self._sha256.hexdigest()
        if computed != self._auth.payload_sha256:
            raise S3Error.of(
                "XAmzContentSHA256Mismatch",
                ClientComputedContentSHA256=self._auth.payload_sha256,
                S3ComputedContentSHA256=computed,
            )

    def _claims_checksum(self) -> bool:
        return self._expected.digest is not None or self._expected.trailer is not None

    def _check_checksum(self, trailers: dict[str, str]) -> str:
        """The checksum as rows keep it: the client's, which must be right, or the one computed anyway."""
        expected = self._expected
        digest = self._checksum.digest()
        claimed = expected.digest
        if expected.trailer is not None:
            value = trailers.get(expected.trailer, "")
            claimed = checksums.parse_value(self._algorithm, value, f"{expected.trailer} trailing")
        if claimed is not None and claimed != digest:
            raise checksums.mismatch(self._algorithm)
        return checksums.Checksum.full(self._algorithm, digest).text()


def _without_checksums(headers: Headers) -> Headers:
    kept = [pair for pair in headers if not pair[0].startswith(_CHECKSUM_HEADERS)]
    return Headers(kept)
