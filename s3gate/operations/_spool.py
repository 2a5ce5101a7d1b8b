"""The file of a form, until it is complete: only then is its length known, which the store has to be told first.

One that fits into a row waits in memory, and the budget counts it; a longer one in a temporary file that has no name.
Which of the two is decided by the most that may come. It knows neither forms nor objects.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Any, TypeVar

from s3gate.s3.errors import S3Error
from s3gate.store.budget import Budget

if TYPE_CHECKING:
    from s3gate.gate import Gate

log = logging.getLogger("s3gate.operations")

KIB = 1 << 10
STEP_BYTES = 512 * KIB
"""How much goes to and from the disk at a time."""

Message = dict[str, Any]
T = TypeVar("T")


class Spool:
    """Bytes that are added, and then received as if a client sent them. `gate` is the one to write them with."""

    def __init__(self, gate: Gate, file: IO[bytes] | None) -> None:
        self.size = 0
        self._file = file
        self._pieces: deque[bytes] = deque()
        self._held = 0
        # What is in memory is counted already: were it counted again, forms could wait for one another for ever.
        self.gate = gate if file is not None else replace(gate, budget=Budget(4 * gate.row_bytes))

    async def add(self, piece: bytes) -> None:
        """Takes what has arrived."""
        self.size += len(piece)
        self._pieces.append(piece)
        if self._file is not None:
            self._held += len(piece)
            if self._held >= STEP_BYTES:
                await self._write_out(self._file)

    async def complete(self) -> None:
        """Nothing will be added any more."""
        if self._file is not None:
            await self._write_out(self._file)
            await _with_room(self._file.seek, 0)

    async def receive(self) -> Message:
        """The next piece, as ASGI has it."""
        if self._file is not None:
            data = await asyncio.to_thread(self._file.read, STEP_BYTES)
            return {"type": "http.request", "body": data, "more_body": data != b""}
        data = self._pieces.popleft() if self._pieces else b""
        return {"type": "http.request", "body": data, "more_body": bool(self._pieces)}

    async def _write_out(self, file: IO[bytes]) -> None:
        data = b"".join(self._pieces)
        self._pieces.clear()
        self._held = 0
        await _with_room(file.write, data)


@asynccontextmanager
async def opened_spool(gate: Gate, most: int) -> AsyncIterator[Spool]:
    """A spool for at most that many bytes."""
    if most <= gate.row_bytes:
        held = 2 * most  # the bytes, and beside them their sealed form, should they be encrypted
        await gate.budget.acquire(held)
        try:
            yield Spool(gate, None)
        finally:
            gate.budget.release(held)
        return
    if not gate.form_disk.try_acquire(most):
        raise _no_room()
    try:
        file = await asyncio.to_thread(_unnamed_file)
        try:
            yield Spool(gate, file)
        finally:
            with suppress(OSError):  # of what could not be written; giving back gigabytes takes its time
                await asyncio.shield(asyncio.to_thread(file.close))
    finally:
        gate.form_disk.release(most)


async def _with_room(work: Callable[[T], object], argument: T) -> None:
    """Beside the event loop; a disk that is full is no fault of the client's."""
    try:
        await asyncio.to_thread(work, argument)
    except OSError as error:
        log.warning("no room for the file of a form: %s", error)
        raise _no_room() from error


def _unnamed_file() -> IO[bytes]:
    return TemporaryFile("w+b")


def _no_room() -> S3Error:
    error = S3Error.of("SlowDown", "There is no room for the file of this form now. Please try again later.")
    return error.with_headers(retry_after="1")
