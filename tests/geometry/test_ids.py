import pytest

from s3gate.geometry import extents, ids


def test_an_id_says_its_session_and_turn() -> None:
    made = ids.make_id(2**62 + 5, 77, 4)
    assert len(made) == ids.ID_BYTES
    assert ids.session_of(made) == 2**62 + 5
    assert ids.turn_of(made) == 4
    shard = ids.shard_id(made, 5)
    assert (ids.segment_of(shard), ids.slot_of(shard)) == (made, 5)
    assert len(shard) == ids.SHARD_ID_BYTES
    assert shard.startswith(ids.session_prefix(2**62 + 5))


@pytest.mark.parametrize("turn", range(6))
@pytest.mark.parametrize("pieces", range(1, 7))
def test_an_id_says_of_how_few_pieces_its_segment_is(turn: int, pieces: int) -> None:
    made = ids.make_id(1, 1, ids.spread_of(turn, pieces))
    assert ids.turn_of(made) == turn
    assert sorted(ids.slots_of(made)) == sorted({(turn + position) % 6 for position in range(pieces)})


@pytest.mark.parametrize("last", [*range(6), *range(36, 256)])
def test_an_id_that_says_nothing_may_have_shards_on_all_slots(last: int) -> None:
    assert sorted(ids.slots_of(ids.make_id(1, 1, last))) == list(range(6))


def test_a_source_never_repeats_and_rises() -> None:
    source = ids.IdSource(ids.new_session_id())
    made = [source.next(turn % 6) for turn in range(1000)]
    assert len({one[:15] for one in made}) == 1000
    assert made == sorted(made)
    assert made[0] == ids.make_id(source.session_id, 1, 0)


@pytest.mark.parametrize("session_id", [0, -1, 2**63])
def test_a_source_refuses_other_numbers(session_id: int) -> None:
    with pytest.raises(ValueError, match="63-bit"):
        ids.IdSource(session_id)


def test_extents_survive_packing() -> None:
    source = ids.IdSource(1)
    made = [extents.Extent(source.next(n), n * 1000) for n in range(5)]
    packed = extents.pack(made)
    assert len(packed) == 5 * extents.EXTENT_BYTES
    assert extents.unpack(packed) == made
    assert extents.pack_one(*made[0]) == packed[:20]
    assert extents.unpack(b"") == []
    with pytest.raises(ValueError, match="multiple of 20"):
        extents.unpack(packed[:-1])
