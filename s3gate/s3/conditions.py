"""If-Match and its kin: what a read, a copy or a write is conditional on.

Reads are judged here, against the ETag and the date of what was found. Conditions of a write are only parsed:
they hold or not inside the transaction that commits (law 4), which this file does not know.
"""

from __future__ import annotations

import re
from datetime import datetime

from s3gate.s3.dates import http_date, parse_http_date
from s3gate.s3.errors import S3Error, invalid_argument, not_implemented
from s3gate.s3.request import Headers

WriteCondition = tuple[tuple[str, ...] | None, bool]
"""(ETags of which the current object must have one, whether no object may exist)."""
DeleteCondition = tuple[tuple[str, ...] | None, bool, int | None, datetime | None]
"""The same, and the size and the date that the object must have."""

IF_SIZE = "x-amz-if-match-size"
IF_MODIFIED = "x-amz-if-match-last-modified-time"

UNCONDITIONAL: WriteCondition = (None, False)

_ETAG = re.compile(r'[ \t,]*(?:(W/)?"([^"]*)"|([^\s,"]+))').match
_COPY = "x-amz-copy-source-"
_READ_NAMES = (b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since")
_DATED = ("if-modified-since", "if-unmodified-since")


def check_read(headers: Headers, etag: str, modified_at: datetime, now: datetime) -> None:
    """PreconditionFailed or NotModified, unless GET or HEAD may go on. `etag` is without quotes.

    A date that is yet to come is no condition (S3 ignores it), nor is one that cannot be read (RFC 9110).
    """
    for name in _READ_NAMES:
        if headers.get_bytes(name) is not None:
            break
    else:
        return
    failed = _failed_for_good(headers, "", etag, modified_at)
    if failed:
        raise _precondition_failed(failed)
    if _seen_already(headers, "", etag, modified_at, now):
        raise S3Error.of("NotModified").with_headers(etag=f'"{etag}"', last_modified=http_date(modified_at).decode())


def range_counts(headers: Headers, etag: str, modified_at: datetime) -> bool:
    """Whether a Range is meant for the object as it is now: If-Range names the one that the client has the rest of."""
    named = headers.get("if-range")
    if named is None:
        return True
    moment = parse_http_date(named)
    return named.strip('"') == etag if moment is None else moment == _whole(modified_at)


def check_copy_source(headers: Headers, etag: str, modified_at: datetime, now: datetime) -> None:
    """The same for the source of a copy, where whatever fails is a PreconditionFailed."""
    failed = _failed_for_good(headers, _COPY, etag, modified_at)
    failed = failed or _seen_already(headers, _COPY, etag, modified_at, now)
    if failed:
        raise _precondition_failed(failed)


def write_condition(headers: Headers) -> WriteCondition:
    """The condition of a PUT, a Complete or a copy's destination. What S3 does not offer is refused."""
    if_match = headers.get("if-match")
    if_none_match = headers.get("if-none-match")
    _refuse(headers, *_DATED)
    if if_none_match is None:
        return UNCONDITIONAL if if_match is None else (parse_etags(if_match), False)
    if if_match is not None or if_none_match != "*":
        raise not_implemented("If-None-Match")
    return None, True


def delete_condition(headers: Headers) -> DeleteCondition | None:
    """The conditions of a DELETE, or None: If-Match, the size, the date. No other header may ask for one."""
    _refuse(headers, "if-none-match", *_DATED)
    if_match, size, modified = headers.get("if-match"), headers.get(IF_SIZE), headers.get(IF_MODIFIED)
    if if_match is None and size is None and modified is None:
        return None
    if size is not None and not (size.isascii() and size.isdecimal() and len(size) <= 18):
        raise invalid_argument(IF_SIZE, size, f"Value for {IF_SIZE} header is invalid.")
    moment = None if modified is None else parse_http_date(modified)
    if modified is not None and moment is None:
        raise invalid_argument(IF_MODIFIED, modified, f"Value for {IF_MODIFIED} header is invalid.")
    etags = None if if_match is None else parse_etags(if_match)
    return etags, False, None if size is None else int(size), moment


def refuse_conditions(headers: Headers) -> None:
    """For operations that have no conditions (UploadPart …): asking for one is refused, never ignored."""
    _refuse(headers, "if-match", "if-none-match", *_DATED)


def parse_etags(text: str) -> tuple[str, ...]:
    """The ETags of a list, with or without quotes; a weak one keeps its W/ and so equals none of ours."""
    found = []
    position = 0
    while (match := _ETAG(text, position)) is not None:
        weak, quoted, bare = match.groups()
        found.append((weak or "") + quoted if bare is None else bare)
        position = match.end()
    return tuple(found)


def _failed_for_good(headers: Headers, prefix: str, etag: str, modified_at: datetime) -> str:
    """The name of the condition by which the object must not be the one it is. If-Match outranks the date."""
    if_match = headers.get(prefix + "if-match")
    if if_match is not None:
        etags = parse_etags(if_match)
        return "" if etag in etags or "*" in etags else prefix + "If-Match"
    since = parse_http_date(headers.get(prefix + "if-unmodified-since"))
    return prefix + "If-Unmodified-Since" if since is not None and _whole(modified_at) > since else ""


def _seen_already(headers: Headers, prefix: str, etag: str, modified_at: datetime, now: datetime) -> str:
    """The name of the condition by which the client has this object. If-None-Match outranks the date."""
    if_none_match = headers.get(prefix + "if-none-match")
    if if_none_match is not None:
        etags = [each.removeprefix("W/") for each in parse_etags(if_none_match)]
        return prefix + "If-None-Match" if etag in etags or "*" in etags else ""
    since = parse_http_date(headers.get(prefix + "if-modified-since"))
    modified = _whole(modified_at)
    seen = since is not None and modified <= since <= max(now, modified)  # the clock that dated it may be ahead of ours
    return prefix + "If-Modified-Since" if seen else ""


def _whole(moment: datetime) -> datetime:
    """HTTP dates have no fraction: a client that sends Last-Modified back must find it equal."""
    return moment.replace(microsecond=0)


def _refuse(headers: Headers, *names: str) -> None:
    for name in names:
        if name in headers:
            raise not_implemented("-".join(word.capitalize() for word in name.split("-")))


def _precondition_failed(condition: str) -> S3Error:
    return S3Error.of("PreconditionFailed", Condition=condition)
