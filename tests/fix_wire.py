"""Requests to a gate, byte for byte."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.fix_store import Store
from tests.limits.wire import Reply, Wire


@pytest.fixture
def ask(store: Store) -> Callable[[bytes], Reply]:
    """Sends one request on a connection of its own."""

    def one(data: bytes) -> Reply:
        with Wire(store.gates[0].port) as wire:
            return wire.ask(data)

    return one
