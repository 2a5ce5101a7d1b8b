"""Keeps the store's picture of the fleet fresh: nodes, groups and layouts, read from the catalog every second.

It also says when a node joined: groups are planned at once, so that the node takes writes within seconds. It knows
neither HTTP nor how groups are chosen; planning is a pure function that the catalog applies.
"""

from __future__ import annotations

import asyncio
import logging
from time import monotonic
from typing import TYPE_CHECKING

from s3gate.catalog.errors import CatalogError
from s3gate.geometry.plan import plan_groups
from s3gate.web.app import Readiness

if TYPE_CHECKING:
    from s3gate.catalog.catalog import Catalog
    from s3gate.store.store import Store

log = logging.getLogger("s3gate.web")

POLL_SECONDS = 1.0
STALE_SECONDS = 3.0
"""After so long without an answer Postgres counts as unreachable for readiness."""


class FleetWatch:
    """One per process. `run` is its loop and ends by being cancelled."""

    def __init__(self, catalog: Catalog, store: Store) -> None:
        self._catalog = catalog
        self._store = store
        self._answered_at = float("-inf")
        self._poke = asyncio.Event()

    async def refresh(self) -> None:
        """Reads the fleet now. Raises what the catalog raises."""
        nodes, groups = await self._catalog.fleet()
        layouts = await self._catalog.layouts()
        self._store.update(nodes, groups, layouts)
        self._answered_at = monotonic()

    async def node_joined(self) -> None:
        """Plans groups with the new node. Another gate may do the same: the catalog applies one plan at a time."""
        await self._catalog.apply_groups(plan_groups)
        self._poke.set()

    async def run(self) -> None:
        """Reads the fleet for ever; a failure is said once and tried again, whatever it is: without this loop, no node
        would be heard of any more."""
        silent = False
        while True:
            try:
                await self.refresh()
                if silent:
                    log.warning("the fleet is read again")
                silent = False
            except Exception as error:
                if not silent:
                    why = str(error) if isinstance(error, CatalogError) else repr(error)
                    log.warning("the fleet cannot be read: %s", why)
                silent = True
            try:
                await asyncio.wait_for(self._poke.wait(), POLL_SECONDS)
            except TimeoutError:
                continue
            self._poke.clear()

    def readiness(self) -> Readiness:
        """Whether a PUT would be accepted, from what is known: nobody is asked."""
        view = self._store.local_view()
        fresh = monotonic() - self._answered_at < STALE_SECONDS
        connected = fresh and self._catalog.is_connected
        return Readiness(connected, view.nodes_up, view.nodes_full, view.nodes_read_only, view.groups_writable)
