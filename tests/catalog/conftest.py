"""Catalogs on a fresh database, and a way to look into it beside them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from s3gate.catalog.catalog import Catalog
from s3gate.catalog.limits import Limits

OpenCatalog = Callable[..., Awaitable[Catalog]]
QUICK = replace(
    Limits(),
    lookup_connections=1,
    other_connections=2,
    reconnect_most_seconds=0.2,
    down_seconds=2.0,
    settle_seconds=5.0,
)


class Look:
    """Sees and changes rows directly."""

    def __init__(self, connection: psycopg.AsyncConnection[tuple[Any, ...]]) -> None:
        self.connection = connection

    async def rows(self, query: Any, *values: object) -> list[tuple[Any, ...]]:
        """What a query returns."""
        cursor = await self.connection.execute(query, values or None)
        return await cursor.fetchall() if cursor.description else []

    async def one(self, query: Any, *values: object) -> Any:
        """The single value of a query."""
        return (await self.rows(query, *values))[0][0]


@pytest.fixture
async def open_catalog(database: str) -> AsyncIterator[OpenCatalog]:
    """Opens any number of catalogs (gates) on one database; closes them at the end."""
    opened: list[Catalog] = []

    async def open_one(dsn: str = database, limits: Limits = QUICK, kind: str = "gate") -> Catalog:
        opened.append(await Catalog.open(dsn, kind=kind, limits=limits))
        return opened[-1]

    yield open_one
    for catalog in opened:
        await catalog.close()


@pytest.fixture
async def catalog(open_catalog: OpenCatalog) -> Catalog:
    """One gate's catalog, with the bucket `box`."""
    catalog = await open_catalog()
    await catalog.create_bucket("box", "root", "us-east-1")
    return catalog


@pytest.fixture
async def second(catalog: Catalog, open_catalog: OpenCatalog) -> Catalog:
    """Another gate on the same database."""
    return await open_catalog()


@pytest.fixture
async def look(database: str) -> AsyncIterator[Look]:
    """Beside the catalogs."""
    connection = await psycopg.AsyncConnection.connect(database, autocommit=True)
    yield Look(connection)
    await connection.close()
