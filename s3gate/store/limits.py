"""The limits of the store room, with units in their names (law 9). Built once from the settings."""

from dataclasses import dataclass

MIB = 1024 * 1024

SLICE_SECONDS = 0.010
"""One-piece segments go to one node for this long, so that its group commits are full."""
SLICE_BYTES = 1 * MIB
"""... or until so many bytes went there."""
BUNDLES_UNDER_WAY = 2
"""Requests with small shards that a node is sent at a time; what arrives meanwhile goes together in the next. So much,
too, of what cancelled clients had sent is held beside the byte budget, until the node has answered."""
CACHED_SHARD_BYTES = 64 * 1024
"""Shards up to this length are read whole and cached."""
SMALL_BYTES = 512 * 1024
"""What takes at most this much of the byte budget never waits for what takes more."""
SMALL_SHARE = 8
"""The part of the byte budget that such small ones get beside it: one eighth."""
KEPT_ROWS = 3
"""A segment of at most so many rows can be sent again as long as the budget can spare them: parts of up to 9 MiB."""
WINDOW_ROWS = 2
"""Rows that a download reads ahead at a time: a shard's pieces of them come in one answer, if it may be that long."""
READ_AHEAD_WINDOWS = 2
"""Such windows that it has under way beyond the one that it is sending."""
LENT_PIECE_BYTES = 576 * 1024
"""What is read at a time of shards that were lent: three pieces of a MiB that was cut in six. What is more does not
stay in the processor's caches until it is sent."""
LENT_SHARDS = 8192
"""Shards that one node has lent, at most."""
LENT_FILES = 32
"""Files of one node that are held open for them."""
LOOK_TICKS = 5
"""How often it is looked, in seconds, whether a node has deleted one of these."""
PAUSE_TICKS = 60
"""For how long nothing is borrowed from a node, in seconds, after a file of it could not be opened."""
REQUEST_ATTEMPTS = 4
"""How often a request is sent again because its connection was an old one or the node has been started again."""
READ_ATTEMPTS = 3
"""How often a shard is asked for again when what arrived does not match its checksum."""
SUSPECT_SECONDS = 10.0
DOWN_SECONDS = 30.0
"""Age of a heartbeat after which a node counts as suspect, and as down."""
PROBE_SECONDS = 0.1
PROBE_MOST_SECONDS = 1.0
"""How often a node that failed is asked for its health: first soon, then once a second."""
REFUSED_SECONDS = 2.0
"""How long no write goes to a node that refused or spoilt one, before its heartbeat is believed again."""
TICK_SECONDS = 1.0
"""The resolution of stall timeouts."""
ANSWER_BYTES = 2 * MIB
"""The longest body of an answer."""


@dataclass(frozen=True, slots=True)
class StoreLimits:
    """What an operator may set; the defaults are those of the settings."""

    placement: str = "load"
    cache_bytes: int = 64 * MIB
    write_wait_seconds: float = 10.0
    read_wait_seconds: float = 10.0
    connect_seconds: float = 2.0
    stall_seconds: float = 15.0
    connections_per_node: int = 256
