"""The porter of one listener: who may come in, and whose time is up.

One sweep over all connections replaces timers per request: a request pays nothing for its deadlines. The
porter decides nothing about HTTP; each connection is asked what it exceeds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from s3gate.web.limits import Limits


class Visitor(Protocol):
    """What the porter needs of a connection."""

    def check_deadlines(self, now: float) -> None:
        """Ends what lasts too long."""


def nobody_waits() -> float:
    """What is said where requests share nothing that slow clients could hold."""
    return 0.0


class Porter:
    """Connections by address, and the sweep over them. Lives as long as its listener, on one event loop.

    `waited_seconds` tells for how long somebody has been waiting for memory that others hold: then `crowded` is
    set, and whoever is slow has to be quicker or go.
    """

    def __init__(self, limits: Limits, waited_seconds: Callable[[], float] = nobody_waits) -> None:
        self.limits = limits
        self.crowded = False
        self._waited_seconds = waited_seconds
        self.visitors: set[Visitor] = set()
        self.refused = 0
        self._by_address: dict[str, int] = {}
        self._sweeping: asyncio.TimerHandle | None = None
        self._raw_defaults: list[tuple[bytes, bytes]] = []
        self._default_lines = b""

    def admit(self, visitor: Visitor, address: str) -> bool:
        """Counts the connection in, or says that there are too many. Only what was admitted leaves."""
        count = self._by_address.get(address, 0)
        if count >= self.limits.connections_per_address or len(self.visitors) >= self.limits.connections:
            self.refused += 1
            return False
        self._by_address[address] = count + 1
        self.visitors.add(visitor)
        if self._sweeping is None:
            self._arm(asyncio.get_running_loop())
        return True

    def leave(self, visitor: Visitor, address: str) -> None:
        """Counts it out; one that was never admitted does not matter."""
        if visitor not in self.visitors:
            return
        self.visitors.remove(visitor)
        count = self._by_address[address] - 1
        if count:
            self._by_address[address] = count
        else:
            del self._by_address[address]

    def default_lines(self, headers: list[tuple[bytes, bytes]]) -> bytes:
        """Date and Server as bytes, joined once per list: uvicorn makes a new list every second."""
        if headers is not self._raw_defaults:
            self._raw_defaults = headers
            self._default_lines = b"".join(b"%b: %b\r\n" % header for header in headers)
        return self._default_lines

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        self._sweeping = loop.call_later(self.limits.sweep_seconds, self._sweep, loop)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        self._sweeping = None
        now = loop.time()
        self.crowded = self._waited_seconds() > self.limits.crowded_seconds
        for visitor in tuple(self.visitors):
            visitor.check_deadlines(now)
        if self.visitors:
            self._arm(loop)
