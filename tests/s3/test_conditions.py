"""Conditions of reads, copies and writes."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3gate.s3 import conditions
from s3gate.s3.errors import S3Error
from s3gate.s3.request import Headers

ETAG = "5d41402abc4b2a76b9719d911017c592"
MODIFIED = datetime(2024, 5, 6, 7, 8, 9, 654321, tzinfo=UTC)
SAME, BEFORE, AFTER = (f"{MODIFIED + timedelta(seconds=seconds):%a, %d %b %Y %H:%M:%S GMT}" for seconds in (0, -1, 1))
TO_COME = f"{MODIFIED + timedelta(days=1):%a, %d %b %Y %H:%M:%S GMT}"
YES, NO = f'"{ETAG}"', '"other"'
MATCH, NONE, SINCE, UNLESS = "if-match", "if-none-match", "if-modified-since", "if-unmodified-since"


def headers(prefix: str = "", **sent: str) -> Headers:
    return Headers([((prefix + name.replace("_", "-")).encode(), value.encode()) for name, value in sent.items()])


def outcome(check, sent: Headers) -> str:
    try:
        check(sent, ETAG, MODIFIED, MODIFIED + timedelta(hours=1))
    except S3Error as error:
        return f"{error.status}" + (" " + error.extra["Condition"] if "Condition" in error.extra else "")
    return "200"


@pytest.mark.parametrize(
    ("sent", "counts"),
    [({}, True), ({"if_range": YES}, True), ({"if_range": SAME}, True)]
    + [({"if_range": other}, False) for other in (NO, f"W/{YES}", BEFORE, AFTER, "junk", "")],
)
def test_a_range_of_what_was_there_before_is_the_whole_of_what_is_now(sent, counts):
    assert conditions.range_counts(headers(**sent), ETAG, MODIFIED) is counts


# (headers, what a read answers, what a copy answers), in the order of RFC 9110 section 13.2.2
READS = [
    ({}, "200", "200"),
    ({MATCH: YES}, "200", "200"),
    ({MATCH: ETAG}, "200", "200"),
    ({MATCH: "*"}, "200", "200"),
    ({MATCH: f'"x", {YES}'}, "200", "200"),
    ({MATCH: f"x,{ETAG}"}, "200", "200"),
    ({MATCH: NO}, "412 If-Match", "412 x-amz-copy-source-If-Match"),
    ({MATCH: f"W/{YES}"}, "412 If-Match", "412 x-amz-copy-source-If-Match"),
    ({MATCH: ""}, "412 If-Match", "412 x-amz-copy-source-If-Match"),
    ({MATCH: YES, UNLESS: BEFORE}, "200", "200"),
    ({MATCH: NO, UNLESS: AFTER}, "412 If-Match", "412 x-amz-copy-source-If-Match"),
    ({UNLESS: SAME}, "200", "200"),
    ({UNLESS: AFTER}, "200", "200"),
    ({UNLESS: BEFORE}, "412 If-Unmodified-Since", "412 x-amz-copy-source-If-Unmodified-Since"),
    ({UNLESS: "never"}, "200", "200"),
    ({NONE: NO}, "200", "200"),
    ({NONE: YES}, "304", "412 x-amz-copy-source-If-None-Match"),
    ({NONE: ETAG}, "304", "412 x-amz-copy-source-If-None-Match"),
    ({NONE: f"W/{YES}"}, "304", "412 x-amz-copy-source-If-None-Match"),
    ({NONE: f"{NO},{YES}"}, "304", "412 x-amz-copy-source-If-None-Match"),
    ({NONE: "*"}, "304", "412 x-amz-copy-source-If-None-Match"),
    ({NONE: NO, SINCE: AFTER}, "200", "200"),
    ({NONE: YES, SINCE: BEFORE}, "304", "412 x-amz-copy-source-If-None-Match"),
    ({SINCE: BEFORE}, "200", "200"),
    ({SINCE: SAME}, "304", "412 x-amz-copy-source-If-Modified-Since"),
    ({SINCE: AFTER}, "304", "412 x-amz-copy-source-If-Modified-Since"),
    ({SINCE: TO_COME}, "200", "200"),
    ({SINCE: "never"}, "200", "200"),
    ({MATCH: NO, NONE: YES}, "412 If-Match", "412 x-amz-copy-source-If-Match"),
    ({MATCH: YES, NONE: YES}, "304", "412 x-amz-copy-source-If-None-Match"),
    ({UNLESS: BEFORE, NONE: YES}, "412 If-Unmodified-Since", "412 x-amz-copy-source-If-Unmodified-Since"),
]


@pytest.mark.parametrize(("sent", "read", "copy"), READS)
def test_reads_and_copies(sent, read, copy):
    assert outcome(conditions.check_read, headers(**sent)) == read
    assert outcome(conditions.check_copy_source, headers("x-amz-copy-source-", **sent)) == copy
    assert outcome(conditions.check_copy_source, headers(**sent)) == "200"


@pytest.mark.parametrize("date", ["Monday, 06-May-24 07:08:09 GMT", "Mon May  6 07:08:09 2024"])
def test_old_forms_of_dates(date):
    assert outcome(conditions.check_read, headers(if_modified_since=date)) == "304"
    assert outcome(conditions.check_read, headers(if_unmodified_since=date)) == "200"


def test_not_modified_says_what_it_is_about():
    with pytest.raises(S3Error) as caught:
        conditions.check_read(headers(if_none_match="*"), ETAG, MODIFIED, MODIFIED)
    assert caught.value.headers == {"etag": YES, "last-modified": SAME}


@pytest.mark.parametrize(
    ("sent", "wanted"),
    [
        ({}, (None, False)),
        ({NONE: "*"}, (None, True)),
        ({MATCH: YES}, ((ETAG,), False)),
        ({MATCH: ETAG}, ((ETAG,), False)),
        ({MATCH: "*"}, (("*",), False)),
        ({MATCH: '"a", "b"'}, (("a", "b"), False)),
        ({NONE: YES}, "If-None-Match"),
        ({NONE: ""}, "If-None-Match"),
        ({NONE: "*", MATCH: YES}, "If-None-Match"),
        ({SINCE: SAME}, "If-Modified-Since"),
        ({UNLESS: SAME}, "If-Unmodified-Since"),
    ],
)
def test_write_conditions(sent, wanted):
    if isinstance(wanted, tuple):
        assert conditions.write_condition(headers(**sent)) == wanted
        return
    with pytest.raises(S3Error) as caught:
        conditions.write_condition(headers(**sent))
    assert (caught.value.code, caught.value.status, caught.value.extra["Header"]) == ("NotImplemented", 501, wanted)


def test_delete_conditions():
    assert conditions.delete_condition(headers()) is None
    assert conditions.delete_condition(headers(if_match=YES)) == ((ETAG,), False, None, None)
    size = {"x_amz_if_match_size": "12"}
    assert conditions.delete_condition(headers(**size)) == (None, False, 12, None)
    date = {"x_amz_if_match_last_modified_time": SAME}
    assert conditions.delete_condition(headers(**date)) == (None, False, None, MODIFIED.replace(microsecond=0))
    with pytest.raises(S3Error) as caught:
        conditions.delete_condition(headers(if_none_match="*"))
    assert caught.value.code == "NotImplemented"
    for wrong in ({"x_amz_if_match_size": "-1"}, {"x_amz_if_match_last_modified_time": "soon"}):
        with pytest.raises(S3Error) as caught:
            conditions.delete_condition(headers(**wrong))
        assert caught.value.code == "InvalidArgument"


def test_operations_without_conditions_refuse_them():
    conditions.refuse_conditions(headers())
    for name in (MATCH, NONE, SINCE, UNLESS):
        with pytest.raises(S3Error) as caught:
            conditions.refuse_conditions(headers(**{name: "*"}))
        assert caught.value.code == "NotImplemented"


@given(st.sampled_from([MATCH, NONE, SINCE, UNLESS]), st.binary(max_size=40))
def test_only_s3_errors_escape(name, value):
    sent = Headers([(name.encode(), value)])
    for check in (conditions.check_read, conditions.check_copy_source):
        outcome(check, sent)
    for parse in (conditions.write_condition, conditions.delete_condition):
        with contextlib.suppress(S3Error):
            parse(sent)
