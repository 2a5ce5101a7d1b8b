"""A store in memory: segments in a dictionary, and failures on request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace

from s3gate.geometry.extents import Extent, pack, unpack
from s3gate.geometry.ids import IdSource
from s3gate.store.budget import Block
from s3gate.store.errors import WriteCancelled, WriteFailed
from s3gate.store.writer import Placed, Written
from tests.operations.fakes import Failing

ROW_BYTES = 96 * 1024


class FakeStore(Failing):
    """Segments in a dictionary. Every body is one extent, whatever its length."""

    def __init__(self, ids: IdSource) -> None:
        super().__init__()
        self.layout = SimpleNamespace(row_bytes=ROW_BYTES, layout_id=1)
        self.segments: dict[bytes, bytes] = {}
        self.abandons: tuple[tuple[int, bytes], ...] = ()
        self.groups: list[int | None] = []
        self._ids = ids

    def pick_group(self, bucket: str, key: bytes) -> int:
        return 3

    async def write_small(
        self,
        *,
        bucket: str,
        key: bytes,
        data: bytes,
        group_id: int | None = None,
        placed: Placed | None = None,
    ) -> Written:
        assert len(data) <= ROW_BYTES
        self.groups.append(group_id)
        written = self._keep("write_small", bytes(data))
        if placed is not None:
            placed(written)
        return written

    async def write(
        self,
        *,
        bucket: str,
        key: bytes,
        length: int,
        blocks: AsyncIterator[Block],
        group_id: int | None = None,
    ) -> Written:
        self.groups.append(group_id)
        left = [(1, pack([Extent(self._ids.next(), 1)]))]
        rows = []
        try:
            async for block in blocks:
                expected = min(ROW_BYTES, length - sum(map(len, rows)))
                assert len(block.data) == expected, "rows must be full"
                rows.append(bytes(block.data))
                block.release()
            assert sum(map(len, rows)) == length
        except asyncio.CancelledError as error:
            raise WriteCancelled(error, left) from error
        except Exception as error:
            raise WriteFailed(error, left) from error
        return self._keep("write", b"".join(rows))

    def _keep(self, name: str, data: bytes) -> Written:
        segment_id = self._ids.next()
        extents = pack([Extent(segment_id, 1)]) if data else b""
        try:
            self._called(name)
        except WriteFailed:
            raise
        except Exception as error:
            raise WriteFailed(error, [(1, extents)]) from error
        if data:
            self.segments[segment_id] = data
        return Written(1, extents, segment_id, 1, self.abandons)

    async def read_small(self, layout_id: int, extents: bytes, length: int, start: int, stop: int) -> bytes:
        self._called("read_small")
        return self._data(extents, length)[start:stop]

    async def read(self, layout_id: int, extents: bytes, length: int, start: int, stop: int) -> AsyncIterator[bytes]:
        self._called("read")
        data = self._data(extents, length)[start:stop]
        for first in range(0, len(data), 10_000):
            if first:
                self._called("read_on")
            yield memoryview(data)[first : first + 10_000]

    def _data(self, extents: bytes, length: int) -> bytes:
        data = b"".join(self.segments[extent.segment_id] for extent in unpack(extents))
        assert len(data) == length
        return data
