"""How long the collector rests: what it does can wait, what clients ask cannot.

Pure. A rest is a multiple of the work before it, so that whatever slows the work down (a busy disk, a busy database)
lengthens the rest, too. The older the garbage, the shorter: a burst of deletions is collected behind it, and
one that goes on is collected as fast as it comes, a bounded time later. Law 9 for a queue that nobody may refuse.
"""

from __future__ import annotations

from collections.abc import Iterable

from s3gate.geometry.placement import NodeView

LATE_SECONDS = 60.0
"""Garbage as old as this is collected almost without rests; younger garbage takes as much less of the time."""
LONGEST_REST = 29.0
"""Times as long as it worked: fresh garbage takes a thirtieth of the time."""
SHORTEST_REST = 0.25
"""Even then requests come in between."""
SHORT_OF_ROOM = 0.05
"""A node with less than this part of its capacity free needs the room now."""


def rest_after(age_seconds: float, nodes: Iterable[NodeView]) -> float:
    """How many times as long as it worked the collector rests, when its oldest garbage was so old."""
    if any(node.free_bytes < SHORT_OF_ROOM * node.capacity_bytes for node in nodes):
        return SHORTEST_REST
    share = age_seconds / LATE_SECONDS
    return min(max(1 / share - 1 if share > 0 else LONGEST_REST, SHORTEST_REST), LONGEST_REST)
