"""What every worker gets: the catalog, the store and the settings, in one typed value.

It decides nothing. A unit of work is a coroutine over a `Workshop` that does one bounded piece, may be run twice, and
may be killed anywhere (law 10). It says whether there is more of it, and how long to rest before: so many times as long
as it worked. True is once as long; requests come first.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from s3gate.catalog.catalog import Catalog
from s3gate.settings import Settings
from s3gate.store.store import Store

GARBAGE_ROWS = 512
"""Contents that one unit collects."""
PART_ROWS = 500
"""Parts of one content that are expanded at a time."""
SEGMENTS_AT_ONCE = 1000
"""Segments that one round of deletions has, six shards each."""
PARKED_ROWS = 16
"""Parked rows, up to 4096 shards each, that one unit delivers to a node."""
UPLOAD_ROWS = 100
LIFECYCLE_ROWS = 1000
"""Keys, older versions or uploads that one unit judges by lifecycle rules."""
REMOVALS_AT_ONCE = 100
"""Of these, what is removed at a time: requests share the database."""
SESSION_ROWS = 1000
"""Closed sessions that are looked at together."""
LIST_LINES = 5000
"""Shards of a session that one page of a node's list brings."""
SEVERAL_ROWS = 1000
"""Rows of several segments that the sweep unpacks at a time."""
LATER_SEGMENTS = 100_000
"""Segments of such rows that it holds, at most twice as many (some 40 MB): they are of 6 TB and more."""


@dataclass(frozen=True, slots=True)
class Workshop:
    """The context of every unit."""

    catalog: Catalog
    store: Store
    settings: Settings


Unit = Callable[[Workshop], Awaitable[float]]
