"""The catalog and the store as an operator's command opens them: one look at the fleet, and nothing is written."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from chunkd.wire import ClusterKey
from s3gate.catalog.catalog import Catalog
from s3gate.catalog.limits import Limits
from s3gate.geometry.stripe import Layout
from s3gate.settings import Settings
from s3gate.store.budget import Budget
from s3gate.store.limits import StoreLimits
from s3gate.store.store import Store

KIND = "admin"


@dataclass(frozen=True, slots=True)
class Opened:
    """What a command gets."""

    settings: Settings
    catalog: Catalog
    store: Store


@contextlib.asynccontextmanager
async def open_catalog(settings: Settings) -> AsyncIterator[Catalog]:
    """The catalog alone."""
    limits = Limits.for_session_timeout(settings.session_timeout_seconds)
    catalog = await Catalog.open(settings.database_url, kind=KIND, limits=limits)
    try:
        yield catalog
    finally:
        await catalog.close()


@contextlib.asynccontextmanager
async def open_store(settings: Settings, key: ClusterKey) -> AsyncIterator[Opened]:
    """Open, look at the fleet once, and close in order."""
    async with open_catalog(settings) as catalog:
        budget = Budget(settings.body_budget_bytes)
        # No object is ever written through it, so any layout will do for those that would be.
        store = Store(key, StoreLimits(cache_bytes=0), catalog.ids, time.time, layout=Layout(0), budget=budget)
        try:
            nodes, groups = await catalog.fleet()
            store.update(nodes, groups, await catalog.layouts())
            yield Opened(settings, catalog, store)
        finally:
            await store.close()
