"""Ranges, part numbers and copy ranges."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3gate.s3 import ranges
from s3gate.s3.errors import S3Error


def code_of(function, *arguments) -> str:
    with pytest.raises(S3Error) as caught:
        function(*arguments)
    return f"{caught.value.status} {caught.value.code}"


@pytest.mark.parametrize(
    ("value", "size", "wanted"),
    [
        (None, 10, None),
        ("bytes=0-9", 10, (0, 10)),
        ("bytes=0-0", 10, (0, 1)),
        ("bytes=9-9", 10, (9, 10)),
        ("bytes=5-", 10, (5, 10)),
        ("bytes=5-100", 10, (5, 10)),
        ("bytes=-3", 10, (7, 10)),
        ("bytes=-100", 10, (0, 10)),
        ("bytes=-262144", 10, (0, 10)),
        ("Bytes=1-2", 10, (1, 3)),
        ("bytes= 1 - 2 ", 10, (1, 3)),
        ("bytes=33-10", 100, None),
        ("bytes=33-10", 0, None),
        ("bytes=", 10, None),
        ("bytes=-", 10, None),
        ("bytes=a-b", 10, None),
        ("bytes=0-1,3-4", 10, None),
        ("lines=0-1", 10, None),
        ("0-1", 10, None),
        ("", 10, None),
        ("bytes=\u0661-2", 10, None),
        ("bytes=0-" + "9" * 500, 10, (0, 10)),
        ("bytes=-" + "9" * 500, 10, (0, 10)),
        ("bytes=0-" + "9" * 5000, 10, None),
    ],
)
def test_resolve(value, size, wanted):
    assert ranges.resolve(value, size) == wanted


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ("bytes=10-", 10),
        ("bytes=10-12", 10),
        ("bytes=0-", 0),
        ("bytes=-1", 0),
        ("bytes=-0", 10),
        ("bytes=" + "9" * 30 + "-", 10),
    ],
)
def test_unsatisfiable(value, size):
    with pytest.raises(S3Error) as caught:
        ranges.resolve(value, size)
    error = caught.value
    assert (error.status, error.code, error.headers) == (416, "InvalidRange", {"content-range": f"bytes */{size}"})
    assert error.extra == {"RangeRequested": value, "ActualObjectSize": str(size)}


def test_content_range():
    assert ranges.content_range(0, 5, 10) == b"bytes 0-4/10"
    assert ranges.content_range(0, 0, 0) == b"bytes */0"


def test_part_numbers():
    assert ranges.part_number("1") == 1
    assert ranges.part_number("10000") == 10000
    for bad in ("0", "10001", "-1", "", "x", "1.0", "\u0661", "9" * 5000):
        assert code_of(ranges.part_number, bad) == "400 InvalidArgument"
    assert code_of(ranges.part_number, "1", "bytes=0-1") == "400 InvalidRequest"


def test_part_windows():
    numbers, ends = (1, 3, 7), (10, 25, 26)
    assert [ranges.part_window(number, numbers, ends) for number in numbers] == [(0, 10), (10, 25), (25, 26)]
    assert ranges.part_window(1, (1,), (0,)) == (0, 0)
    for missing in (2, 8):
        assert code_of(ranges.part_window, missing, numbers, ends) == "416 InvalidPartNumber"


@pytest.mark.parametrize(
    ("value", "wanted"), [(None, (0, 10)), ("bytes=0-9", (0, 10)), ("bytes=3-3", (3, 4)), ("bytes=0-0", (0, 1))]
)
def test_copy_range(value, wanted):
    assert ranges.copy_range(value, 10) == wanted


@pytest.mark.parametrize("value", ["bytes=0-10", "bytes=5-4", "bytes=5-", "bytes=-5", "0-5", "bytes=0-1,2-3", "x", ""])
def test_bad_copy_range(value):
    assert code_of(ranges.copy_range, value, 10) == "400 InvalidArgument"


def test_a_copy_range_beyond_every_object():
    with pytest.raises(S3Error) as caught:
        ranges.copy_range("bytes=0-" + "9" * 30, 10)
    assert caught.value.message == "Range specified is not valid for source object of size: 10"


@given(st.text(max_size=30), st.integers(0, 100))
def test_any_header_is_answered(text, size):
    for value in (text, "bytes=" + text):
        try:
            found = ranges.resolve(value, size)
        except S3Error:
            continue
        assert found is None or 0 <= found[0] < found[1] <= size
