"""JSON lines on their way to a file: kept in a bounded queue, written in batches by a thread. No request waits.

What does not fit into the queue, and what cannot be written, is counted, and the count is written instead (law 9). It
knows nothing of what the lines say.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import logging
import os
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Generic, Protocol, TypeVar

E = TypeVar("E")

log = logging.getLogger("s3gate.web")

QUEUED_LINES = 20_000
FLUSH_SECONDS = 0.5
STDOUT = "-"


class Sink(Protocol):
    """Where lines end."""

    def write(self, text: str) -> None:
        """Whole lines. OSError when they cannot be kept."""


class StandardOutput:
    """For whoever collects it."""

    def write(self, text: str) -> None:
        """And flushed: the reader may be waiting."""
        sys.stdout.write(text)
        sys.stdout.flush()


class LogFile:
    """A file, opened anew for every batch, so that one that others have moved away is left alone.

    `most_bytes` above zero: a file that would exceed it becomes `name.1`, that one `name.2`, and so on up to `kept`.
    Several processes may write to one file: each appends whole lines, and one of them at a time moves files.
    """

    def __init__(self, path: Path, most_bytes: int = 0, kept: int = 0, mode: int = 0o666) -> None:
        self._path = path
        self._most_bytes = most_bytes
        self._kept = kept
        self._mode = mode

    def write(self, text: str) -> None:
        """Appends, after a file that is full was moved away: the next one, too, if others have filled it by then."""
        data = text.encode("ascii")
        while True:
            with self._opened() as file:
                if not self._is_full(file, len(data)):
                    _write_all(file, data)
                    return
                self._shift()

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int]:
        """The file of that name, and for as long as this lasts nobody else's to move."""
        while True:
            file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, self._mode)
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
                if self._is_still(file):
                    yield file
                    return
            finally:
                os.close(file)

    def _is_still(self, file: int) -> bool:
        """Whether nobody has moved it away between opening and locking."""
        with contextlib.suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(file), os.stat(self._path))
        return False

    def _is_full(self, file: int, more: int) -> bool:
        status = os.fstat(file)
        if not self._most_bytes or not stat.S_ISREG(status.st_mode):
            return False
        return status.st_size > 0 and status.st_size + more > self._most_bytes

    def _shift(self) -> None:
        if not self._kept:
            self._path.unlink(missing_ok=True)
        for number in range(self._kept, 0, -1):
            with contextlib.suppress(FileNotFoundError):
                os.replace(self._numbered(number - 1), self._numbered(number))

    def _numbered(self, number: int) -> str:
        return f"{self._path}.{number}" if number else str(self._path)


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


class LineLog(Generic[E]):
    """Takes entries from the event loop; `run` is its writer and ends by being cancelled."""

    def __init__(self, sink: Sink, line: Callable[[E], str], queued_lines: int = QUEUED_LINES) -> None:
        self._sink = sink
        self._line = line
        self._limit = queued_lines
        self._entries: list[E] = []
        self._dropped = 0
        self._failing = False
        self.lost = 0
        """Entries that will never be read, since the start."""

    def add(self, entry: E) -> None:
        """Keeps the entry for the next batch, if there is room."""
        if len(self._entries) < self._limit:
            self._entries.append(entry)
        else:
            self._lose(1)

    async def run(self) -> None:
        """Writes what has come together, twice a second; the rest when it is cancelled."""
        try:
            while True:
                await asyncio.sleep(FLUSH_SECONDS)
                await self._flush()
        finally:
            await self._flush()

    async def _flush(self) -> None:
        entries, self._entries = self._entries, []
        dropped, self._dropped = self._dropped, 0
        if not entries and not dropped:
            return
        failure = await asyncio.shield(asyncio.to_thread(self._write, entries, dropped))
        if failure is not None:
            self._dropped += dropped
            self._lose(len(entries))
            if not self._failing:
                log.error("a log cannot be written, its lines are lost: %s", failure)
        self._failing = failure is not None

    def _lose(self, count: int) -> None:
        self._dropped += count
        self.lost += count

    def _write(self, entries: list[E], dropped: int) -> OSError | None:
        lines = [self._line(entry) for entry in entries]
        if dropped:
            lines.append(json.dumps({"dropped": dropped}))
        try:
            self._sink.write("\n".join(lines) + "\n")
        except OSError as error:
            return error
        return None
