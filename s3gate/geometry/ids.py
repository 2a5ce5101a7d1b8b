"""The ids of sessions, segments, contents, uploads and shards: how they are made, what can be read from them.

It knows bytes only: not who wrote an id, nor whether anything is stored under it. An id is used once, for
ever (law 3): it begins with its writer's session, so that the shards of a session can be listed by prefix
(law 4), and goes on with a counter which that session never repeats.

    session (8 bytes, big endian) | counter (7 bytes, big endian) | spread (1 byte)      16 bytes: an id
    id of the segment             | slot 0..5 (1 byte)                                   17 bytes: a shard id

The spread is turn + 6 * pieces for a segment that is known to have fewer pieces than slots, and the turn alone for any
other (older ids are all like that): so whoever deletes it need not ask nodes that never had any of it.
"""

import secrets
from collections.abc import Sequence

ID_BYTES = 16
SHARD_ID_BYTES = 17
SESSION_BYTES = 8
SLOTS = 6
COUNTER_LIMIT = 1 << 56


def new_session_id() -> int:
    """A random positive 63-bit number: it fits Postgres' bigint."""
    return secrets.randbelow((1 << 63) - 1) + 1


def make_id(session_id: int, counter: int, spread: int = 0) -> bytes:
    """The id that this session gives to its counter's thing."""
    return (session_id << 64 | counter << 8 | spread).to_bytes(ID_BYTES, "big")


def spread_of(turn: int, pieces: int) -> int:
    """The last byte of the id of a segment of so many pieces, the first of which lies on slot `turn`."""
    return turn + SLOTS * pieces if pieces < SLOTS else turn


def session_of(any_id: bytes) -> int:
    """The session that wrote an id or a shard id."""
    return int.from_bytes(any_id[:SESSION_BYTES], "big")


def session_prefix(session_id: int) -> bytes:
    """What every id of a session begins with."""
    return session_id.to_bytes(SESSION_BYTES, "big")


def turn_of(any_id: bytes) -> int:
    """The rotation of a segment: piece p lies on slot (p + turn) % 6."""
    return any_id[ID_BYTES - 1] % SLOTS


def slots_of(segment_id: bytes) -> Sequence[int]:
    """The slots that may hold shards of a segment: all six, unless its id says that it has fewer pieces."""
    pieces, turn = divmod(segment_id[ID_BYTES - 1], SLOTS)
    if not 0 < pieces < SLOTS:
        return range(SLOTS)
    return [(turn + position) % SLOTS for position in range(pieces)]


def shard_id(segment_id: bytes, slot: int) -> bytes:
    """The id of what one node stores of a segment."""
    return segment_id + slot.to_bytes(1, "big")


def segment_of(a_shard_id: bytes) -> bytes:
    """The segment that a shard belongs to."""
    return a_shard_id[:ID_BYTES]


def slot_of(a_shard_id: bytes) -> int:
    """The slot of its group that holds a shard."""
    return a_shard_id[ID_BYTES]


class IdSource:
    """Fresh ids of one session, in rising order. Not for use by several threads."""

    __slots__ = ("_counter", "_prefix", "session_id")

    def __init__(self, session_id: int) -> None:
        if not 0 < session_id < 1 << 63:
            raise ValueError("a session id is a positive 63-bit number")
        self.session_id = session_id
        self._prefix = session_id << 64
        self._counter = 0

    def next(self, spread: int = 0) -> bytes:
        """An id that was never given out before."""
        self._counter = counter = self._counter + 1
        if counter >= COUNTER_LIMIT:
            raise OverflowError("this session has used up its ids")
        return (self._prefix | counter << 8 | spread).to_bytes(ID_BYTES, "big")
