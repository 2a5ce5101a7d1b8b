"""The lowest of many: complete below where it says, whatever the order in which they came, and bounded."""

from __future__ import annotations

from random import Random

import pytest

from s3gate.geometry.lowest import Lowest

MOST = 10


def name(number: int) -> bytes:
    return number.to_bytes(16, "big")


@pytest.mark.parametrize("count", [0, 5, 19, 20, 21, 500])
@pytest.mark.parametrize("seed", range(5))
def test_walking_with_it_meets_all_in_order(count: int, seed: int) -> None:
    numbers = list(range(100, 100 + count))
    said = [(name(number), text) for number in numbers for text in ("a", "b")[: 1 + number % 2]]
    found, first, stop = [], name(50), name(10_000)
    while first < stop:
        Random(seed).shuffle(said)
        lowest: Lowest[str] = Lowest(first, stop, MOST)
        for segment_id, text in said * 2:
            lowest.add(segment_id, text)
            assert len(lowest._kept) < 2 * MOST
        assert lowest.covers(first) and not lowest.covers(lowest.below)
        found += lowest.between(first, lowest.below)
        assert first < lowest.below
        first = lowest.below
    assert sorted(found) == sorted(said) and [each[0] for each in found] == sorted(each[0] for each in said)


def test_a_part_of_it() -> None:
    lowest: Lowest[None] = Lowest(name(2), name(9), MOST)
    for number in range(20):
        lowest.add(name(number), None)
    assert lowest.between(name(3), name(6)) == [(name(number), None) for number in (3, 4, 5)]
    assert lowest.between(name(2), name(9)) == [(name(number), None) for number in range(2, 9)]
    lowest.add(name(2) + b"x", None)
    assert len(lowest.between(name(2), name(9))) == 8


def test_what_was_not_kept_is_not_said_not_to_be_there() -> None:
    lowest: Lowest[None] = Lowest(name(2), name(1000), MOST)
    for number in range(100):
        lowest.add(name(number), None)
    with pytest.raises(ValueError, match="not all"):
        lowest.between(name(2), name(50))
    with pytest.raises(ValueError, match="not all"):
        lowest.between(name(1), name(3))
