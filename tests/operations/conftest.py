"""One gate on fakes, with one bucket, for every test of an operation."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.operations.bench import Bench
from tests.operations.sealing import make_vault


@pytest.fixture
async def bench() -> Bench:
    """A gate whose catalog and store are in memory, with the bucket `box`."""
    made = Bench()
    await made.ask("PUT", "/box")
    return made


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """The file of the keys of `vault`."""
    return tmp_path / "kms.json"


@pytest.fixture
def vault(bench: Bench, keys: Path) -> Bench:
    """The same gate, with somebody who keeps keys."""
    return make_vault(bench, keys)
