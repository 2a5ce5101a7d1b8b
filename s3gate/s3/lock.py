"""Object lock: retention and legal hold as headers ask for them, and a bucket's default retention.

It reads and judges what a request says. What protects a version at a moment is decided by Postgres' clock, inside the
commit, and the XML documents are in `xml_lock`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from s3gate.s3.dates import iso_milliseconds, parse_iso
from s3gate.s3.errors import S3Error, invalid_argument
from s3gate.s3.request import Headers

MODE = "x-amz-object-lock-mode"
UNTIL = "x-amz-object-lock-retain-until-date"
HOLD = "x-amz-object-lock-legal-hold"
BYPASS = "x-amz-bypass-governance-retention"

GOVERNANCE, COMPLIANCE = "GOVERNANCE", "COMPLIANCE"
MODES = (GOVERNANCE, COMPLIANCE)
ON, OFF = "ON", "OFF"

MAX_DAYS = 36_500
MAX_YEARS = 100

_NAMES = (MODE.encode(), UNTIL.encode(), HOLD.encode())


@dataclass(frozen=True, slots=True)
class Retention:
    """Until when a version is kept, and whether a special permission may shorten that."""

    mode: str
    until: datetime


@dataclass(frozen=True, slots=True)
class DefaultRetention:
    """What new objects of a bucket get. Exactly one of the two periods is set."""

    mode: str
    days: int = 0
    years: int = 0

    def starting(self, now: datetime) -> Retention:
        """The retention of an object that is made now. A year has 365 days, as at AWS."""
        return Retention(self.mode, now + timedelta(days=self.days or self.years * 365))


@dataclass(frozen=True, slots=True)
class Asked:
    """What the headers of a write ask for; `hold` is None where they say nothing of it."""

    retention: Retention | None
    hold: bool | None


def of_write(headers: Headers, now: datetime) -> Asked | None:
    """The lock that a new object is to have, or None if the headers name none."""
    get = headers.get_bytes
    if get(_NAMES[0]) is None and get(_NAMES[1]) is None and get(_NAMES[2]) is None:
        return None
    mode, until, hold = headers.get(MODE), headers.get(UNTIL), headers.get(HOLD)
    if (mode is None) != (until is None):
        missing = UNTIL if until is None else MODE
        raise invalid_argument(missing, "", f"{UNTIL} and {MODE} must both be supplied")
    retention = None
    if mode is not None and until is not None:
        if mode not in MODES:
            raise invalid_argument(MODE, mode, "Unknown wormMode directive.")
        moment = parse_iso(until)
        if moment is None:
            raise invalid_argument(UNTIL, until, "The retain until date must be provided in ISO 8601 format")
        check_future(moment, now, UNTIL)
        retention = Retention(mode, moment)
    if hold not in (None, ON, OFF):
        raise invalid_argument(HOLD, hold or "", "Legal Hold must be either of 'ON' or 'OFF'")
    return Asked(retention, None if hold is None else hold == ON)


def check_future(moment: datetime, now: datetime, name: str = "RetainUntilDate") -> None:
    """InvalidArgument for a retention that would be over when it begins."""
    if moment <= now:
        raise invalid_argument(name, iso_milliseconds(moment), "The retain until date must be in the future!")


def bypasses(headers: Headers) -> bool:
    """Whether the client asks to be let past governance retention."""
    value = headers.get(BYPASS)
    return value is not None and value.lower() == "true"


def refuse_bypass(headers: Headers) -> None:
    """Of DeleteObject, where nothing is ever retained: S3 has the client told. (DeleteObjects says nothing of it.)"""
    if bypasses(headers):
        message = f"{BYPASS} is only applicable to Object Lock enabled buckets."
        raise invalid_argument(BYPASS, headers.get(BYPASS) or "", message)


def missing_configuration() -> S3Error:
    """A lock was asked of a bucket that has none."""
    return S3Error.of("InvalidRequest", "Bucket is missing Object Lock Configuration")


def unlocked_object() -> S3Error:
    """The object has neither a retention nor a legal hold to show."""
    return S3Error.of("NoSuchObjectLockConfiguration")
