"""Condition operators: a row for each of them, and the tables of AWS's user guide for sets and for absent keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from s3gate.iam.conditions import OPERATORS, compile_condition, split_operator

KEY = "aws:Thing"


def holds(operator: str, written: str | Sequence[str], sent: str | tuple[str, ...] | None) -> bool | None:
    found = split_operator(operator)
    assert found is not None, operator
    values = [written] if isinstance(written, str) else list(written)
    condition = compile_condition(found, KEY, values, variables=True)
    context: Mapping[str, tuple[str, ...]] = {}
    if sent is not None:
        context = {KEY.lower(): (sent,) if isinstance(sent, str) else sent}
    return condition.holds(context.get)


@pytest.mark.parametrize(
    ("operator", "written", "sent", "expected"),
    [
        ("StringEquals", "abc", "abc", True),
        ("StringEquals", "abc", "ABC", False),
        ("StringEquals", "a*", "abc", False),
        ("StringEquals", "a*", "a*", True),
        ("StringEquals", ["x", "abc"], "abc", True),
        ("StringNotEquals", "abc", "ABC", True),
        ("StringNotEquals", ["x", "abc"], "abc", False),
        ("StringNotEquals", ["x", "y"], "abc", True),
        ("StringEqualsIgnoreCase", "abc", "ABC", True),
        ("StringNotEqualsIgnoreCase", "abc", "ABC", False),
        ("StringLike", "a*c", "a/b/c", True),
        ("StringLike", "a?c", "abc", True),
        ("StringLike", "a?c", "ABC", False),
        ("StringNotLike", "a*", "abc", False),
        ("StringNotLike", "b*", "abc", True),
        ("NumericEquals", "10", "10.0", True),
        ("NumericEquals", "10", "ten", False),
        ("NumericNotEquals", "10", "11", True),
        ("NumericNotEquals", "10", "ten", True),
        ("NumericLessThan", "10", "9", True),
        ("NumericLessThan", "10", "10", False),
        ("NumericLessThanEquals", "10", "10", True),
        ("NumericLessThanEquals", "10", "100", False),
        ("NumericGreaterThan", "10", "11", True),
        ("NumericGreaterThanEquals", "10", "10", True),
        ("NumericGreaterThanEquals", "-10", "-9.5", True),
        ("DateEquals", "2020-07-01T00:00:00Z", "2020-07-01T00:00:00Z", True),
        ("DateEquals", "1593561600", "2020-07-01T00:00:00Z", True),
        ("DateNotEquals", "2020-07-01", "2020-07-02T00:00:00Z", True),
        ("DateLessThan", "2020-07", "2020-06-30T23:59:59Z", True),
        ("DateLessThanEquals", "2020-07-01T02:00:00+02:00", "2020-07-01T00:00:00Z", True),
        ("DateGreaterThan", "2020", "2020-01-01T00:00:01Z", True),
        ("DateGreaterThanEquals", "2020-01-01T00:00:00Z", "2020-01-01T00:00:00Z", True),
        ("Bool", "true", "true", True),
        ("Bool", "True", "false", False),
        ("Bool", "false", "false", True),
        ("BinaryEquals", "QmluYXJ5VmFsdWVJbkJhc2U2NA==", "QmluYXJ5VmFsdWVJbkJhc2U2NA==", True),
        ("BinaryEquals", "QQ==", "Qg==", False),
        ("IpAddress", "203.0.113.0/24", "203.0.113.5", True),
        ("IpAddress", "203.0.113.0/24", "203.0.114.5", False),
        ("IpAddress", "203.0.113.5", "203.0.113.5", True),
        ("IpAddress", ["203.0.113.0/24", "2001:DB8:1234:5678::/64"], "2001:db8:1234:5678::1", True),
        ("IpAddress", "203.0.113.0/24", "::ffff:203.0.113.5", True),
        ("IpAddress", "203.0.113.0/24", "not an address", False),
        ("NotIpAddress", "203.0.113.0/24", "203.0.114.5", True),
        ("NotIpAddress", "203.0.113.0/24", "203.0.113.5", False),
        ("ArnEquals", "arn:aws:sns:*:1:x", "arn:aws:sns:eu:1:x", True),
        ("ArnLike", "arn:aws:iam::1:user/*", "arn:aws:iam::1:user/a/b", True),
        ("ArnLike", "arn:aws:*:1:user/b:c", "arn:aws:iam::1:user/b:c", False),
        ("ArnLike", "*", "arn:aws:iam::1:user/b", True),
        ("ArnNotEquals", "arn:aws:iam::1:user/b", "arn:aws:iam::1:user/c", True),
        ("ArnNotLike", "arn:aws:iam::1:user/*", "arn:aws:iam::1:user/c", False),
        ("Null", "true", None, True),
        ("Null", "true", "x", False),
        ("Null", "false", None, False),
        ("Null", "false", "x", True),
    ],
)
def test_operators(operator: str, written: str | list[str], sent: str | None, expected: bool) -> None:
    assert holds(operator, written, sent) is expected


@pytest.mark.parametrize("name", sorted(OPERATORS.keys() - {"Null"}))
def test_absent_keys(name: str) -> None:
    """Negated operators are met by what is not there, and so are IfExists and ForAllValues; ForAnyValue never is."""
    operator = OPERATORS[name]
    value = {"Num": "1", "Dat": "2020-01-01", "Boo": "true", "Bin": "QQ==", "Arn": "arn:a:b:c:d:e"}.get(
        name[:3], "1.2.3.4"
    )
    assert holds(name, value, None) is operator.negated
    assert holds(f"{name}IfExists", value, None) is True
    assert holds(f"ForAllValues:{name}", value, None) is True
    assert holds(f"ForAnyValue:{name}", value, None) is False
    assert holds(f"ForAnyValue:{name}IfExists", value, None) is True


RED, BLUE, GREEN = "red", "blue", "green"


@pytest.mark.parametrize(
    ("operator", "written", "sent", "expected"),
    [
        ("ForAllValues:StringEquals", [RED, BLUE], (RED,), True),
        ("ForAllValues:StringEquals", [RED, BLUE], (RED, BLUE), True),
        ("ForAllValues:StringEquals", [RED, BLUE], (RED, GREEN), False),
        ("ForAnyValue:StringEquals", [RED, BLUE], (RED, GREEN), True),
        ("ForAnyValue:StringEquals", [RED, BLUE], (GREEN,), False),
        ("ForAllValues:StringNotEquals", [RED], (BLUE, GREEN), True),
        ("ForAllValues:StringNotEquals", [RED], (RED, GREEN), False),
        ("ForAnyValue:StringNotEquals", [RED], (RED, GREEN), True),
        ("ForAnyValue:StringNotEquals", [RED], (RED,), False),
        ("ForAllValues:StringLike", ["b*"], (BLUE,), True),
        ("ForAnyValue:StringNotLike", ["b*"], (BLUE, RED), True),
    ],
)
def test_sets(operator: str, written: list[str], sent: tuple[str, ...], expected: bool) -> None:
    assert holds(operator, written, sent) is expected


def test_variables_in_values() -> None:
    found = split_operator("StringLike")
    assert found is not None
    condition = compile_condition(found, "s3:prefix", ["home/${aws:username}/*"], variables=True)
    assert condition.holds({"s3:prefix": ("home/bob/x",), "aws:username": ("bob",)}.get) is True
    assert condition.holds({"s3:prefix": ("home/bob/x",), "aws:username": ("eve",)}.get) is False
    assert condition.holds({"s3:prefix": ("home/bob/x",)}.get) is None


def test_a_known_value_decides_where_a_variable_is_unknown() -> None:
    found = split_operator("StringNotEquals")
    assert found is not None
    condition = compile_condition(found, "s3:prefix", ["a", "${aws:username}"], variables=True)
    assert condition.holds({"s3:prefix": ("a",)}.get) is False
    assert condition.holds({"s3:prefix": ("b",)}.get) is None


@pytest.mark.parametrize(
    "name",
    [
        "StringSame",
        "stringequals",
        "NullIfExists",
        "ForAnyValue:Null",
        "ForSomeValues:StringEquals",
        "",
        "IfExists",
        ":Bool",
    ],
)
def test_what_is_no_operator(name: str) -> None:
    assert split_operator(name) is None


@pytest.mark.parametrize(
    ("operator", "value"),
    [
        ("NumericEquals", "ten"),
        ("NumericEquals", "1e999999999"),
        ("DateEquals", "yesterday"),
        ("DateEquals", "2020-13-01"),
        ("Bool", "maybe"),
        ("BinaryEquals", "*"),
        ("IpAddress", "203.0.113.0/33"),
        ("IpAddress", "office"),
        ("ArnEquals", "bob"),
        ("Null", "perhaps"),
    ],
)
def test_values_that_are_not_of_their_kind(operator: str, value: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        holds(operator, value, "x")
