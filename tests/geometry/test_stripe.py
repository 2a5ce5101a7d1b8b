import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3gate.geometry.stripe import DEFAULT_SEGMENT_BYTES, Layout, make_layout


@st.composite
def cut(draw: st.DrawFn) -> tuple[Layout, int]:
    """A small layout and the length of a segment of it."""
    unit = draw(st.integers(1, 50))
    rows = draw(st.integers(1, 4))
    layout = Layout(1, unit_bytes=unit, floor_bytes=draw(st.integers(1, unit)), segment_bytes=6 * unit * rows)
    return layout, draw(st.integers(1, layout.segment_bytes))


@given(cut())
@settings(max_examples=400, deadline=None)
def test_the_pieces_tile_the_segment(case: tuple[Layout, int]) -> None:
    layout, length = case
    ends = [0] * 6
    total = 0
    for piece in layout.pieces(length):
        assert piece.length > 0
        assert piece.offset == ends[piece.position]
        ends[piece.position] += piece.length
        total += piece.length
    assert total == length
    assert ends == [layout.shard_length(length, position) for position in range(6)]


@given(cut())
@settings(max_examples=400, deadline=None)
def test_shards_are_equal_to_within_one_byte(case: tuple[Layout, int]) -> None:
    layout, length = case
    shards = [layout.shard_length(length, position) for position in range(6)]
    if length >= 6 * layout.floor_bytes:
        assert max(shards) - min(shards) <= 1
        assert all(shards)
    else:
        present = [shard for shard in shards if shard]
        assert len(present) == -(-length // layout.floor_bytes)
        assert max(present) - min(present) <= 1
        assert max(present) <= layout.floor_bytes


@given(cut())
@settings(max_examples=200, deadline=None)
def test_rows_add_up(case: tuple[Layout, int]) -> None:
    layout, length = case
    rows = layout.row_lengths(length)
    assert sum(rows) == length
    assert [sum(layout.row_pieces(length, row)) for row in range(len(rows))] == rows


@given(cut(), st.data())
@settings(max_examples=400, deadline=None)
def test_every_range_is_located(case: tuple[Layout, int], data: st.DataObject) -> None:
    layout, length = case
    body = bytes(n * 7 % 251 for n in range(length))
    shards: list[bytearray] = [bytearray() for _ in range(6)]
    at = 0
    for piece in layout.pieces(length):
        shards[piece.position] += body[at : at + piece.length]
        at += piece.length
    start = data.draw(st.integers(0, length))
    stop = data.draw(st.integers(start, length))
    got = b"".join(bytes(shards[p][o : o + n]) for p, o, n in layout.locate(length, start, stop))
    assert got == body[start:stop]


@given(cut(), st.integers(0, 2000))
def test_segments_add_up(case: tuple[Layout, int], length: int) -> None:
    layout, _ = case
    lengths = layout.segment_lengths(length)
    assert sum(lengths) == length
    assert all(one == layout.segment_bytes for one in lengths[:-1])
    assert all(lengths)


def test_the_default_layout() -> None:
    layout = make_layout(1)
    assert layout == Layout(1)
    assert layout.row_bytes == 3 * 1024 * 1024
    assert layout.segment_bytes == 63 * 1024 * 1024 <= DEFAULT_SEGMENT_BYTES
    assert layout.segment_lengths(0) == []
    assert [layout.shard_length(1024, p) for p in range(6)] == [1024, 0, 0, 0, 0, 0]
    assert [layout.shard_length(100_000, p) for p in range(6)] == [50_000, 50_000, 0, 0, 0, 0]
    assert [layout.shard_length(393_217, p) for p in range(6)] == [65_537] + [65_536] * 5
    assert layout.row_pieces(3 * 1024 * 1024 + 2, 1) == [1, 1]


@pytest.mark.parametrize("name", ["5+1", "4+2", "7+0", ""])
def test_only_built_layouts_are_made(name: str) -> None:
    with pytest.raises(ValueError, match="layout"):
        make_layout(1, name)
    with pytest.raises(ValueError, match="layout"):
        Layout(1, name)


@pytest.mark.parametrize(("unit", "floor", "segment"), [(0, 1, 6), (4, 5, 24), (4, 0, 24), (4, 4, 25), (4, 4, 0)])
def test_impossible_layouts_are_refused(unit: int, floor: int, segment: int) -> None:
    with pytest.raises(ValueError, match="layout"):
        Layout(1, unit_bytes=unit, floor_bytes=floor, segment_bytes=segment)


def test_ranges_outside_are_refused() -> None:
    with pytest.raises(ValueError, match="range"):
        Layout(1).locate(10, 5, 11)
