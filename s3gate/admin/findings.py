"""What a check finds: counts, and lists of what is wrong. Values only; `clean` is the verdict."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

MAX_LISTED = 1000
"""Findings of one kind that are kept; all are counted."""


@dataclass(slots=True)
class Kind:
    """Findings of one kind."""

    title: str
    is_error: bool
    count: int = 0
    listed: list[str] = field(default_factory=list)

    def add(self, what: str) -> None:
        """Count one, and keep it while there is room."""
        self.count += 1
        if len(self.listed) < MAX_LISTED:
            self.listed.append(what)


@dataclass(slots=True)
class Report:
    """The result of `admin check`."""

    objects: int = 0
    older_versions: int = 0
    parts: int = 0
    uploads: int = 0
    garbage: int = 0
    parked: int = 0
    sessions: int = 0
    segments: int = 0
    shards: int = 0
    bytes: int = 0
    broken_rows: Kind = field(default_factory=partial(Kind, "rows that name rows which are not there", True))
    missing: Kind = field(default_factory=partial(Kind, "shards that a row names and no node has", True))
    wrong_length: Kind = field(default_factory=partial(Kind, "shards of another length than their row says", True))
    corrupt: Kind = field(default_factory=partial(Kind, "shards that do not match their checksums", True))
    unchecked: Kind = field(
        default_factory=partial(Kind, "nodes that do not answer: what they have was not checked", True)
    )
    orphans: Kind = field(default_factory=partial(Kind, "shards of closed sessions that no row names", True))
    being_swept: Kind = field(
        default_factory=partial(Kind, "shards without a row of sessions closed just now: the sweep is due", False)
    )
    orphans_open: Kind = field(
        default_factory=partial(Kind, "shards without a row of open sessions: perhaps being written", False)
    )
    awaiting: Kind = field(default_factory=partial(Kind, "shards that wait for the collector", False))

    def kinds(self) -> list[tuple[str, Kind]]:
        """All kinds by name, errors first."""
        found = [(name, value) for name in self.__slots__ if isinstance(value := getattr(self, name), Kind)]
        return sorted(found, key=lambda item: not item[1].is_error)

    @property
    def clean(self) -> bool:
        """Nothing is wrong."""
        return not any(kind.count for _, kind in self.kinds() if kind.is_error)
