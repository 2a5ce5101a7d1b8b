"""Fixtures by noun live in `fix_*.py`; here is only what pytest must be told."""

from __future__ import annotations

import pytest

pytest_plugins = ["tests.fix_postgres", "tests.fix_store", "tests.fix_wire"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="with what takes long: 10 GiB, long loops, fuzzing")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--long"):
        return
    skip = pytest.mark.skip(reason="runs with --long")
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(skip)


@pytest.fixture(scope="session")
def long(pytestconfig: pytest.Config) -> bool:
    """Whether loops may take their time."""
    return bool(pytestconfig.getoption("--long"))
