"""IAM and STS on a fresh database for every test file's module, with accounts of their own for every test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fix_postgres import DatabaseServer
from tests.fix_process import free_port
from tests.iam_api.fix_door import Running, running


@pytest.fixture(scope="module")
def door(database_server: DatabaseServer) -> Iterator[Running]:
    """A running server. Its identities stay for the next test of the file."""
    name = database_server.create()
    with running(database_server.dsn(name), free_port()) as server:
        yield server
    database_server.drop(name)
