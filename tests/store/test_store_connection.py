"""A connection to a node, driven by hand: what the loop may tell it, in the orders in which it may."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from s3gate.geometry.placement import Group, Place
from s3gate.geometry.stripe import Layout
from s3gate.store.connection import Connection, ConnectionBroken
from s3gate.store.stream import SegmentStream, _Shard

ANSWER = b"HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n"


class Wire:
    """A transport that swallows everything."""

    def __init__(self) -> None:
        self.closing = False

    def write(self, data: bytes) -> None: ...

    def writelines(self, data: list[bytes]) -> None: ...

    def set_write_buffer_limits(self, high: int) -> None: ...

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.closing

    def abort(self) -> None:
        self.closing = True


def arrive(connection: Connection, data: bytes) -> None:
    view = connection.get_buffer(len(data))
    view[: len(data)] = data
    connection.buffer_updated(len(data))


async def test_an_answer_wakes_who_waits_for_the_body_to_leave() -> None:
    """The answer may be heard before the loop says that the body has left; the next request may come between."""
    freed: list[Connection] = []
    connection = Connection(asyncio.get_running_loop(), freed.append, lambda _: None)
    connection.connection_made(cast(Any, Wire()))
    for _ in range(2):
        future = connection.start([b"PUT / HTTP/1.1\r\n\r\n"], more=True)
        connection.send(b"body", last=True)
        connection.pause_writing()
        waiting = asyncio.create_task(connection.drained())
        await asyncio.sleep(0)
        assert not waiting.done()
        arrive(connection, ANSWER)
        await asyncio.wait_for(waiting, 1)
        assert (await future).status == 201
    assert freed == [connection, connection]


async def test_a_connection_that_somebody_else_has_by_now_is_not_waited_for() -> None:
    """Its new owner waits there for his own body to leave: nobody else would wake him."""
    connections = [Connection(asyncio.get_running_loop(), lambda _: None, lambda _: None) for _ in range(2)]
    stream = SegmentStream(Layout(1), Place(Group(1, 1, ()), 0), b"", 0)
    for position, connection in enumerate(connections):
        connection.connection_made(cast(Any, Wire()))
        future = connection.start([b"PUT / HTTP/1.1\r\n\r\n"], more=True)
        stream._shards[position] = _Shard(cast(Any, None), connection, future, 0)
        connection.send(b"the last of it", last=True)
        connection.pause_writing()
    slow, quick = connections
    waiting = asyncio.create_task(stream.drained())
    await asyncio.sleep(0)
    arrive(quick, ANSWER)
    quick.start([b"PUT /another HTTP/1.1\r\n\r\n"], more=True)
    other = asyncio.create_task(quick.drained())
    await asyncio.sleep(0)
    slow.resume_writing()
    await asyncio.sleep(0.01)
    quick.resume_writing()
    await asyncio.wait_for(asyncio.gather(waiting, other), 1)


async def test_a_stall_is_no_idle_connection_that_had_been_closed() -> None:
    """It is not asked for again on the next connection, and the next: each would take as long to be given up."""
    connection = Connection(asyncio.get_running_loop(), lambda _: None, lambda _: None)
    connection.connection_made(cast(Any, Wire()))
    first = connection.start([b"GET / HTTP/1.1\r\n\r\n"])
    arrive(connection, ANSWER)
    assert (await first).status == 201
    second = connection.start([b"GET / HTTP/1.1\r\n\r\n"])
    for _ in range(3):
        connection.tick(2)
    with pytest.raises(ConnectionBroken) as broken:
        await second
    assert broken.value.fresh
