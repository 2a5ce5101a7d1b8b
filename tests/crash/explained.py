"""Whether what a versioned key shows can be explained by what was asked of it: pure, so that it can be tested itself.

Several writers share a key, so an event has a beginning and an end. The end of one that failed or was cut is unknown:
it may have happened, once, at any time since. Everything else is a violation: an acknowledged version that is missing
though nobody removed it, one that nobody wrote, one written once that is there twice, two in another order than that
in which they were acknowledged. Rules end what is marked for it under ENDS, behind the KEPT newest older versions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

NULL = "null"
ENDS = "ends/"
KEPT = 2
"""So many older versions are kept by the rules of every bucket (NewerNoncurrentVersions)."""
MARKER = ""
"""In the place of an ETag: a delete marker."""


@dataclass(eq=False)
class Made:
    """A put, copy or Complete of what has this ETag, or a delete without a version (MARKER)."""

    etag: str
    begin: float
    md5: str = ""
    """Of the bytes: an upload's ETag is another."""
    ends: bool = False
    """Tagged so that rules end it."""
    locked: bool = False
    end: float = math.inf
    version_id: str | None = None
    """As it was acknowledged; None: not known, may be any."""

    @property
    def acknowledged(self) -> bool:
        return self.version_id is not None


@dataclass(eq=False)
class Removed:
    """A delete of one version."""

    version_id: str
    begin: float
    end: float = math.inf


class Listed(NamedTuple):
    """A row of ListObjectVersions."""

    version_id: str
    etag: str


@dataclass
class Key:
    """One key and all that was ever asked of it."""

    bucket: str
    name: str
    suspended: bool
    """Whether its bucket is, at least sometimes."""
    made: list[Made]
    removed: list[Removed]

    @property
    def has_rules(self) -> bool:
        return self.name.startswith(ENDS)

    def removals(self, version_id: str) -> list[Removed]:
        return [removal for removal in self.removed if removal.version_id == version_id]


def violations(key: Key, listed: Sequence[Listed]) -> list[str]:
    """What cannot be explained, a line each. `listed`: the newest first."""
    place = f"{key.bucket}/{key.name}"
    explained = [*_strange(key, listed), *_lost(key, listed), *_null(key, listed)]
    return [f"{place}: {line}" for line in explained or _disorder(key, listed)]


def _found(key: Key, listed: Sequence[Listed]) -> list[Made | None]:
    """The event behind each row that has an id; None where there is none."""
    known = {made.version_id: made for made in key.made if made.acknowledged and made.version_id != NULL}
    unknown = sorted((made for made in key.made if not made.acknowledged), key=lambda made: made.begin)
    events: list[Made | None] = []
    for row in listed:
        event = known.pop(row.version_id, None)
        if event is None:
            event = next((made for made in unknown if made.etag == row.etag), None)
            if event is not None:
                unknown.remove(event)
        events.append(event)
    return events


def _strange(key: Key, listed: Sequence[Listed]) -> Iterator[str]:
    """Versions that nobody wrote, that are not what was written, and that were removed."""
    by_rules = sum(made.ends for made in key.made)
    rows = [row for row in listed if row.version_id != NULL]
    for row, event in zip(rows, _found(key, rows), strict=True):
        if event is None and row.etag == MARKER and key.has_rules and by_rules > 0:
            by_rules -= 1
        elif event is None:
            yield f"nobody wrote {row}, or it is there twice"
        elif event.etag != row.etag:
            yield f"{row} was written as {event}"
        elif any(removal.end < math.inf for removal in key.removals(row.version_id)):
            yield f"{row} was removed"


def _lost(key: Key, listed: Sequence[Listed]) -> Iterator[str]:
    """Acknowledged versions that are missing, though neither a request nor a rule can have removed them."""
    rows = [row for row in listed if row.version_id != NULL]
    there = {row.version_id for row in rows}
    # The null version may stand anywhere among the others.
    events = _found(key, rows) + [None] * (len(listed) - len(rows))
    removed = {removal.version_id for removal in key.removed}
    for made in key.made:
        if made.version_id in (None, NULL) or made.version_id in there:
            continue
        if made.locked or not (made.version_id in removed or (key.has_rules and _ended(made, events))):
            yield f"{made} is lost"


def _ended(made: Made, events: Sequence[Made | None]) -> bool:
    """Whether a rule may have ended it: an object behind the newest older versions, or a marker that was alone."""
    older = sum(event is not None and event.end < made.begin for event in events)
    if made.etag == MARKER:
        return not older
    return made.ends and len(events) - older > KEPT


def _null(key: Key, listed: Sequence[Listed]) -> Iterator[str]:
    """The null version is the last one written, unless it was removed since."""
    rows = [row for row in listed if row.version_id == NULL]
    if len(rows) > 1:
        yield "two null versions"
        return
    written = [made for made in key.made if made.version_id in (None, NULL)]
    certain = [made for made in written if made.acknowledged]
    by_rules = key.has_rules and key.suspended and any(made.ends for made in key.made)

    def settled_after(end: float) -> bool:
        """Whether something else certainly came behind an event with this end."""
        later = [made.begin for made in certain] + [each.begin for each in key.removals(NULL) if each.end < math.inf]
        return any(begin > end for begin in later)

    if not rows:
        removals = [removal.end for removal in key.removals(NULL)]
        gone = any(not any(made.begin > end for made in certain) for end in removals)
        ended = key.has_rules and any(made.ends or made.etag == MARKER for made in written)
        if certain and not gone and not ended and not by_rules:
            yield f"the null version is lost: {certain[-1]}"
        return
    if rows[0].etag == MARKER and by_rules:
        return
    if not any(made.etag == rows[0].etag and not settled_after(made.end) for made in written):
        yield f"{rows[0]} is not what the null version was written as"


def _disorder(key: Key, listed: Sequence[Listed]) -> Iterator[str]:
    """A version below one that was acknowledged before it was even begun."""
    first_end, newer = math.inf, None
    for row, made in zip(listed, _with_null(key, listed), strict=True):
        if made is None or (made.etag == MARKER and key.has_rules and not made.acknowledged):
            continue  # a marker of which nobody knows may be that of a rule
        if first_end < _begin(key, made):
            yield f"{row} was written after {newer}, which stands above it"
        if made.end < first_end:
            first_end, newer = made.end, row


def _begin(key: Key, made: Made) -> float:
    """Of several uncertain writes of the same bytes the first will do."""
    if made.acknowledged:
        return made.begin
    return min(other.begin for other in key.made if other.etag == made.etag and not other.acknowledged)


def _with_null(key: Key, listed: Sequence[Listed]) -> Iterator[Made | None]:
    """The events behind the rows, the null version's too, if that is known for certain."""
    ids = iter(_found(key, [row for row in listed if row.version_id != NULL]))
    for row in listed:
        if row.version_id != NULL:
            yield next(ids)
            continue
        same = [made for made in key.made if made.etag == row.etag and made.version_id in (None, NULL)]
        yield same[0] if len(same) == 1 and same[0].etag != MARKER else None
