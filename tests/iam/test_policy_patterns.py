"""Patterns: wildcards against a slow and obvious matcher, variables, and time that never explodes."""

from __future__ import annotations

import random
import re
import time

import pytest

from s3gate.iam.patterns import canonical_key, glob, template, wild

VALUES = {"aws:username": ("bob",), "aws:userid": ("AIDA1",), "s3:prefix": ("a*b",), "aws:tagkeys": ("a", "b")}


def obvious(pattern: str, text: str) -> bool:
    expression = "".join(".*" if each == "*" else "." if each == "?" else re.escape(each) for each in pattern)
    return re.fullmatch(expression, text, re.DOTALL) is not None


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("", "", True),
        ("*", "", True),
        ("*", "anything/at:all", True),
        ("?", "", False),
        ("a?c", "abc", True),
        ("a?c", "ac", False),
        ("a*", "a", True),
        ("*a", "ba", True),
        ("a*a", "a", False),
        ("*ab*ba*", "aba", False),
        ("*ab*ba*", "abba", True),
        ("arn:aws:s3:::bucket/*", "arn:aws:s3:::bucket/a/b", True),
        ("arn:aws:s3:::bucket/*", "arn:aws:s3:::bucket", False),
        ("arn:aws:s3:::bucket/a?/*.jpg", "arn:aws:s3:::bucket/a1/x/y.jpg", True),
        ("a.c", "abc", False),
        ("line*end", "line\nend", True),
    ],
)
def test_wildcards(pattern: str, text: str, matches: bool) -> None:
    assert wild(pattern)(text) is matches


def test_wildcards_as_the_obvious_matcher_has_them() -> None:
    dice = random.Random(5)
    for _ in range(5_000):
        pattern = "".join(dice.choices("ab*?", k=dice.randrange(8)))
        text = "".join(dice.choices("ab", k=dice.randrange(10)))
        assert wild(pattern)(text) == obvious(pattern, text), (pattern, text)


def test_many_stars_cost_little() -> None:
    began = time.process_time()
    assert not wild("*a" * 2000 + "*b")("a" * 1024)
    assert not wild("*?a" * 500 + "*b")("a" * 1024)
    assert time.process_time() - began < 0.5


def filled(text: str, **more: tuple[str, ...]) -> str | None:
    values = VALUES | more
    return template(text, variables=True).filled(values.get)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("home/${aws:username}/*", "home/bob/*"),
        ("${AWS:UserName}", "bob"),
        ("${aws:PrincipalTag/team, 'company-wide'}", "company-wide"),
        ("${aws:username, 'nobody'}", "bob"),
    ],
)
def test_variables(text: str, expected: str) -> None:
    found = filled(text)
    assert found is not None
    assert found == template(expected, variables=False).parts[0]


@pytest.mark.parametrize("text", ["${aws:principaltag/team}", "${aws:tagkeys}"])
def test_a_variable_without_one_value(text: str) -> None:
    assert filled(text) is None


def test_what_a_variable_brings_in_is_text() -> None:
    marked = filled("${s3:prefix}")
    assert marked is not None
    assert glob(marked)("a*b")
    assert not glob(marked)("axxb")


@pytest.mark.parametrize(("text", "matching", "other"), [("${*}", "*", "x"), ("${?}", "?", "x"), ("${$}x", "$x", "x")])
def test_literals(text: str, matching: str, other: str) -> None:
    marked = filled(text)
    assert marked is not None
    assert glob(marked)(matching)
    assert not glob(marked)(other)


def test_an_old_version_has_no_variables() -> None:
    found = template("${aws:username}", variables=False)
    assert found.filled(VALUES.get) == "${aws:username}"


@pytest.mark.parametrize("text", ["${}", "${a b}", "${a, b}", "${a, 'b}"])
def test_what_is_no_variable(text: str) -> None:
    with pytest.raises(ValueError, match=r"\$"):
        template(text, variables=True)


def test_keys_are_the_same_in_any_case() -> None:
    assert canonical_key("AWS:SourceIP") == "aws:sourceip"
    assert canonical_key("S3:ExistingObjectTag/Team") == "s3:existingobjecttag/Team"
