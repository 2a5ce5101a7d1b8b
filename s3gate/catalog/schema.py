"""Bringing schema.sql into a database that has none, and refusing one of another cluster or format.

It knows nothing of what the tables mean. schema.sql is applied whole, in one transaction, or not at all.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

import psycopg

from s3gate.catalog.connection import connecting
from s3gate.catalog.errors import CatalogError

FORMAT: Final = 3
SCHEMA = Path(__file__).resolve().parents[2] / "schema.sql"
CONNECT_SECONDS: Final = 5

Connection = psycopg.Connection[tuple[Any, ...]]


class WrongDatabase(CatalogError):
    """The database belongs to another cluster, or to another version of s3gate."""


async def prepare(dsn: str, cluster_id: bytes) -> None:
    """What a gate and a worker do first: `apply` and `adopt`, without holding up the loop."""
    await asyncio.to_thread(apply, dsn)
    await asyncio.to_thread(adopt, dsn, cluster_id)


def apply(dsn: str) -> None:
    """Make the tables where there are none. Two that begin at once end up with one set of them."""
    with _connected(dsn) as connection:
        if _is_applied(connection):
            return
        try:
            with connection.transaction():
                connection.execute(SCHEMA.read_bytes())
        except (psycopg.errors.DuplicateTable, psycopg.errors.UniqueViolation):
            # Another one was faster: its transaction has committed, or ours would still be waiting for it.
            if not _is_applied(connection):
                raise
        except psycopg.errors.InsufficientPrivilege as error:
            reason = error.diag.message_primary
            raise WrongDatabase(f"the tables cannot be made, the user should own the database: {reason}") from error


def adopt(dsn: str, cluster_id: bytes) -> None:
    """Write the cluster's id into a new database, or compare it with the one that is there."""
    with _connected(dsn) as connection:
        connection.execute(
            "INSERT INTO cluster (cluster_id, format) VALUES (%s, %s) ON CONFLICT (only_row) DO NOTHING",
            (cluster_id, FORMAT),
        )
        row = connection.execute("SELECT cluster_id, format FROM cluster").fetchone()
    if row is None or row[1] != FORMAT:
        raise WrongDatabase(f"this database has format {row and row[1]}; this s3gate reads format {FORMAT}")
    if row[0] != cluster_id:
        raise WrongDatabase(f"this database belongs to cluster {row[0].hex()}, the cluster key to {cluster_id.hex()}")


def _connected(dsn: str) -> Connection:
    with connecting(dsn):
        return psycopg.connect(dsn, autocommit=True, connect_timeout=CONNECT_SECONDS)


def _is_applied(connection: Connection) -> bool:
    row = connection.execute("SELECT to_regclass('cluster') IS NOT NULL").fetchone()
    return row is not None and bool(row[0])
