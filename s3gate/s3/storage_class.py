"""Storage classes as labels: there is one place where bytes lie, whatever the class is called.

An object's label is kept among its headers, and STANDARD is no label. Which labels are accepted is a setting, and
`unbuilt` judges it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from s3gate.s3.headers import STORAGE_CLASS, pairs

STANDARD = "STANDARD"
_COLDER_AND_COLDER = (
    STANDARD,
    "STANDARD_IA",
    "INTELLIGENT_TIERING",
    "ONEZONE_IA",
    "GLACIER_IR",
    "GLACIER",
    "DEEP_ARCHIVE",
)
NO_LABELS: Mapping[Any, str] = MappingProxyType({})
_MARK = STORAGE_CLASS + b"\0"


def may_become(label: str, other: str) -> bool:
    """Rules move objects only to colder classes. What S3 does not know, nobody has ordered."""
    if label in _COLDER_AND_COLDER and other in _COLDER_AND_COLDER:
        return _COLDER_AND_COLDER.index(label) < _COLDER_AND_COLDER.index(other)
    return label != other


def relabelled(stored: bytes, label: str) -> bytes:
    """The same headers with another class."""
    kept = [pair for pair in pairs(stored) if pair[0] != STORAGE_CLASS]
    own = [] if label == STANDARD else [(STORAGE_CLASS, label.encode())]
    return b"\0".join([text for pair in kept + own for text in pair])


def label_of(stored: bytes) -> str:
    """The class of what has these stored headers."""
    if _MARK not in stored:
        return STANDARD
    return next((value.decode("latin-1") for name, value in pairs(stored) if name == STORAGE_CLASS), STANDARD)
