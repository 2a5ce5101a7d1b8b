"""The judge of versioned histories: it sees each kind of harm, and takes for granted only what is uncertain."""

from __future__ import annotations

import pytest

from tests.crash.explained import ENDS, MARKER, NULL, Key, Listed, Made, Removed, violations


def made(etag: str, at: float, version_id: str | None, ends: bool = False, locked: bool = False) -> Made:
    """Begun then; acknowledged one second later, if it was."""
    event = Made(etag, at, ends=ends, locked=locked)
    if version_id is not None:
        event.end, event.version_id = at + 1, version_id
    return event


A, B, C = made("a", 0, "A"), made("b", 10, "B"), made("c", 20, "C")
UNKNOWN = made("u", 15, None)
ROW_A, ROW_B, ROW_C, ROW_U = Listed("A", "a"), Listed("B", "b"), Listed("C", "c"), Listed("U", "u")


def judged(events: list[Made], rows: list[Listed], *removed: Removed, name: str = "k", suspended: bool = False) -> int:
    return len(violations(Key("bucket", name, suspended, events, list(removed)), rows))


@pytest.mark.parametrize(
    ("events", "rows", "wrong"),
    [
        ([A, B], [ROW_B, ROW_A], 0),
        ([A, B], [ROW_A, ROW_B], 1),
        ([A, B], [ROW_B], 1),
        ([A, B], [ROW_B, ROW_B, ROW_A], 1),
        ([A, B], [Listed("B", "x"), ROW_A], 1),
        ([A, B, UNKNOWN], [ROW_B, ROW_A], 0),
        ([A, B, UNKNOWN], [ROW_U, ROW_B, ROW_A], 0),
        ([A, B, UNKNOWN], [ROW_B, ROW_A, ROW_U], 1),
        ([A, B, UNKNOWN], [ROW_U, Listed("V", "u"), ROW_B, ROW_A], 1),
        ([A, B], [ROW_B, Listed("M", MARKER), ROW_A], 1),
    ],
)
def test_versions_with_ids(events: list[Made], rows: list[Listed], wrong: int) -> None:
    assert judged(events, rows) == wrong


def test_removals() -> None:
    assert judged([A, B], [ROW_B], Removed("A", 5, 6)) == 0
    assert judged([A, B], [ROW_B], Removed("A", 5)) == 0
    assert judged([A, B], [ROW_B, ROW_A], Removed("A", 5)) == 0
    assert judged([A, B], [ROW_B, ROW_A], Removed("A", 5, 6)) == 1
    assert judged([made("a", 0, "A", locked=True), B], [ROW_B], Removed("A", 5)) == 1


def test_the_null_version() -> None:
    first, second, cut = made("a", 0, NULL), made("b", 10, NULL), made("u", 5, None)
    null = [Listed(NULL, "a"), Listed(NULL, "b"), Listed(NULL, "u")]
    assert judged([first, second], [null[1]]) == 0
    assert judged([first, second], [null[0]]) == 1
    assert judged([first, second], null[:2]) == 1
    assert judged([first, second], []) == 1
    assert judged([first, second, cut], [null[2]]) == 0
    assert judged([first, second], [], Removed(NULL, 5, 6)) == 1
    assert judged([first, second], [], Removed(NULL, 5)) == 0
    assert judged([first, second], [], Removed(NULL, 15, 16)) == 0
    assert judged([first, second], [null[1]], Removed(NULL, 15, 16)) == 1
    assert judged([first, B], [null[0], ROW_B]) == 1


def test_what_rules_end() -> None:
    old = made("o", 0, "O", ends=True)
    newer = [ROW_C, ROW_B, ROW_A]
    after = [made("a", 5, "A"), B, C]
    assert judged([old, *after], newer, name=ENDS) == 0
    assert judged([old, *after], newer) == 1
    assert judged([old, *after[1:]], newer[:2], name=ENDS) == 1
    assert judged([made("o", 0, "O"), *after], newer, name=ENDS) == 1
    assert judged([made("o", 0, "O", ends=True, locked=True), *after], newer, name=ENDS) == 1
    assert judged([old], [Listed("M", MARKER), Listed("O", "o")], name=ENDS) == 0
    assert judged([made("o", 0, "O")], [Listed("M", MARKER), Listed("O", "o")], name=ENDS) == 1
    assert judged([made(MARKER, 0, "M")], [], name=ENDS) == 0
    assert judged([A, made(MARKER, 10, "M")], [ROW_A], name=ENDS) == 1
