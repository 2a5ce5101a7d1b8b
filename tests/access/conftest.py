"""One store for all tests of who may do what: two gates, two accounts with users, ACLs enabled, nothing blocked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.access.world import ALT, IDENTITIES, MAIN, Holder, World
from tests.fix_store import Store, store_factory

OPEN = {"object_ownership": "ObjectWriter", "block_public_access": "off", "sigv2": "on"}
"""What suites that test ACLs ask of a store."""


@pytest.fixture(scope="session")
def open_store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with ExitStack() as stack:
        made = store_factory(stack, lambda: request.getfixturevalue("database_server"))
        store = made(gates=2, gate_settings=OPEN)
        seed(store, tmp_path_factory.mktemp("identities") / "identities.json")
        yield store


def seed(store: Store, file: Path) -> None:
    """`s3gate admin apply`, with the root's own account among the others."""
    file.write_text(json.dumps(IDENTITIES(store.access_key, store.secret_key)))
    done = store.admin("apply", str(file))
    assert done.returncode == 0, done.stderr


@pytest.fixture
def world(open_store: Store) -> World:
    return World(open_store)


@pytest.fixture
def main(world: World) -> Holder:
    """The root of the account that owns the buckets."""
    return world.of(MAIN)


@pytest.fixture
def alt(world: World) -> Holder:
    """The root of another account."""
    return world.of(ALT)
