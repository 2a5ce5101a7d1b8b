"""`s3gate work`: runs every unit of background work again and again, with rests, until told to stop.

Every kind of work has a loop of its own, so that a long sweep does not hold up the collector. A loop stops between
units; a unit that is cut off after all is taken up by the next run (law 10). It knows when, and not what, is done.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

from chunkd import wire
from s3gate.catalog import schema
from s3gate.catalog.catalog import Catalog
from s3gate.catalog.errors import CatalogError
from s3gate.catalog.limits import Limits
from s3gate.catalog.starting import when_up
from s3gate.geometry.stripe import Layout
from s3gate.process import log_to_stderr, stopped_by_signals
from s3gate.settings import Settings
from s3gate.store.budget import Budget
from s3gate.store.errors import StoreError
from s3gate.store.limits import StoreLimits
from s3gate.store.store import Store
from s3gate.workers import lifecycle
from s3gate.workers.collect import collect, deliver_parked
from s3gate.workers.expire import expire_uploads, forget_completed
from s3gate.workers.groups import follow_fleet, refresh_fleet
from s3gate.workers.sweep import Sweeper, close_stale_sessions
from s3gate.workers.workshop import Unit, Workshop

log = logging.getLogger("s3gate.workers")

STOP_SECONDS = 2.0
"""How long the units that run may still take at the end."""
FIRST_RETRY_SECONDS = 0.5
LONGEST_RETRY_SECONDS = 30.0
FLEET_SECONDS = 1.0
SWEEP_SECONDS = 5.0
PARKED_SECONDS = 2.0
SESSIONS_SECONDS = 5.0
SHORTEST_REST_SECONDS = 0.2
LONGEST_REST_SECONDS = 60.0
LONGEST_PAUSE_SECONDS = 5.0
"""Between two units when there is more to do: a unit may have waited for a node that was down."""


class Chore(NamedTuple):
    """A unit, and the rest after it when there is no more of it."""

    name: str
    unit: Unit
    rest_seconds: float


def chores(settings: Settings) -> Sequence[Chore]:
    """All background work of a store."""
    return (
        Chore("fleet", follow_fleet, FLEET_SECONDS),
        Chore("collect", collect, settings.collect_seconds),
        Chore("parked", deliver_parked, PARKED_SECONDS),
        Chore("expire", expire_uploads, _rest(settings.upload_expiry_seconds)),
        Chore("lifecycle", lifecycle.follow_rules, _rest(settings.lifecycle_day_seconds)),
        Chore("tombstones", forget_completed, _rest(settings.tombstone_seconds)),
        Chore("sessions", close_stale_sessions, min(SESSIONS_SECONDS, _rest(settings.session_timeout_seconds, 5))),
        Chore("sweep", Sweeper().sweep, SWEEP_SECONDS),
    )


def _rest(seconds: float, parts: int = 10) -> float:
    """What comes due after so many seconds is looked for in a part of them: neither all the time nor next to never."""
    return min(LONGEST_REST_SECONDS, max(SHORTEST_REST_SECONDS, seconds / parts))


async def work(settings: Settings, stop: asyncio.Event | None = None) -> None:
    """Work until `stop` is set, or a signal sets it."""
    log_to_stderr()
    logging.getLogger(lifecycle.__name__).setLevel(logging.INFO)  # it says what it ended
    stop = stopped_by_signals() if stop is None else stop
    key = wire.ClusterKey.parse(settings.cluster_key_text())
    await when_up(lambda: schema.prepare(settings.database_url, key.cluster_id), stop)
    async with open_workshop(settings, key, "worker", stop) as shop:
        await when_up(lambda: refresh_fleet(shop), stop)
        loops = [asyncio.create_task(_repeat(shop, chore, stop)) for chore in chores(settings)]
        await stop.wait()
        await asyncio.wait(loops, timeout=STOP_SECONDS)
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)


@contextlib.asynccontextmanager
async def open_workshop(
    settings: Settings, key: wire.ClusterKey, kind: str, stop: asyncio.Event
) -> AsyncIterator[Workshop]:
    """Catalog and store, closed in order. Nothing is ever written to nodes through it, so any layout will do."""
    limits = Limits.for_session_timeout(settings.session_timeout_seconds)
    catalog = await when_up(lambda: Catalog.open(settings.database_url, kind=kind, limits=limits), stop)
    try:
        budget = Budget(settings.body_budget_bytes)
        store_limits = StoreLimits(cache_bytes=0, read_wait_seconds=settings.read_wait_seconds)
        store = Store(key, store_limits, catalog.ids, time.time, layout=Layout(0), budget=budget)
        try:
            yield Workshop(catalog, store, settings)
        finally:
            await store.close()
    finally:
        await catalog.close()


async def _repeat(shop: Workshop, chore: Chore, stop: asyncio.Event) -> None:
    retry = FIRST_RETRY_SECONDS
    while not stop.is_set():
        began = time.monotonic()
        try:
            more = await chore.unit(shop)
            rest = min((time.monotonic() - began) * more, LONGEST_PAUSE_SECONDS) if more else chore.rest_seconds
            retry = FIRST_RETRY_SECONDS
        except (CatalogError, StoreError, OSError, TimeoutError) as error:
            log.warning("%s: %s: %s; again in %.1f s", chore.name, type(error).__name__, error, retry)
            rest, retry = retry, min(retry * 2, LONGEST_RETRY_SECONDS)
        except Exception:
            log.exception("%s failed; again in %.1f s", chore.name, retry)
            rest, retry = retry, min(retry * 2, LONGEST_RETRY_SECONDS)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), max(0.001, rest))
