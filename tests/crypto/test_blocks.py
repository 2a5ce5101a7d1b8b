"""Sealed blocks: any range of any length is the plaintext, and nothing that was touched opens."""

from __future__ import annotations

import os

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from s3gate.crypto.blocks import (
    BLOCK_BYTES,
    SEALED_BLOCK_BYTES,
    TAG_BYTES,
    ContentKey,
    Opener,
    Sealer,
    plain_rows,
    sealed_length,
    window,
)
from s3gate.crypto.errors import Tampered

KEY = ContentKey(b"k" * 32, b"s" * 16)
PLAIN = os.urandom(5 * BLOCK_BYTES)
LENGTHS = st.one_of(
    st.integers(0, 5 * BLOCK_BYTES),
    st.builds(lambda blocks, more: max(0, blocks * BLOCK_BYTES + more), st.integers(0, 4), st.integers(-2, 2)),
)


def seal(key: ContentKey, plain: bytes) -> bytes:
    """A whole content in one row."""
    row = bytearray(sealed_length(len(plain)))
    Sealer(key, len(plain)).fill(memoryview(row), memoryview(plain))
    return bytes(row)


def opened(sealed: bytes, length: int, start: int, stop: int, pieces: list[int]) -> bytes:
    """A range, its sealed bytes coming in pieces of these lengths, over and over."""
    opener = Opener(KEY, length, start, stop)
    asked = window(length, start, stop)
    wanted = memoryview(sealed)[asked.start : asked.stop]
    found = b""
    turn = 0
    while wanted:
        size = pieces[turn % len(pieces)]
        found += opener.feed(wanted[:size])
        wanted = wanted[size:]
        turn += 1
    return found + opener.finish()


@st.composite
def ranges(draw: st.DrawFn) -> tuple[int, int, int]:
    length = draw(LENGTHS.filter(bool))
    start = draw(st.integers(0, length - 1))
    return length, start, draw(st.integers(start + 1, length))


PIECES = st.lists(st.integers(1, 3 * BLOCK_BYTES), min_size=1, max_size=5)


@given(ranges(), PIECES.filter(lambda sizes: sum(sizes) > 5000))
@example((BLOCK_BYTES, 0, BLOCK_BYTES), [SEALED_BLOCK_BYTES])
@example((2 * BLOCK_BYTES, BLOCK_BYTES, 2 * BLOCK_BYTES), [SEALED_BLOCK_BYTES - 1, 1])
def test_any_range_of_any_length_is_the_plaintext(place: tuple[int, int, int], pieces: list[int]) -> None:
    length, start, stop = place
    sealed = seal(KEY, PLAIN[:length])
    assert len(sealed) == sealed_length(length)
    assert opened(sealed, length, start, stop, pieces) == PLAIN[start:stop]


@given(ranges())
def test_a_range_reads_no_more_than_its_blocks(place: tuple[int, int, int]) -> None:
    length, start, stop = place
    asked = window(length, start, stop)
    assert 0 <= asked.start < asked.stop <= sealed_length(length)
    assert asked.stop - asked.start <= stop - start + 2 * SEALED_BLOCK_BYTES
    assert asked.first_block * BLOCK_BYTES + asked.skip == start


@given(LENGTHS, st.one_of(st.integers(1000, 4 * BLOCK_BYTES), st.just(SEALED_BLOCK_BYTES)))
@example(2 * BLOCK_BYTES, SEALED_BLOCK_BYTES)
@example(2 * BLOCK_BYTES, 2 * BLOCK_BYTES)  # a last row in which no block begins
def test_rows_are_the_sealed_content(length: int, row_bytes: int) -> None:
    rows = plain_rows(length, row_bytes)
    assert sum(plain for _, plain in rows) == length
    assert all(size == row_bytes for size, _ in rows[:-1])
    sealer = Sealer(KEY, length)
    done, sealed = 0, b""
    for size, plain in rows:
        row = bytearray(size)
        sealer.fill(memoryview(row), memoryview(PLAIN)[done : done + plain])
        sealed += row
        done += plain
    assert sealed == seal(KEY, PLAIN[:length])


@given(st.integers(1, 3 * BLOCK_BYTES), st.data())
def test_a_flipped_bit_never_opens(length: int, data: st.DataObject) -> None:
    sealed = bytearray(seal(KEY, PLAIN[:length]))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(Tampered):
        opened(bytes(sealed), length, 0, length, [100_000])


def blocks_of(sealed: bytes) -> list[bytes]:
    return [sealed[at : at + SEALED_BLOCK_BYTES] for at in range(0, len(sealed), SEALED_BLOCK_BYTES)]


def test_blocks_that_changed_places_do_not_open() -> None:
    first, second, third = blocks_of(seal(KEY, PLAIN[: 3 * BLOCK_BYTES]))
    for order in ((second, first, third), (first, first, third), (first, third, second), (third, second, first)):
        with pytest.raises(Tampered):
            opened(b"".join(order), 3 * BLOCK_BYTES, 0, 3 * BLOCK_BYTES, [70_000])


def test_a_content_cut_at_a_block_does_not_open_as_a_shorter_one() -> None:
    first, second, _ = blocks_of(seal(KEY, PLAIN[: 3 * BLOCK_BYTES]))
    with pytest.raises(Tampered):  # whoever changed the row's size as well
        opened(first + second, 2 * BLOCK_BYTES, 0, 2 * BLOCK_BYTES, [70_000])


@pytest.mark.parametrize("lost", [1, TAG_BYTES, 100, BLOCK_BYTES, SEALED_BLOCK_BYTES])
def test_a_range_that_ends_early_is_noticed(lost: int) -> None:
    length = 3 * BLOCK_BYTES - 1000
    opener = Opener(KEY, length, 10, length)
    with pytest.raises(Tampered):
        opener.feed(seal(KEY, PLAIN[:length])[:-lost])
        opener.finish()


def test_another_content_of_the_same_object_has_another_key() -> None:
    other = ContentKey(b"k" * 32, b"t" * 16)
    sealed = seal(other, PLAIN[:100])
    assert sealed != seal(KEY, PLAIN[:100])
    with pytest.raises(Tampered):
        opened(sealed, 100, 0, 100, [1000])


def test_an_etag_hides_the_md5_from_those_without_the_key() -> None:
    md5 = bytes(range(16))
    etag = KEY.etag(md5)
    assert len(etag) == 16 and etag != md5 and KEY.md5(etag) == md5
    assert ContentKey(b"x" * 32, b"s" * 16).md5(etag) != md5
