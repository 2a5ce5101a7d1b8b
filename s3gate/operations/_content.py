"""The bytes of an object, from its row: whichever parts, segments and shards they lie in.

A row either has its extents in itself or names a content with parts; either way the answer is one iterator
over the range that was asked for. Shared by GET and by the copies that have to look at bytes.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, TypeVar, cast

from s3gate.catalog.errors import ObjectMissing
from s3gate.catalog.rows import Manifest, ObjectRow
from s3gate.store.errors import ShardMissing

if TYPE_CHECKING:
    from s3gate.gate import Gate

PARTS_PER_LOOKUP = 1000
"""How many parts' rows are fetched at a time."""
LOOKS = 3
"""How often a read begins anew because what it had looked up was replaced and collected under it."""

Piece = bytes | bytearray | memoryview
Pieces = AsyncGenerator[Piece, None]
"""Whoever stops early closes it, and so gives back what was read ahead."""
Place = tuple[int, bytes, int]
"""Layout, extents and length of a part."""
T = TypeVar("T")


class ContentGone(ShardMissing):
    """The rows of a content are not there: it was collected since it was looked up, or worse."""


async def unless_gone(look: Callable[[], Awaitable[T]]) -> T:
    """Looks again when the bytes of the row that was found are gone: a newer version may have taken its place."""
    for _ in range(LOOKS - 1):
        with suppress(ShardMissing):
            return await look()
    return await look()


async def manifest_of(gate: Gate, row: ObjectRow) -> Manifest:
    """Which parts the row's content has."""
    try:
        return await gate.catalog.manifest(row.content_id)
    except ObjectMissing as error:
        raise ContentGone(f"content {row.content_id.hex()} is not there") from error


async def read_content(gate: Gate, row: ObjectRow, start: int, stop: int) -> Pieces:
    """The bytes from `start` up to `stop` of the object, in order. An empty range touches nothing."""
    if start >= stop:
        return
    if row.part_count:
        pieces = _read_parts(gate, row, start, stop)
    else:
        pieces = _closable(gate.store.read(row.layout_id, row.extents, row.size, start, stop))
    async with aclosing(pieces):
        async for piece in pieces:
            yield piece


async def opened(pieces: Pieces) -> Pieces:
    """The same pieces, the first of which is already here: what fails at once fails before the 200 is sent."""
    first = await anext(pieces)
    return _resumed(first, pieces)


async def _resumed(first: Piece, rest: Pieces) -> Pieces:
    async with aclosing(rest):
        yield first
        async for piece in rest:
            yield piece


async def _read_parts(gate: Gate, row: ObjectRow, start: int, stop: int) -> Pieces:
    """All rows first, as little of them as it takes: a collector may delete them (law 5), but not what is read here.

    The shards themselves wait in the trash for longer than any read. At most 10,000 parts: a few megabytes.
    """
    manifest = await manifest_of(gate, row)
    ends = manifest.part_ends
    first, last = bisect_right(ends, start), bisect_left(ends, stop)
    places = [
        place
        for index in range(first, last + 1, PARTS_PER_LOOKUP)
        for place in await _places(gate, manifest, index, min(index + PARTS_PER_LOOKUP - 1, last))
    ]
    for end, (layout_id, extents, size) in zip(ends[first : last + 1], places, strict=True):
        part_start = end - size
        begin, until = max(start - part_start, 0), min(stop, end) - part_start
        if begin < until:
            pieces = _closable(gate.store.read(layout_id, extents, size, begin, until))
            async with aclosing(pieces):
                async for piece in pieces:
                    yield piece


async def _places(gate: Gate, manifest: Manifest, first: int, last: int) -> list[Place]:
    """Where the parts at these places of the manifest are, exactly, or an error: never a short body (law 7).

    Parts that Complete did not list may still lie between them until the collector has run.
    """
    numbers, ends = manifest.part_numbers, manifest.part_ends
    rows = await gate.catalog.part_extents(manifest.content_id, numbers[first], numbers[last])
    by_number = {row.part_number: row for row in rows}
    found = []
    for index in range(first, last + 1):
        part = by_number.get(numbers[index])
        if part is None or part.size != ends[index] - (ends[index - 1] if index else 0):
            raise ContentGone(f"part {numbers[index]} of content {manifest.content_id.hex()} is not as listed")
        found.append((part.layout_id, part.extents, part.size))
    return found


def _closable(pieces: AsyncIterator[Piece]) -> Pieces:
    """The store's iterators are generators: an abandoned one must be closed, not left to the garbage collector."""
    return cast(Pieces, pieces)
