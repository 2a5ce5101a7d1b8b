"""Answers of AWS's query protocol (IAM and STS): values become elements, lists become `member`s.

It knows neither actions nor what the values mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from s3gate.s3.dates import iso_seconds
from s3gate.s3.xml_out import element, escape, writable

NAMESPACES = {
    "iam": "https://iam.amazonaws.com/doc/2010-05-08/",
    "sts": "https://sts.amazonaws.com/doc/2011-06-15/",
}


class Entries(dict[str, int]):
    """A map, which is written otherwise than a structure."""


def result(service: str, action: str, value: Mapping[str, Any] | None, request_id: str) -> bytes:
    """A success; None for an action that answers nothing."""
    inner = "" if value is None else f"<{action}Result>{_content(value)}</{action}Result>"
    meta = f"<ResponseMetadata>{element('RequestId', request_id)}</ResponseMetadata>"
    return f'<{action}Response xmlns="{NAMESPACES[service]}">{inner}{meta}</{action}Response>\n'.encode(
        "utf-8", "replace"
    )


def failure(service: str, fault: str, code: str, message: str, request_id: str) -> bytes:
    """A refusal. `fault` is Sender or Receiver."""
    error = element("Type", fault) + element("Code", code) + element("Message", writable(message))
    return (
        f'<ErrorResponse xmlns="{NAMESPACES[service]}"><Error>{error}</Error>'
        f"{element('RequestId', request_id)}</ErrorResponse>\n"
    ).encode("utf-8", "replace")


def _content(value: Any) -> str:
    if isinstance(value, Entries):
        return "".join(f"<entry>{element('key', name)}<value>{one}</value></entry>" for name, one in value.items())
    if isinstance(value, Mapping):
        return "".join(f"<{name}>{_content(one)}</{name}>" for name, one in value.items() if one is not None)
    if isinstance(value, list | tuple):
        return "".join(f"<member>{_content(one)}</member>" for one in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return iso_seconds(value)
    return escape(str(value))
