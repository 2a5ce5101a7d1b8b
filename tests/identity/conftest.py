"""Identities on a fresh database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest

from chunkd.wire import ClusterKey
from s3gate.catalog import schema
from s3gate.catalog.catalog import Catalog
from s3gate.identity.identities import Identities
from s3gate.s3.credentials import Credential

KEY = ClusterKey(b"c" * 16, b"s" * 32)
ROOT = Credential("AKIDTESTROOT00000000", "root-secret")


@dataclass
class Clock:
    """A time that tests set."""

    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


OpenIdentities = Callable[..., Awaitable[Identities]]


@pytest.fixture
def clock() -> Clock:
    """Shared by all that a test opens."""
    return Clock()


@pytest.fixture
async def open_identities(database: str, clock: Clock) -> AsyncIterator[OpenIdentities]:
    """Any number of gates on one database."""
    schema.adopt(database, KEY.cluster_id)
    catalogs = []

    async def open_one(key: ClusterKey = KEY) -> Identities:
        catalogs.append(await Catalog.open(database, kind="gate"))
        identities = Identities(catalogs[-1].identities, key, ROOT, "us-east-1", clock)
        await identities.start()
        return identities

    yield open_one
    for catalog in catalogs:
        await catalog.close()


@pytest.fixture
async def identities(open_identities: OpenIdentities) -> Identities:
    """One gate's."""
    return await open_identities()
