"""Which group, and which turn of it, takes the next segment: three strategies over groups that take writes.

It knows no sockets and no clock; what it must remember lies in a strategy's own object, and chance comes
from the Random it is given. Groups are chosen, not hashed: the caller offers those whose nodes are up and
have room.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from random import Random
from typing import NamedTuple, Protocol

from s3gate.geometry.stripe import SHARDS

RING_POINTS = 128
"""Points of each group on the ring of `consistent-hash`."""
BUSY_SLACK = 8
"""Two candidates are equally busy while their queues differ by no more than this, or less than double."""


@dataclass(frozen=True, slots=True)
class NodeView:
    """A node as planning and writing see it. `state` is what its row says: only "ok" takes writes.

    The age of its heartbeat is measured by Postgres' clock, so that no gate's own makes a node look dead.
    """

    node_id: bytes
    incarnation: int = 1
    address: str = ""
    socket: str = ""
    host: str = ""
    zone: str = ""
    device: str = ""
    state: str = "ok"
    capacity_bytes: int = 0
    free_bytes: int = 0
    used_bytes: int = 0
    queue: int = 0
    fsync_seconds: float = 0.0
    heartbeat_age_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Group:
    """A placement group: six distinct nodes in order. One that is not writable stays readable for ever."""

    group_id: int
    epoch: int
    nodes: tuple[bytes, ...]
    writable: bool = True


class Want(NamedTuple):
    """What is to be placed: its length, in how many pieces its largest row is cut, and its name's digest."""

    length: int
    pieces: int
    name: bytes = b""


class Place(NamedTuple):
    """Where it goes: piece p of each row lies on node `group.nodes[(p + turn) % 6]`."""

    group: Group
    turn: int


class Loads(Protocol):
    """What is known of a node at the moment: `load` asks for it."""

    def fill(self, node_id: bytes) -> float:
        """Used part of its capacity, what was written since the last heartbeat included."""

    def busy(self, node_id: bytes) -> float:
        """Requests that wait there."""


class Strategy(Protocol):
    """One way to choose. `candidates` is never empty and in the order of group ids."""

    def choose(self, candidates: Sequence[Group], want: Want, loads: Loads) -> Place:
        """The place for `want`."""


def name_digest(bucket: str, key: bytes) -> bytes:
    """What `consistent-hash` puts on its ring for an object."""
    return blake2b(bucket.encode() + b"/" + key, digest_size=16).digest()


class RoundRobin:
    """Every (group, turn) in order, apart for each size class: large objects take turns with large ones."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._next: dict[int, int] = {}

    def choose(self, candidates: Sequence[Group], want: Want, loads: Loads) -> Place:
        """The next one of the class; classes are powers of two of the length."""
        size_class = want.length.bit_length()
        count = self._next.get(size_class)
        if count is None:
            count = self._random.randrange(len(candidates) * SHARDS)
        self._next[size_class] = count + 1
        turns, place = divmod(count, len(candidates))
        return Place(candidates[place], turns % SHARDS)


class ConsistentHash:
    """The group whose point follows the name's on a ring: a name keeps its group while others come and go."""

    def __init__(self, random: Random) -> None:
        self._groups: tuple[int, ...] = ()
        self._points: list[int] = []
        self._owners: list[int] = []

    def choose(self, candidates: Sequence[Group], want: Want, loads: Loads) -> Place:
        """A pure function of the name and of the candidates."""
        group_ids = tuple([group.group_id for group in candidates])
        if group_ids != self._groups:
            self._build(group_ids)
        point = int.from_bytes(want.name[:8], "big")
        at = bisect_left(self._points, point) % len(self._points)
        turn = int.from_bytes(want.name[8:], "big") % SHARDS
        return Place(candidates[self._owners[at]], turn)

    def _build(self, group_ids: tuple[int, ...]) -> None:
        ring = sorted(
            (int.from_bytes(blake2b(b"%d:%d" % (group_id, point), digest_size=8).digest(), "big"), index)
            for index, group_id in enumerate(group_ids)
            for point in range(RING_POINTS)
        )
        self._groups = group_ids
        self._points = [point for point, _ in ring]
        self._owners = [index for _, index in ring]


class Load:
    """Two random places; the emptier wins, unless it is much busier.

    Two choices and not the best of all: a new, empty node gets at most twice its share, and gates that
    know the same figures do not all run to the same node.
    """

    def __init__(self, random: Random) -> None:
        self._random = random

    def choose(self, candidates: Sequence[Group], want: Want, loads: Loads) -> Place:
        """The better of two random places; where both are all six nodes there is nothing to weigh."""
        places = len(candidates) * SHARDS
        first = int(self._random.random() * places)
        one = Place(candidates[first // SHARDS], first % SHARDS)
        if places == SHARDS and want.pieces == SHARDS:
            return one
        second = (first + 1 + int(self._random.random() * (places - 1))) % places
        other = Place(candidates[second // SHARDS], second % SHARDS)
        return one if self._better(one, other, want.pieces, loads) else other

    def _better(self, one: Place, other: Place, pieces: int, loads: Loads) -> bool:
        nodes, others = _nodes(one, pieces), _nodes(other, pieces)
        busy = max([loads.busy(node) for node in nodes])
        busy_other = max([loads.busy(node) for node in others])
        if abs(busy - busy_other) > BUSY_SLACK and max(busy, busy_other) > 2 * min(busy, busy_other):
            return busy < busy_other
        return sum([loads.fill(node) for node in nodes]) <= sum([loads.fill(node) for node in others])


def _nodes(place: Place, pieces: int) -> list[bytes]:
    nodes, turn = place.group.nodes, place.turn
    return [nodes[(position + turn) % SHARDS] for position in range(pieces)]


STRATEGIES: dict[str, Callable[[Random], Strategy]] = {
    "round-robin": RoundRobin,
    "consistent-hash": ConsistentHash,
    "load": Load,
}


def make_strategy(name: str, random: Random) -> Strategy:
    """The strategy that the setting names."""
    if name not in STRATEGIES:
        raise ValueError(f"placement is one of {', '.join(STRATEGIES)}, not {name}")
    return STRATEGIES[name](random)
