"""Condition operators: what each compares, how a value of a policy is read, and what an absent key means.

AWS's rules (IAM user guide, "Condition operators" and "Set operators"):

    no qualifier      positive: some value of the request matches some value of the policy; absent: false
                      negated:  no value of the request matches any of the policy's;        absent: true
    ...IfExists       absent: true
    ForAllValues:     every value of the request meets the condition; absent: true
    ForAnyValue:      at least one does;                               absent: false
    Null              "true": the key is absent; "false": it is there

This file does not know which keys there are.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from s3gate.iam.patterns import STAR, Template, Values, canonical_key, glob, template

Read = Callable[[str], Any]
Compare = Callable[[Any, Any], bool]
"""The request's value, as `Read` reads it, and the policy's."""

_NUMBER = re.compile(r"[+-]?[0-9]{1,30}(\.[0-9]{1,30})?").fullmatch
_EPOCH = re.compile(r"-?[0-9]{1,12}(\.[0-9]+)?").fullmatch
_DATE = re.compile(r"([0-9]{4})(-[0-9]{2}(-[0-9]{2}(T[0-9:.]+(Z|[+-][0-9]{2}:?[0-9]{2})?)?)?)?").fullmatch


@dataclass(frozen=True, slots=True)
class Operator:
    """One row of the table. `read` raises ValueError for what is not of its kind."""

    name: str
    read: Read
    compare: Compare
    negated: bool = False
    text: bool = False
    """Its values may hold variables."""
    wildcards: bool = False


@dataclass(frozen=True, slots=True)
class Condition:
    """One operator and key of a statement, with the policy's values."""

    operator: Operator
    qualifier: str
    if_exists: bool
    key: str
    fixed: tuple[Any, ...]
    """Read once, when the policy was."""
    templates: tuple[Template, ...]
    """Those that wait for the request."""

    def holds(self, values: Values) -> bool | None:
        """Whether it is met; None if it compares with a variable that this request has no value for."""
        sent = values(self.key)
        if self.operator is NULL:
            return (not sent) in self.fixed
        if not sent:
            return self._absent()
        wanted = self.fixed
        unknown = False
        for each in self.templates:
            filled = each.filled(values)
            if filled is None:
                unknown = True
            else:
                wanted = (*wanted, filled)
        met = self._compare(sent, wanted)
        return None if unknown and met == self.operator.negated else met

    def _absent(self) -> bool:
        if self.if_exists or self.qualifier == FOR_ALL:
            return True
        return self.qualifier != FOR_ANY and self.operator.negated

    def _compare(self, sent: Sequence[str], wanted: Sequence[Any]) -> bool:
        operator = self.operator
        if self.qualifier == FOR_ALL:
            return all(_matches(operator, each, wanted) != operator.negated for each in sent)
        if self.qualifier == FOR_ANY:
            return any(_matches(operator, each, wanted) != operator.negated for each in sent)
        return any(_matches(operator, each, wanted) for each in sent) != operator.negated


def _matches(operator: Operator, sent: str, wanted: Sequence[Any]) -> bool:
    """Whether the request's value is one of the policy's. What cannot be read matches nothing."""
    if operator.text:
        return any(operator.compare(sent, each) for each in wanted)
    try:
        value = operator.read(sent)
    except ValueError:
        return False
    return any(operator.compare(value, each) for each in wanted)


# --- reading values


def _read_number(text: str) -> Decimal:
    if _NUMBER(text.strip()) is None:
        raise ValueError(text)
    try:
        return Decimal(text.strip())
    except InvalidOperation as error:
        raise ValueError(text) from error


def read_date(text: str) -> datetime:
    """ISO 8601 in any of W3C's lengths, or seconds since 1970."""
    text = text.strip()
    if _EPOCH(text) and (len(text) != 4):
        try:
            return datetime.fromtimestamp(float(text), UTC)
        except (OverflowError, OSError) as error:
            raise ValueError(text) from error
    match = _DATE(text)
    if match is None:
        raise ValueError(text)
    full = text if match[3] else text + ("-01" if match[2] else "-01-01")
    moment = datetime.fromisoformat(full)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _read_bool(text: str) -> bool:
    lowered = text.strip().lower()
    if lowered not in ("true", "false"):
        raise ValueError(text)
    return lowered == "true"


def _read_binary(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(text) from error


@lru_cache(maxsize=1024)
def read_network(text: str) -> IPv4Network | IPv6Network:
    """An address or a range. IPv4 in IPv6's clothes is IPv4."""
    text = text.strip()
    if "/" not in text:
        address = ip_address(text)
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return ip_network(address)
    return ip_network(text, strict=False)


def _within(sent: IPv4Network | IPv6Network, range_: IPv4Network | IPv6Network) -> bool:
    return sent.version == range_.version and sent.subnet_of(range_)  # type: ignore[arg-type]


def _like(sent: str, pattern: str) -> bool:
    return glob(pattern)(sent)


def _arn_like(sent: str, pattern: str) -> bool:
    """Each of the six components by itself; a star does not reach over a colon but in the last."""
    mine, theirs = sent.split(":", 5), pattern.split(":", 5)
    return len(mine) == len(theirs) == 6 and all(map(_like, mine, theirs))


def _read_arn(text: str) -> str:
    if text.count(":") < 5 and text not in ("*", STAR):
        raise ValueError(text)
    return text if ":" in text else ":".join([text] * 6)


def _same(sent: Any, wanted: Any) -> bool:
    return bool(sent == wanted)


def _same_letters(sent: str, wanted: str) -> bool:
    return sent.casefold() == wanted.casefold()


def _operators() -> dict[str, Operator]:
    rows = [
        Operator("StringEquals", str, _same, text=True),
        Operator("StringEqualsIgnoreCase", str, _same_letters, text=True),
        Operator("StringLike", str, _like, text=True, wildcards=True),
        Operator("NumericEquals", _read_number, _same),
        Operator("NumericLessThan", _read_number, lambda sent, wanted: bool(sent < wanted)),
        Operator("NumericLessThanEquals", _read_number, lambda sent, wanted: bool(sent <= wanted)),
        Operator("NumericGreaterThan", _read_number, lambda sent, wanted: bool(sent > wanted)),
        Operator("NumericGreaterThanEquals", _read_number, lambda sent, wanted: bool(sent >= wanted)),
        Operator("DateEquals", read_date, _same),
        Operator("DateLessThan", read_date, lambda sent, wanted: bool(sent < wanted)),
        Operator("DateLessThanEquals", read_date, lambda sent, wanted: bool(sent <= wanted)),
        Operator("DateGreaterThan", read_date, lambda sent, wanted: bool(sent > wanted)),
        Operator("DateGreaterThanEquals", read_date, lambda sent, wanted: bool(sent >= wanted)),
        Operator("Bool", _read_bool, _same),
        Operator("BinaryEquals", _read_binary, _same),
        Operator("IpAddress", read_network, _within),
        Operator("ArnEquals", _read_arn, _arn_like, text=True, wildcards=True),
        Operator("ArnLike", _read_arn, _arn_like, text=True, wildcards=True),
        Operator("Null", _read_bool, _same),
    ]
    table = {row.name: row for row in rows}
    for name, opposite in {
        "StringNotEquals": "StringEquals",
        "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
        "StringNotLike": "StringLike",
        "NumericNotEquals": "NumericEquals",
        "DateNotEquals": "DateEquals",
        "NotIpAddress": "IpAddress",
        "ArnNotEquals": "ArnEquals",
        "ArnNotLike": "ArnLike",
    }.items():
        row = table[opposite]
        table[name] = Operator(name, row.read, row.compare, True, row.text, row.wildcards)
    return table


OPERATORS = _operators()
NULL = OPERATORS["Null"]
FOR_ALL, FOR_ANY = "ForAllValues", "ForAnyValue"
_IF_EXISTS = "IfExists"


def split_operator(written: str) -> tuple[str, Operator, bool] | None:
    """Qualifier, operator and whether it ends in IfExists; None if there is no such operator."""
    qualifier, colon, name = written.rpartition(":")
    if colon and qualifier not in (FOR_ALL, FOR_ANY):
        return None
    if_exists = name.endswith(_IF_EXISTS)
    operator = OPERATORS.get(name.removesuffix(_IF_EXISTS))
    if operator is None or (operator is NULL and (if_exists or colon)):
        return None
    return qualifier, operator, if_exists


def compile_condition(
    found: tuple[str, Operator, bool], key: str, written: Sequence[str], *, variables: bool
) -> Condition:
    """The condition, its values read. Raises ValueError with the value that is not of the operator's kind."""
    qualifier, operator, if_exists = found
    fixed: list[Any] = []
    templates: list[Template] = []
    for value in written:
        if operator.text:
            pattern = template(value, variables=variables, wildcards=operator.wildcards)
            if pattern.text is None:
                templates.append(pattern)
            else:
                fixed.append(operator.read(pattern.text))
        else:
            try:
                fixed.append(operator.read(value))
            except ValueError:
                raise ValueError(value) from None
    return Condition(operator, qualifier, if_exists, canonical_key(key), tuple(fixed), tuple(templates))
