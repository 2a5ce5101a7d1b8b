"""The connections to one node: who waits for one, and who makes room."""

from __future__ import annotations

import asyncio

import pytest

from s3gate.geometry.placement import NodeView
from s3gate.store.connection import Connection
from s3gate.store.errors import NodeFailed
from s3gate.store.limits import StoreLimits
from s3gate.store.pool import Pool


@pytest.mark.parametrize("error", [OSError("refused"), RuntimeError("the handler is closed"), TimeoutError()])
async def test_whatever_ends_a_connection_that_begins_is_the_nodes_failure(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async def dial(pool: Pool) -> Connection:
        raise error

    monkeypatch.setattr(Pool, "_dial", dial)
    with pytest.raises(NodeFailed):
        await Pool(NodeView(b"n" * 16), StoreLimits(), lambda: None).join()


async def test_who_stops_dialling_makes_room_for_who_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    dialled: list[asyncio.Future[Connection]] = []

    async def dial(pool: Pool) -> Connection:
        dialled.append(asyncio.get_running_loop().create_future())
        return await dialled[-1]

    monkeypatch.setattr(Pool, "_dial", dial)
    pool = Pool(NodeView(b"n" * 16), StoreLimits(connections_per_node=1), lambda: None)
    first, second = asyncio.create_task(pool.join()), asyncio.create_task(pool.join())
    await asyncio.sleep(0.01)
    assert len(dialled) == 1
    first.cancel()
    await asyncio.sleep(0.01)
    assert len(dialled) == 2
    connection = pool._new()
    dialled[1].set_result(connection)
    assert await asyncio.wait_for(second, 1) is connection
