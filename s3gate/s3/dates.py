"""Moments as HTTP and ISO 8601 write them, in headers and in documents.

What is not a date is None: whether that matters, and in which words it is refused, is for those who asked.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache

_DAYS = (b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun")
_MONTHS = (b"", *b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split())
_ISO = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d)(:\d\d)?(\.\d{1,9})?(Z|[+-]\d\d:?\d\d)?").fullmatch


def http_date(moment: datetime) -> bytes:
    """As headers write it. Cut to the second; `moment` has a time zone."""
    return _http_date(int(moment.timestamp()))


@lru_cache(maxsize=4096)
def _http_date(seconds: int) -> bytes:
    when = datetime.fromtimestamp(seconds, UTC)
    return b"%b, %02d %b %04d %02d:%02d:%02d GMT" % (
        _DAYS[when.weekday()],
        when.day,
        _MONTHS[when.month],
        when.year,
        when.hour,
        when.minute,
        when.second,
    )


def parse_http_date(text: str | None) -> datetime | None:
    """The moment in UTC, which is also what a date without a zone is in."""
    if text is None:
        return None
    try:
        moment = parsedate_to_datetime(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, TypeError, OverflowError):
        return None


def iso_seconds(moment: datetime) -> str:
    """ISO 8601 in UTC, cut to the second."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def iso_milliseconds(moment: datetime) -> str:
    """ISO 8601 in UTC, cut to the millisecond."""
    return f"{moment.astimezone(UTC).isoformat('T', 'milliseconds')[:23]}Z"


def parse_iso(text: str) -> datetime | None:
    """The moment in UTC, which is also what one without an offset is in."""
    match = _ISO(text.strip())
    if match is None:
        return None
    day, minute, second, fraction, offset = match.groups()
    fraction = (fraction or ".0")[1:7].ljust(6, "0")
    offset = "+00:00" if offset in (None, "Z") else offset
    try:
        return datetime.fromisoformat(f"{day}T{minute}{second or ':00'}.{fraction}{offset}").astimezone(UTC)
    except (ValueError, OverflowError):
        return None
