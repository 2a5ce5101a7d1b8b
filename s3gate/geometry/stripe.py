"""How a segment becomes six shards: pure arithmetic over lengths.

It knows no nodes, no ids and no bytes. A *position* is the place of a piece within its row (0..k-1); the
slot of the group that holds it is `(position + turn) % 6`, the business of those who know the segment's id.

    segment   = rows of k * unit bytes; the last one, or the only one, may be shorter
    full row  = k pieces of one unit
    short row = k pieces, equal to within one byte, if full rows precede it or it has k * floor bytes;
                else as few as the floor allows, equal to within one byte, the other shards being empty

So the shards of a segment are equal to within one byte, and a small object is one shard and five empty ones.
"""

from dataclasses import dataclass
from typing import NamedTuple

SHARDS = 6
KIB = 1024
MIB = 1024 * KIB
DEFAULT_UNIT_BYTES = 512 * KIB
DEFAULT_FLOOR_BYTES = 64 * KIB
DEFAULT_SEGMENT_BYTES = 64 * MIB
BUILT = {"6+0": (6, 0)}
NOT_BUILT = ("5+1", "4+2")


class Piece(NamedTuple):
    """Some bytes of one shard: which shard by position, from where, how many."""

    position: int
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Layout:
    """A way to cut segments, as the rows of the catalog name it by `layout_id`."""

    layout_id: int
    name: str = "6+0"
    k: int = 6
    m: int = 0
    unit_bytes: int = DEFAULT_UNIT_BYTES
    floor_bytes: int = DEFAULT_FLOOR_BYTES
    segment_bytes: int = DEFAULT_SEGMENT_BYTES // (6 * DEFAULT_UNIT_BYTES) * (6 * DEFAULT_UNIT_BYTES)

    def __post_init__(self) -> None:
        if self.name in NOT_BUILT:
            raise ValueError(f"layout {self.name} is not built yet")
        if BUILT.get(self.name) != (self.k, self.m):
            raise ValueError(f"there is no layout {self.name} of {self.k} and {self.m} shards")
        if self.unit_bytes < 1 or not 1 <= self.floor_bytes <= self.unit_bytes:
            raise ValueError("a layout needs 1 <= floor_bytes <= unit_bytes")
        if self.segment_bytes < 1 or self.segment_bytes % self.row_bytes:
            raise ValueError("a layout's segment_bytes is a multiple of its row, k * unit_bytes")

    @property
    def row_bytes(self) -> int:
        """The length of a full row."""
        return self.k * self.unit_bytes

    def segment_lengths(self, length: int) -> list[int]:
        """The lengths of the segments of a part of `length` bytes; none for an empty one."""
        full, rest = divmod(length, self.segment_bytes)
        return [self.segment_bytes] * full + ([rest] if rest else [])

    def row_lengths(self, segment_length: int) -> list[int]:
        """The lengths of the rows of a segment."""
        full, rest = divmod(segment_length, self.row_bytes)
        return [self.row_bytes] * full + ([rest] if rest else [])

    def short_row(self, row_length: int, first: bool) -> tuple[int, int, int]:
        """How a row that is not full is cut: (pieces, bytes in each, pieces that have one byte more)."""
        if first and row_length < self.k * self.floor_bytes:
            count = max(1, -(-row_length // self.floor_bytes))
        else:
            count = self.k
        return count, *divmod(row_length, count)

    def row_pieces(self, segment_length: int, row: int) -> list[int]:
        """The lengths of the pieces of one row by position; pieces without bytes are left out at the end."""
        row_length = min(self.row_bytes, segment_length - row * self.row_bytes)
        if row_length == self.row_bytes:
            return [self.unit_bytes] * self.k
        count, base, longer = self.short_row(row_length, row == 0)
        return [base + 1] * longer + ([base] * (count - longer) if base else [])

    def shard_length(self, segment_length: int, position: int) -> int:
        """How many bytes the shard at a position has, over all rows."""
        full, rest = divmod(segment_length, self.row_bytes)
        whole = full * self.unit_bytes
        if not rest:
            return whole
        count, base, longer = self.short_row(rest, full == 0)
        return whole + (base + (position < longer) if position < count else 0)

    def pieces(self, segment_length: int) -> list[Piece]:
        """All pieces of a segment in byte order."""
        return self.locate(segment_length, 0, segment_length)

    def locate(self, segment_length: int, start: int, stop: int) -> list[Piece]:
        """The pieces that hold the bytes [start, stop) of a segment, in byte order."""
        if not 0 <= start <= stop <= segment_length:
            raise ValueError("a range lies within its segment")
        found: list[Piece] = []
        row_bytes, unit = self.row_bytes, self.unit_bytes
        while start < stop:
            row, within = divmod(start, row_bytes)
            row_length = min(row_bytes, segment_length - row * row_bytes)
            if row_length == row_bytes:
                position, skip = divmod(within, unit)
                length = unit
            else:
                position, skip, length = self._within_short(row_length, row == 0, within)
            taken = min(length - skip, stop - start)
            found.append(Piece(position, row * unit + skip, taken))
            start += taken
        return found

    def _within_short(self, row_length: int, first: bool, within: int) -> tuple[int, int, int]:
        """Where a byte of a short row lies: (position, offset in the piece, length of the piece)."""
        _, base, longer = self.short_row(row_length, first)
        edge = longer * (base + 1)
        if within < edge:
            return *divmod(within, base + 1), base + 1
        position, skip = divmod(within - edge, base)
        return longer + position, skip, base


def make_layout(
    layout_id: int,
    name: str = "6+0",
    unit_bytes: int = DEFAULT_UNIT_BYTES,
    floor_bytes: int = DEFAULT_FLOOR_BYTES,
    segment_bytes: int = DEFAULT_SEGMENT_BYTES,
) -> Layout:
    """A layout by its settings; `segment_bytes` is an upper bound and is cut to whole rows."""
    if name in NOT_BUILT:
        raise ValueError(f"layout {name} is not built yet")
    if name not in BUILT:
        raise ValueError(f"there is no layout {name}")
    k, m = BUILT[name]
    row_bytes = max(1, k * unit_bytes)
    if segment_bytes < row_bytes:
        raise ValueError("a segment has at least one row: segment_bytes >= 6 * unit_bytes")
    return Layout(layout_id, name, k, m, unit_bytes, floor_bytes, segment_bytes // row_bytes * row_bytes)
