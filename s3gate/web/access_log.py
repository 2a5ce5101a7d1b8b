"""One JSON line for every request, written in batches by a thread: no request ever waits for a log.

The queue is bounded; what does not fit is counted and the count is written instead (law 9). A line holds no
secret: paths without their queries (a presigned query is a credential), and of headers only the user agent.
"""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

QUEUED_LINES = 20_000
FLUSH_SECONDS = 0.5


class Entry(NamedTuple):
    """What is known of one request when it is over."""

    at: datetime
    request_id: str
    remote: str
    access_key: str
    method: str
    path: bytes
    operation: str
    status: int
    error: str
    bytes_in: int
    bytes_out: int
    seconds: float
    user_agent: bytes


class AccessLog:
    """Takes entries from the event loop; `run` is its writer and ends by being cancelled."""

    def __init__(self, target: str, queued_lines: int = QUEUED_LINES) -> None:
        self._target = target
        self._limit = queued_lines
        self._entries: list[Entry] = []
        self._dropped = 0

    def add(self, entry: Entry) -> None:
        """Keeps the entry for the next batch, if there is room."""
        if len(self._entries) < self._limit:
            self._entries.append(entry)
        else:
            self._dropped += 1

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
        if entries or dropped:
            await asyncio.shield(asyncio.to_thread(self._write, entries, dropped))

    def _write(self, entries: list[Entry], dropped: int) -> None:
        lines = [_line(entry) for entry in entries]
        if dropped:
            lines.append(json.dumps({"dropped": dropped}))
        text = "\n".join(lines) + "\n"
        try:
            if self._target == "-":
                sys.stdout.write(text)
                sys.stdout.flush()
            else:  # opened anew for every batch, so that a rotated file is left alone
                with Path(self._target).open("a", encoding="ascii") as file:
                    file.write(text)
        except OSError:
            self._dropped += dropped + len(entries)


def _line(entry: Entry) -> str:
    return json.dumps(
        {
            "time": entry.at.isoformat(timespec="milliseconds"),
            "request_id": entry.request_id,
            "remote": entry.remote,
            "access_key": entry.access_key,
            "method": entry.method,
            "path": entry.path.decode("latin-1"),
            "operation": entry.operation,
            "status": entry.status,
            "error": entry.error,
            "bytes_in": entry.bytes_in,
            "bytes_out": entry.bytes_out,
            "milliseconds": round(entry.seconds * 1000, 3),
            "user_agent": entry.user_agent.decode("latin-1"),
        },
        separators=(",", ":"),
    )
