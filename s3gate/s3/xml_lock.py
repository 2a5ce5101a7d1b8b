"""Object lock as XML: a bucket's configuration, an object's retention and its legal hold.

It knows AWS's element names and what AWS says to each mistake; what a lock means is `lock`'s to say.
"""

from __future__ import annotations

import re
from functools import lru_cache

from lxml import etree

from s3gate.s3.dates import iso_milliseconds, parse_iso
from s3gate.s3.errors import S3Error
from s3gate.s3.lock import MAX_DAYS, MAX_YEARS, MODES, OFF, ON, DefaultRetention, Retention
from s3gate.s3.xml_in import local_name, malformed, parse_root, text_of
from s3gate.s3.xml_out import document, element

LOCK_LIMIT_BYTES = 64 * 1024

_NUMBER = re.compile(r"[+-]?[0-9]{1,18}").fullmatch
_EVENT_HOLD = ("EventHold", "EventHoldDuration", "DefaultEventHold")


def lock_configuration(data: bytes) -> DefaultRetention | None:
    """Of PutObjectLockConfiguration: the default retention, or None where there is no rule."""
    fields = _fields(parse_root(data, "ObjectLockConfiguration"), "ObjectLockEnabled", "Rule")
    enabled = fields.get("ObjectLockEnabled")
    if enabled is None or text_of(enabled) != "Enabled":
        raise malformed()
    rule = fields.get("Rule")
    if rule is None:
        return None
    inner = _fields(rule, "DefaultRetention").get("DefaultRetention")
    if inner is None:
        raise malformed()
    return _default_retention(inner)


def retention(data: bytes) -> Retention | None:
    """Of PutObjectRetention; None where the document is empty, which asks that the retention be taken away."""
    fields = _fields(parse_root(data, "Retention"), "Mode", "RetainUntilDate")
    if not fields:
        return None
    if len(fields) != 2:
        raise malformed()
    mode, until = text_of(fields["Mode"]), parse_iso(text_of(fields["RetainUntilDate"]))
    if mode not in MODES or until is None:
        raise malformed()
    return Retention(mode, until)


def legal_hold(data: bytes) -> bool:
    """Of PutObjectLegalHold: whether it is to be on."""
    status = _fields(parse_root(data, "LegalHold"), "Status").get("Status")
    if status is None or text_of(status) not in (ON, OFF):
        raise malformed()
    return text_of(status) == ON


@lru_cache(maxsize=256)
def default_retention(kept: bytes) -> DefaultRetention | None:
    """The rule of a configuration that is kept, as `configuration_document` wrote it."""
    return lock_configuration(kept)


def configuration_document(rule: DefaultRetention | None) -> bytes:
    """The answer of GetObjectLockConfiguration."""
    parts = [element("ObjectLockEnabled", "Enabled")]
    if rule is not None:
        period = element("Days", str(rule.days)) if rule.days else element("Years", str(rule.years))
        parts += ["<Rule><DefaultRetention>", element("Mode", rule.mode), period, "</DefaultRetention></Rule>"]
    return document("ObjectLockConfiguration", parts)


def retention_document(shown: Retention) -> bytes:
    """The answer of GetObjectRetention."""
    until = iso_milliseconds(shown.until)
    return document("Retention", (element("Mode", shown.mode), element("RetainUntilDate", until)))


def legal_hold_document(hold: bool) -> bytes:
    """The answer of GetObjectLegalHold."""
    return document("LegalHold", (element("Status", ON if hold else OFF),))


def _default_retention(rule: etree._Element) -> DefaultRetention:
    fields = _fields(rule, "Mode", "Days", "Years")
    mode = text_of(fields["Mode"]) if "Mode" in fields else ""
    if mode not in MODES or len(fields) != 2:  # a mode, and one of the two periods
        raise malformed()
    if "Days" in fields:
        return DefaultRetention(mode, days=_period(fields["Days"], "Days", MAX_DAYS))
    return DefaultRetention(mode, years=_period(fields["Years"], "Years", MAX_YEARS))


def _period(element_: etree._Element, name: str, most: int) -> int:
    text = text_of(element_)
    if _NUMBER(text) is None:
        raise malformed()
    number = int(text)
    if number <= 0:
        message = "Default retention period must be a positive integer value."
        raise S3Error.of("InvalidArgument", message, ArgumentName=name)
    if number > most:
        message = f"Default retention period must not be longer than {most} {name.lower()}."
        raise S3Error.of("InvalidArgument", message, ArgumentName=name)
    return number


def _fields(parent: etree._Element, *known: str) -> dict[str, etree._Element]:
    """The children by name, each of them known and there once."""
    found: dict[str, etree._Element] = {}
    for child in parent:
        name = local_name(child)
        if name in _EVENT_HOLD:
            raise S3Error.of("NotImplemented", f"{name} is not implemented")
        if name not in known or name in found:
            raise malformed()
        found[name] = child
    return found
