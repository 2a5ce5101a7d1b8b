"""One gate on fakes, with one bucket, for every test of an operation."""

from __future__ import annotations

import pytest

from tests.operations.bench import Bench


@pytest.fixture
async def bench() -> Bench:
    """A gate whose catalog and store are in memory, with the bucket `box`."""
    made = Bench()
    await made.ask("PUT", "/box")
    return made
