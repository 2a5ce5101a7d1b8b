"""Patterns of policies: `*`, `?`, and variables such as `${aws:username}` that the request fills in.

A pattern is matched piece by piece between its stars, leftmost first: time grows with pattern times text and never
worse, whoever wrote either. What a variable brings in is text, never a wildcard. This file knows no keys by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

Values = Callable[[str], "tuple[str, ...] | None"]
"""Context key, in canonical form -> its values in this request, or None if it has none."""

_TOKEN = re.compile(r"\$\{([^}]*)\}|([*?])")
_VARIABLE = re.compile(r"\s*([^,\s]+)\s*(?:,\s*'([^']*)'\s*)?").fullmatch
_LITERALS = {"*": "*", "?": "?", "$": "$"}
STAR, _ANY_ONE = "\ue000", "\ue001"
"""Wildcards while a pattern is worked on: private characters, so that text never is one by accident."""
_WILD = str.maketrans({"*": STAR, "?": _ANY_ONE})
_PRIVATE = {ord(STAR): "\ufffd", ord(_ANY_ONE): "\ufffd"}


def canonical_key(name: str) -> str:
    """Context keys are the same in any case; what follows a slash, the key of a tag, is not."""
    name, slash, tag = name.partition("/")
    return name.lower() + slash + tag


@dataclass(frozen=True, slots=True)
class Variable:
    """`${key}` or `${key, 'default'}`."""

    key: str
    default: str | None


@dataclass(frozen=True, slots=True)
class Template:
    """Text with wildcards, and variables between."""

    parts: tuple[str | Variable, ...]
    text: str | None
    """All of it, its wildcards marked, where there are no variables."""

    def filled(self, values: Values) -> str | None:
        """The text, its wildcards marked; None if a variable has no value (or several) and no default."""
        if self.text is not None:
            return self.text
        found = []
        for part in self.parts:
            if isinstance(part, str):
                found.append(part)
                continue
            value = values(part.key)
            text = value[0] if value is not None and len(value) == 1 else part.default
            if text is None:
                return None
            found.append(text.translate(_PRIVATE))
        return "".join(found)


def template(text: str, *, variables: bool, wildcards: bool = True) -> Template:
    """The pattern as it stands in a policy. Raises ValueError for a variable that cannot be read."""
    text = text.translate(_PRIVATE)
    if not variables or "${" not in text:
        return _template([text.translate(_WILD) if wildcards else text])
    parts: list[str | Variable] = []
    place = 0
    for match in _TOKEN.finditer(text):
        parts.append(text[place : match.start()])
        place = match.end()
        inner, wild = match.groups()
        if wild is not None:
            parts.append(wild.translate(_WILD) if wildcards else wild)
        elif inner in _LITERALS:
            parts.append(_LITERALS[inner])
        else:
            parts.append(_read_variable(inner))
    parts.append(text[place:])
    return _template(parts)


def _read_variable(inner: str) -> Variable:
    match = _VARIABLE(inner)
    if match is None:
        raise ValueError(f"${{{inner}}}")
    return Variable(canonical_key(match[1]), match[2])


def _template(parts: list[str | Variable]) -> Template:
    texts = [part for part in parts if isinstance(part, str)]
    return Template(tuple(parts), "".join(texts) if len(texts) == len(parts) else None)


class Glob:
    """A pattern whose wildcards are marked, ready to be matched."""

    __slots__ = ("_begins", "_exact", "_finders", "_first", "_last", "_least")

    def __init__(self, marked: str) -> None:
        pieces = marked.split(STAR)
        self._exact = len(pieces) == 1
        self._first = _Piece(pieces[0])
        self._last = _Piece(pieces[-1])
        self._finders = tuple(_Piece(piece) for piece in pieces[1:-1] if piece)
        self._least = sum(map(len, pieces))
        self._begins = marked[:-1] if len(pieces) == 2 and not pieces[1] and _ANY_ONE not in marked else None
        """The commonest pattern: a beginning, and whatever follows."""

    def __call__(self, text: str) -> bool:
        """Whether the whole text matches."""
        if self._begins is not None:
            return text.startswith(self._begins)
        length, last = len(text), self._last
        if self._exact:
            return length == self._least and self._first.stands_at(text, 0)
        if length < self._least or not self._first.stands_at(text, 0):
            return False
        end = length - last.length
        if not last.stands_at(text, end):
            return False
        place = self._first.length
        for piece in self._finders:
            place = piece.end_in(text, place, end)
            if place < 0:
                return False
        return True


class _Piece:
    """What stands between two stars: text, or a pattern of a fixed length."""

    __slots__ = ("_search", "length", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.length = len(text)
        self._search: re.Pattern[str] | None = None
        if _ANY_ONE in text:
            expression = "".join("." if each == _ANY_ONE else re.escape(each) for each in text)
            self._search = re.compile(expression, re.DOTALL)

    def stands_at(self, text: str, place: int) -> bool:
        if self._search is None:
            return text.startswith(self.text, place)
        return self._search.match(text, place) is not None

    def end_in(self, text: str, start: int, stop: int) -> int:
        """Behind the leftmost occurrence, or -1."""
        if self._search is None:
            found = text.find(self.text, start, stop)
            return -1 if found < 0 else found + self.length
        match = self._search.search(text, start, stop)
        return -1 if match is None else match.end()


@lru_cache(maxsize=4096)
def glob(marked: str) -> Glob:
    """The matcher of a filled template."""
    return Glob(marked)


def has_wildcard(marked: str) -> bool:
    """Whether a filled template is more than one text."""
    return STAR in marked or _ANY_ONE in marked


def wild(text: str) -> Glob:
    """The matcher of a pattern that has no variables."""
    return glob(text.translate(_PRIVATE).translate(_WILD))
