"""The gate's picture of the fleet, when reading it fails: the loop goes on, and says so once, and its end too."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from s3gate.catalog.errors import Unavailable
from s3gate.web import fleet_watch
from s3gate.web.fleet_watch import FleetWatch


class Catalog:
    """Fails the first two times, with whatever it is given."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.asked = 0
        self.enough = asyncio.Event()

    async def fleet(self) -> tuple[list[Any], list[Any]]:
        self.asked += 1
        if self.asked <= 2:
            raise self.error
        if self.asked == 5:
            self.enough.set()
        return [], []

    async def layouts(self) -> list[Any]:
        return []


class Store:
    """Takes what it is told."""

    def __init__(self) -> None:
        self.updates = 0

    def update(self, *_: object) -> None:
        self.updates += 1


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (Unavailable("no connection to Postgres"), "no connection to Postgres"),
        (RuntimeError("nobody expected this"), "RuntimeError('nobody expected this')"),
    ],
)
async def test_an_outage_is_said_once_and_its_end_too(
    error: Exception, why: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(fleet_watch, "POLL_SECONDS", 0.001)
    catalog, store = Catalog(error), Store()
    watch = asyncio.create_task(FleetWatch(catalog, store).run())  # type: ignore[arg-type]
    await asyncio.wait_for(catalog.enough.wait(), 5)
    watch.cancel()
    said = [record.getMessage() for record in caplog.records]
    assert said == [f"the fleet cannot be read: {why}", "the fleet is read again"]
    assert store.updates > 1
