"""The gate's picture of the fleet, when reading it fails."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from s3gate.web import fleet_watch
from s3gate.web.fleet_watch import FleetWatch


class Flaky:
    """A catalog and a store in one: every other look fails, with whatever."""

    def __init__(self) -> None:
        self.looks = 0
        self.updates = 0

    async def fleet(self) -> tuple[list[Any], list[Any]]:
        self.looks += 1
        if self.looks % 2:
            raise RuntimeError("nobody expected this")
        return [], []

    async def layouts(self) -> list[Any]:
        return []

    def update(self, *_: object) -> None:
        self.updates += 1


async def test_no_failure_ends_the_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_watch, "POLL_SECONDS", 0.001)
    flaky = Flaky()
    running = asyncio.create_task(FleetWatch(cast(Any, flaky), cast(Any, flaky)).run())
    await asyncio.sleep(0.1)
    assert not running.done() and flaky.updates > 1
    running.cancel()
