"""Starting beside a Postgres that is starting, too: what a process opens first is tried again for a while.

A server that answers and is refused (it does not sync, it belongs to another cluster) is an error at once. It
refuses to know what is opened.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import psycopg

from s3gate.catalog.connection import ConnectionLost
from s3gate.catalog.errors import Unavailable

T = TypeVar("T")
START_SECONDS: Final = 60.0
"""How long Postgres may take to come up, crash recovery included, before the process gives up."""
PAUSE_SECONDS: Final = 0.2

log = logging.getLogger("s3gate.catalog")


async def when_up(begin: Callable[[], Awaitable[T]], stop: asyncio.Event, seconds: float = START_SECONDS) -> T:
    """What `begin` returns once Postgres answers; Unavailable when that takes too long, or `stop` is set."""
    loop = asyncio.get_running_loop()
    until, said = loop.time() + seconds, False
    while True:
        try:
            return await begin()
        except (psycopg.OperationalError, ConnectionLost, Unavailable) as error:
            if stop.is_set() or loop.time() > until:
                raise Unavailable(str(error).strip()) from error
            if not said:
                log.warning("waiting for Postgres, %.0f s at most: %s", seconds, str(error).strip())
                said = True
        await asyncio.sleep(PAUSE_SECONDS)
