"""Moments as headers and documents write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3gate.s3 import dates


@given(st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)))
def test_http_dates(moment):
    assert dates.http_date(moment).decode() == format_datetime(moment.replace(microsecond=0), usegmt=True)


@pytest.mark.parametrize(
    "text", ["Mon, 06 May 2024 07:08:09 GMT", "Mon, 06 May 2024 09:08:09 +0200", "6 May 2024 07:08:09 -0000"]
)
def test_http_dates_are_read_in_utc(text: str) -> None:
    moment = dates.parse_http_date(text)
    assert moment == datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
    assert moment is not None and moment.tzinfo is UTC


@pytest.mark.parametrize("text", [None, "", "soon", "2024-05-06T07:08:09Z", "Fri, 31 Dec 9999 23:59:59 -2359"])
def test_what_is_no_http_date(text: str | None) -> None:
    assert dates.parse_http_date(text) is None


def test_iso_dates_are_written_in_utc_and_cut() -> None:
    moment = datetime(2024, 5, 6, 9, 8, 9, 999_999, tzinfo=timezone(timedelta(hours=2)))
    assert dates.iso_seconds(moment) == "2024-05-06T07:08:09Z"
    assert dates.iso_milliseconds(moment) == "2024-05-06T07:08:09.999Z"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2027-01-01T00:00:00Z", (2027, 1, 1, 0, 0, 0, 0)),
        ("2027-01-01T00:00:00.123456789Z", (2027, 1, 1, 0, 0, 0, 123456)),
        ("2027-01-01T01:00:00+01:00", (2027, 1, 1, 0, 0, 0, 0)),
        ("2027-01-01T01:00:00+0100", (2027, 1, 1, 0, 0, 0, 0)),
        ("2027-01-01T00:00:00", (2027, 1, 1, 0, 0, 0, 0)),
        ("2027-01-01T00:00Z", (2027, 1, 1, 0, 0, 0, 0)),
    ],
)
def test_iso_dates(text: str, expected: tuple[int, ...]) -> None:
    assert dates.parse_iso(text) == datetime(*expected, tzinfo=UTC)  # type: ignore[misc, arg-type]


@pytest.mark.parametrize("text", ["", "x", "2027-13-01T00:00:00Z", "2027-01-01", "0001-01-01T00:00:00+23:59"])
def test_what_is_no_iso_date(text: str) -> None:
    assert dates.parse_iso(text) is None
