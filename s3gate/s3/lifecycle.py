"""What lifecycle rules mean: which of them speak of an object, and when it is their turn.

Pure: a document, a version's traits and moments come in, moments and headers go out. Nothing is removed here, and
whether something may be removed (locks) is not asked here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from urllib.parse import quote

from s3gate.s3.dates import http_date
from s3gate.s3.headers import Pairs
from s3gate.s3.tags import Tag, unpack
from s3gate.s3.xml_configurations import tags_of
from s3gate.s3.xml_lifecycle import DEFAULT_MINIMUM, opened, predicates, rule_nodes
from s3gate.s3.xml_shape import Node

DAY_SECONDS = 86400.0
NEVER = datetime.max.replace(tzinfo=UTC)
DOCUMENTS_CACHED = 64
LEAST_TRANSITION_BYTES = 128 * 1024
_SMALL_TOO = ("GLACIER", "DEEP_ARCHIVE")
"""Classes that take smaller objects too where the size varies by class."""


@dataclass(frozen=True, slots=True)
class Transition:
    """To which storage class, and when: after so many days, or at a date; so many `newer` older versions stay."""

    label: str
    days: int | None
    date: datetime | None
    newer: int
    least_size: int


@dataclass(frozen=True, slots=True)
class Rule:
    """One enabled rule. Where it says nothing there is None, or nothing that could match."""

    rule_id: str
    prefix: bytes
    tags: tuple[Tag, ...]
    larger_than: int | None
    smaller_than: int | None
    days: int | None
    date: datetime | None
    lone_markers: bool
    noncurrent_days: int | None
    newer_noncurrent: int
    abort_days: int | None
    transitions: tuple[Transition, ...]
    noncurrent_transitions: tuple[Transition, ...]

    def matches(self, key: bytes, size: int, tags: bytes) -> bool:
        """Whether the rule speaks of an object; all its predicates hold."""
        return (
            key.startswith(self.prefix)
            and (self.larger_than is None or size > self.larger_than)
            and (self.smaller_than is None or size < self.smaller_than)
            and (not self.tags or set(self.tags) <= set(unpack(tags)))
        )

    def matches_marker(self, key: bytes) -> bool:
        """A delete marker has neither size nor tags: rules that ask for them pass it by."""
        asks = self.tags or self.larger_than is not None or self.smaller_than is not None
        return key.startswith(self.prefix) and not asks

    @property
    def is_of_current(self) -> bool:
        """Whether it says anything of current versions."""
        return self.lone_markers or self.days is not None or self.date is not None or bool(self.transitions)

    @property
    def is_of_noncurrent(self) -> bool:
        """Whether it says anything of older versions."""
        return self.noncurrent_days is not None or bool(self.noncurrent_transitions)

    def expires_at(self, modified_at: datetime, day_seconds: float) -> datetime | None:
        """When a current version that matches is due."""
        return self.date if self.days is None else due(modified_at, self.days, day_seconds)


def due(since: datetime, days: int, day_seconds: float) -> datetime:
    """So many days later, at the next midnight as S3 counts; to the moment where days were shortened."""
    try:
        moment = since + timedelta(seconds=days * day_seconds)
        if day_seconds != DAY_SECONDS:
            return moment
        midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight if midnight == moment else midnight + timedelta(days=1)
    except OverflowError:
        return NEVER


@lru_cache(maxsize=DOCUMENTS_CACHED)
def rules(kept: bytes) -> tuple[Rule, ...]:
    """The enabled rules of what a bucket keeps."""
    minimum = opened(kept)[1][0][1].decode()
    return tuple(_rule(node, minimum) for node in rule_nodes(kept) if node.value("Status") == "Enabled")


def expiration(
    found: Sequence[Rule], key: bytes, size: int, tags: bytes, modified_at: datetime, day_seconds: float
) -> tuple[datetime, Rule] | None:
    """The first moment at which one of the rules ends a current version, and that rule."""
    best: tuple[datetime, Rule] | None = None
    for rule in found:
        if not key.startswith(rule.prefix):  # of a thousand rules, most
            continue
        when = rule.expires_at(modified_at, day_seconds)
        if when is not None and (best is None or when < best[0]) and rule.matches(key, size, tags):
            best = when, rule
    return best


@dataclass(frozen=True, slots=True)
class Judge:
    """Rules as of a moment: what of a bucket goes now, and which storage class the rest should have by now."""

    rules: Sequence[Rule]
    now: datetime
    day_seconds: float

    def ends_current(self, key: bytes, size: int, tags: bytes, modified_at: datetime) -> bool:
        """Whether a current version goes."""
        first = expiration(self.rules, key, size, tags, modified_at, self.day_seconds)
        return first is not None and first[0] <= self.now

    def ends_marker(self, key: bytes, modified_at: datetime) -> bool:
        """Whether a delete marker that is the only version of its key goes: by a rule for those, or by its age."""
        return any(
            rule.matches_marker(key)
            and (rule.lone_markers or (rule.days is not None and self._reached(modified_at, rule.days)))
            for rule in self.rules
        )

    def ends_noncurrent(self, key: bytes, size: int | None, tags: bytes, superseded_at: datetime, rank: int) -> bool:
        """Whether an older version goes, the `rank`th newest of them. A delete marker's size is None."""
        return any(
            rule.noncurrent_days is not None
            and rank > rule.newer_noncurrent
            and self._reached(superseded_at, rule.noncurrent_days)
            and (rule.matches_marker(key) if size is None else rule.matches(key, size, tags))
            for rule in self.rules
        )

    def label_of_current(self, key: bytes, size: int, tags: bytes, modified_at: datetime) -> str | None:
        """The storage class that a current version should have: that of the last transition that was due."""
        pairs = [(rule, transition) for rule in self.rules for transition in rule.transitions]
        return self._last_due(pairs, key, size, tags, modified_at)

    def label_of_noncurrent(self, key: bytes, size: int, tags: bytes, superseded_at: datetime, rank: int) -> str | None:
        """The same of an older version, the `rank`th newest of them."""
        pairs = [
            (rule, transition)
            for rule in self.rules
            for transition in rule.noncurrent_transitions
            if rank > transition.newer
        ]
        return self._last_due(pairs, key, size, tags, superseded_at)

    def _last_due(
        self, pairs: Iterable[tuple[Rule, Transition]], key: bytes, size: int, tags: bytes, since: datetime
    ) -> str | None:
        reached = [
            (when, transition.label)
            for rule, transition in pairs
            if size >= transition.least_size
            and (when := transition.date or due(since, transition.days or 0, self.day_seconds)) <= self.now
            and rule.matches(key, size, tags)
        ]
        return max(reached)[1] if reached else None

    def _reached(self, since: datetime, days: int) -> bool:
        return due(since, days, self.day_seconds) <= self.now


def due_before(days: int, now: datetime, day_seconds: float) -> datetime:
    """What began before this moment is due by now."""
    try:
        reached = now if day_seconds != DAY_SECONDS else now.replace(hour=0, minute=0, second=0, microsecond=0)
        return reached - timedelta(seconds=days * day_seconds) + timedelta.resolution
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)


def covering(prefixes: Iterable[bytes]) -> list[bytes]:
    """The fewest prefixes that cover all of these, in order."""
    chosen: list[bytes] = []
    for prefix in sorted(prefixes):
        if not chosen or not prefix.startswith(chosen[-1]):
            chosen.append(prefix)
    return chosen


def expiration_header(
    kept: bytes | None, key: bytes, size: int, tags: bytes, modified_at: datetime, day_seconds: float
) -> bytes | None:
    """The value of x-amz-expiration for a current version, if a rule will end it."""
    best = kept and expiration(rules(kept), key, size, tags, modified_at, day_seconds)
    if not best:
        return None
    when, rule = best
    return b'expiry-date="%b", rule-id="%b"' % (http_date(when), quote(rule.rule_id, safe="").encode())


def abort_headers(kept: bytes | None, key: bytes, initiated_at: datetime, day_seconds: float) -> Pairs:
    """When an upload will be aborted and by which rule: two headers, or none."""
    found = [
        (due(initiated_at, rule.abort_days, day_seconds), rule.rule_id)
        for rule in (rules(kept) if kept else ())
        if rule.abort_days is not None and key.startswith(rule.prefix)
    ]
    if not found:
        return []
    when, rule_id = min(found)
    return [(b"x-amz-abort-date", http_date(when)), (b"x-amz-abort-rule-id", quote(rule_id, safe="").encode())]


def _transition(node: Node, days: str, minimum: str, is_sized: bool) -> Transition:
    """Small objects stay where they are, unless the rule itself speaks of sizes."""
    label, date = node.value("StorageClass") or "", node.value("Date")
    small_too = is_sized or (minimum != DEFAULT_MINIMUM and label in _SMALL_TOO)
    return Transition(
        label=label,
        days=node.number(days),
        date=None if date is None else datetime.fromisoformat(date),
        newer=node.number("NewerNoncurrentVersions") or 0,
        least_size=0 if small_too else LEAST_TRANSITION_BYTES,
    )


def _rule(node: Node, minimum: str) -> Rule:
    scope = predicates(node)
    date = node.value("Expiration", "Date")
    is_sized = any(scope.one(name) for name in ("ObjectSizeGreaterThan", "ObjectSizeLessThan"))

    def transitions(name: str, days: str) -> tuple[Transition, ...]:
        return tuple(_transition(each, days, minimum, is_sized) for each in node.all(name))

    return Rule(
        rule_id=node.value("ID") or "",
        prefix=(scope.value("Prefix") or "").encode(),
        tags=tuple(tags_of(scope)),
        larger_than=scope.number("ObjectSizeGreaterThan"),
        smaller_than=scope.number("ObjectSizeLessThan"),
        days=node.number("Expiration", "Days"),
        date=None if date is None else datetime.fromisoformat(date),
        lone_markers=node.value("Expiration", "ExpiredObjectDeleteMarker") == "true",
        noncurrent_days=node.number("NoncurrentVersionExpiration", "NoncurrentDays"),
        newer_noncurrent=node.number("NoncurrentVersionExpiration", "NewerNoncurrentVersions") or 0,
        abort_days=node.number("AbortIncompleteMultipartUpload", "DaysAfterInitiation"),
        transitions=transitions("Transition", "Days"),
        noncurrent_transitions=transitions("NoncurrentVersionTransition", "NoncurrentDays"),
    )
