"""Documents with a schema: a table of elements reads them strictly and writes them in S3's own order.

What a table does not name, what occurs too often or is missing, and a leaf that is not of its kind are MalformedXML.
This file knows no document; those whose meaning goes beyond a schema judge the tree that comes out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from lxml import etree

from s3gate.s3.xml_in import boolean, local_name, malformed, parse_root
from s3gate.s3.xml_out import document, escape, timestamp

MANY = 1 << 30

_NUMBER = re.compile(r"[+-]?[0-9]{1,18}").fullmatch
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T.*)?").fullmatch


@dataclass(slots=True)
class Node:
    """An element: its text in canonical form, or what is below it."""

    text: str = ""
    below: dict[str, list[Node]] = field(default_factory=dict)

    def all(self, name: str) -> list[Node]:
        """The children of this name, in order."""
        return self.below.get(name, [])

    def one(self, *path: str) -> Node | None:
        """The first element at the end of the path, if there is one."""
        node = self
        for name in path:
            found = node.below.get(name)
            if not found:
                return None
            node = found[0]
        return node

    def value(self, *path: str) -> str | None:
        """The text there."""
        node = self.one(*path)
        return None if node is None else node.text

    def number(self, *path: str) -> int | None:
        """The number there."""
        text = self.value(*path)
        return None if text is None else int(text)


@dataclass(frozen=True, slots=True)
class Shape:
    """One element, `least` to `most` times: a leaf that `read` makes canonical, or a group of `fields`."""

    name: str
    fields: tuple[Shape, ...] = ()
    read: Callable[[str], str] | None = None
    least: int = 1
    most: int = 1


def group(name: str, *fields: Shape, least: int = 1, most: int = 1) -> Shape:
    """An element with elements in it."""
    return Shape(name, fields, None, least, most)


def text(name: str, *, least: int = 1, most: int = 1, pattern: str = "") -> Shape:
    """Any text, or one that matches."""
    matches = re.compile(pattern, re.DOTALL).fullmatch if pattern else None

    def read(found: str) -> str:
        if matches is not None and matches(found) is None:
            raise malformed()
        return found

    return Shape(name, (), read, least, most)


def choice(name: str, *values: str, least: int = 1, most: int = 1) -> Shape:
    """One of these words."""

    def read(found: str) -> str:
        if found.strip() not in values:
            raise malformed()
        return found.strip()

    return Shape(name, (), read, least, most)


def number(name: str, *, least: int = 1) -> Shape:
    """A whole number; how large it may be, and whether it may be below zero, is for the document's own judge."""

    def read(found: str) -> str:
        if _NUMBER(found.strip()) is None:
            raise malformed()
        return str(int(found))

    return Shape(name, (), read, least)


def moment(name: str, *, least: int = 1) -> Shape:
    """A date with or without a time, in UTC unless it says otherwise."""

    def read(found: str) -> str:
        try:
            if _DATE(found.strip()) is None:
                raise ValueError
            when = datetime.fromisoformat(found.strip())
            return timestamp(when.replace(tzinfo=when.tzinfo or UTC).astimezone(UTC))
        except (ValueError, OverflowError):
            raise malformed() from None

    return Shape(name, (), read, least)


def flag(name: str, *, least: int = 1) -> Shape:
    """true or false."""
    return Shape(name, (), lambda found: str(boolean(found.strip())).lower(), least)


def read(data: bytes, shape: Shape) -> Node:
    """The document, or MalformedXML."""
    return _read(parse_root(data, shape.name), shape)


def write(node: Node, shape: Shape) -> bytes:
    """The document of a tree that `read` made (or that is like one), in the order of the table."""
    return document(shape.name, _fields(node, shape))


def _read(element: etree._Element, shape: Shape) -> Node:
    if shape.read is not None:
        if len(element):
            raise malformed()
        return Node(shape.read(element.text or ""))
    if (element.text or "").strip():
        raise malformed()
    by_name = {field.name: field for field in shape.fields}
    node = Node()
    for child in element:
        name = local_name(child)
        known = by_name.get(name)
        if known is None or (child.tail or "").strip():
            raise malformed()
        node.below.setdefault(name, []).append(_read(child, known))
    for known in shape.fields:
        if not known.least <= len(node.all(known.name)) <= known.most:
            raise malformed()
    return node


def _fields(node: Node, shape: Shape) -> Iterator[str]:
    if shape.read is not None:
        yield escape(node.text)
    for field_shape in shape.fields:
        for child in node.all(field_shape.name):
            yield f"<{field_shape.name}>{''.join(_fields(child, field_shape))}</{field_shape.name}>"
