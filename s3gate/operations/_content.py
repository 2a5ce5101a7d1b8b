"""The bytes of an object, from its row: whichever parts, segments and shards they lie in.

A row either has its extents in itself or names a content with parts; either way the answer is one iterator
over the range that was asked for. Shared by GET and by the copies that have to look at bytes. What is encrypted is
opened here, block by block, with the object's key: bytes that do not open are corrupt, and never served (law 7).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, TypeVar, cast

from s3gate.catalog.errors import ObjectMissing
from s3gate.catalog.rows import Manifest, ObjectRow
from s3gate.crypto.blocks import ContentKey, DataKey, Opener, sealed_length, window
from s3gate.crypto.errors import Tampered
from s3gate.store.errors import ShardCorrupt, ShardMissing

if TYPE_CHECKING:
    from s3gate.gate import Gate

PARTS_PER_LOOKUP = 1000
"""How many parts' rows are fetched at a time."""
LOOKS = 3
"""How often a read begins anew because what it had looked up was replaced and collected under it."""
OPENED_AT_ONCE_BYTES = 128 * 1024
"""Sealed bytes are opened in steps of this: it takes less than handing them to a thread would, and what is plain beside
them, which no budget counts, stays little."""

Piece = bytes | bytearray | memoryview
Pieces = AsyncGenerator[Piece, None]
"""Whoever stops early closes it, and so gives back what was read ahead."""
Place = tuple[int, bytes, int, bytes]
"""Layout, extents, length and salt of a part."""
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


async def read_content(gate: Gate, row: ObjectRow, start: int, stop: int, key: DataKey | None = None) -> Pieces:
    """The bytes from `start` up to `stop` of the object, in order. An empty range touches nothing."""
    _check_key(row, key)
    if start >= stop:
        return
    if row.part_count:
        pieces = _read_parts(gate, row, start, stop, key)
    else:
        pieces = _read(gate, (row.layout_id, row.extents, row.size, b""), start, stop, key)
    async with aclosing(pieces):
        async for piece in pieces:
            yield piece


async def read_small(gate: Gate, row: ObjectRow, start: int, stop: int, key: DataKey | None) -> bytes:
    """The same, not empty and as one, of an object in one piece of about a row at most."""
    _check_key(row, key)
    if key is None:
        return await gate.store.read_small(row.layout_id, row.extents, row.size, start, stop)
    asked = window(row.size, start, stop)
    sealed = await gate.store.read_small(row.layout_id, row.extents, sealed_length(row.size), asked.start, asked.stop)
    opener = Opener(key.content(), row.size, start, stop)
    try:
        return bytes(opener.feed(sealed)) + opener.finish()
    except Tampered as error:
        raise ShardCorrupt(f"content {row.content_id.hex()}: {error}") from error


def _check_key(row: ObjectRow, key: DataKey | None) -> None:
    """Sealed bytes must not leave as if they were the object's."""
    if bool(row.sse) != (key is not None):
        raise RuntimeError("an encrypted object is read with its key, and no other is read with one")


async def opened(pieces: Pieces) -> Pieces:
    """The same pieces, the first of which is already here: what fails at once fails before the 200 is sent."""
    first = await anext(pieces)
    return _resumed(first, pieces)


async def _resumed(first: Piece, rest: Pieces) -> Pieces:
    async with aclosing(rest):
        yield first
        async for piece in rest:
            yield piece


def read_again(gate: Gate, layout_id: int, extents: bytes, size: int, key: ContentKey | None) -> Pieces:
    """All bytes of what this request has written, sealed or not."""
    if key is None:
        return _closable(gate.store.read(layout_id, extents, size, 0, size))
    return _read_sealed(gate, (layout_id, extents, size, b""), 0, size, key)


def _read(gate: Gate, place: Place, start: int, stop: int, key: DataKey | None) -> Pieces:
    layout_id, extents, size, salt = place
    if key is None:
        return _closable(gate.store.read(layout_id, extents, size, start, stop))
    return _read_sealed(gate, place, start, stop, key.content(salt))


async def _read_sealed(gate: Gate, place: Place, start: int, stop: int, key: ContentKey) -> Pieces:
    layout_id, extents, size, _ = place
    asked = window(size, start, stop)
    opener = Opener(key, size, start, stop)
    pieces = _closable(gate.store.read(layout_id, extents, sealed_length(size), asked.start, asked.stop))
    try:
        async with aclosing(pieces):
            async for piece in pieces:
                for start in range(0, len(piece), OPENED_AT_ONCE_BYTES):
                    plain = opener.feed(memoryview(piece)[start : start + OPENED_AT_ONCE_BYTES])
                    if plain:
                        yield plain
        rest = opener.finish()
    except Tampered as error:
        raise ShardCorrupt(f"sealed bytes do not open: {error}") from error
    if rest:
        yield rest


async def _read_parts(gate: Gate, row: ObjectRow, start: int, stop: int, key: DataKey | None) -> Pieces:
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
    for end, place in zip(ends[first : last + 1], places, strict=True):
        part_start = end - place[2]
        begin, until = max(start - part_start, 0), min(stop, end) - part_start
        if begin < until:
            pieces = _read(gate, place, begin, until, key)
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
        found.append((part.layout_id, part.extents, part.size, part.sse))
    return found


def _closable(pieces: AsyncIterator[Piece]) -> Pieces:
    """The store's iterators are generators: an abandoned one must be closed, not left to the garbage collector."""
    return cast(Pieces, pieces)
