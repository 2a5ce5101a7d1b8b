"""What the tests of the engine share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chunkd.engine_store import make_store


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """The directory of a new node."""
    return make_store(tmp_path)
