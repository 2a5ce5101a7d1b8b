"""What Postgres itself refuses, whoever writes it: the rules that schema.sql gives to values."""

from __future__ import annotations

import psycopg
import pytest

from s3gate.catalog.catalog import Catalog
from s3gate.catalog.rows import NO_CONDITION
from tests.catalog.conftest import Look
from tests.catalog.making import put, stored

REFUSED = [
    ("key", "''"),
    ("key", "convert_to(repeat('k', 1025), 'UTF8')"),
    ("content_id", "'short'"),
    ("size", "-1"),
    ("version_id", "'short'"),
    ("lock", "16"),
    ("lock", "-1"),
]


@pytest.mark.parametrize(("column", "value"), REFUSED)
async def test_a_value_of_an_object_that_cannot_be(catalog: Catalog, look: Look, column: str, value: str) -> None:
    await put(catalog, "box", b"k", stored(catalog), NO_CONDITION)
    with pytest.raises(psycopg.errors.CheckViolation):
        await look.rows(f"UPDATE object SET {column} = {value}")
    await look.rows("UPDATE object SET key = convert_to(repeat('k', 1024), 'UTF8'), size = 0, lock = 15")


@pytest.mark.parametrize(("column", "value"), [("kind", "'other'"), ("content_id", "'short'")])
async def test_a_value_of_garbage_that_cannot_be(catalog: Catalog, look: Look, column: str, value: str) -> None:
    await catalog._garbage.discard([(1, stored(catalog).extents)])
    with pytest.raises(psycopg.errors.CheckViolation):
        await look.rows(f"UPDATE garbage SET {column} = {value}")
