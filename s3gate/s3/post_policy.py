"""The policy document of a POST form: what its signer lets a browser upload, and whether a form keeps to it.

Parsed and judged here, with the moment as an argument. Whether the policy is the signer's is decided in
post_form.py; this file knows neither keys nor signatures.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NoReturn

from s3gate.s3.errors import S3Error

LENGTH_RANGE = "content-length-range"
UNCOVERED = frozenset(("awsaccesskeyid", "signature", "x-amz-signature", "policy", "file"))
"""The fields that no condition has to name."""
IGNORED_PREFIX = "x-ignore-"

_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_EXPIRATION = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d{1,9})?Z").fullmatch


@dataclass(frozen=True, slots=True)
class Match:
    """A field must equal the value or begin with it. `field` is in lower case; "" is no field's name."""

    operator: str
    field: str
    value: str
    shown: str
    """As AWS quotes it in a refusal."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What was read. The range of the file's length is None when no condition names one."""

    expires_at: datetime
    matches: tuple[Match, ...]
    length_range: tuple[int, int] | None = None

    def check(self, fields: Mapping[str, str], bucket: str, now: datetime) -> None:
        """AccessDenied unless the form keeps to it. `fields` are by name in lower case; the file comes later."""
        if now >= self.expires_at:
            raise _denied("Policy expired.")
        given = {**fields, "bucket": bucket}
        for match in self.matches:
            if not _holds(match, given.get(match.field)):
                raise _denied(f"Policy Condition failed: {match.shown}")
        covered = {match.field for match in self.matches} | UNCOVERED
        extra = [name for name in given if name not in covered and not name.startswith(IGNORED_PREFIX)]
        if extra:
            raise _denied(f"Extra input fields: {', '.join(extra)}")

    def check_length(self, size: int, *, complete: bool) -> None:
        """EntityTooLarge as soon as the file is; EntityTooSmall when it is complete."""
        if self.length_range is None:
            return
        least, most = self.length_range
        if size > most:
            message = "Your proposed upload exceeds the maximum allowed size"
            raise S3Error.of("EntityTooLarge", message, ProposedSize=str(size), MaxSizeAllowed=str(most))
        if complete and size < least:
            message = "Your proposed upload is smaller than the minimum allowed size"
            raise S3Error.of("EntityTooSmall", message, ProposedSize=str(size), MinSizeAllowed=str(least))


def parse(encoded: str) -> Policy:
    """The policy that a form's field holds in base64. Raises InvalidPolicyDocument."""
    try:
        text = b64decode(encoded, validate=True).decode()
    except ValueError:
        _invalid("Invalid Base64 encoding.")
    try:
        document = json.loads(_ESCAPE.sub(_json_escape, text))
    except (ValueError, RecursionError):
        _invalid("Invalid JSON.")
    if not isinstance(document, dict):
        _invalid("Invalid JSON.")
    for name in ("expiration", "conditions"):
        if name not in document:
            _invalid(f"Policy missing {name}.")
    for name in document:
        if name not in ("expiration", "conditions"):
            _invalid(f"Unexpected: '{name}'.")
    if not isinstance(document["conditions"], list):
        _invalid("Invalid 'conditions' value: must be a List.")
    matches: list[Match] = []
    ranges: list[tuple[int, int]] = []
    for condition in document["conditions"]:
        if isinstance(condition, list) and condition and str(condition[0]).lower() == LENGTH_RANGE:
            ranges.append(_range(condition))
        else:
            matches.append(_match(condition))
    # Every range must hold, so all of them are the range from the largest least to the smallest most.
    limits = (max(r[0] for r in ranges), min(r[1] for r in ranges)) if ranges else None
    return Policy(_moment(document["expiration"]), tuple(matches), limits)


def _json_escape(match: re.Match[str]) -> str:
    """Policies have two escapes that JSON does not know: a dollar and a vertical tab."""
    return {"$": "$", "v": "\\u000b"}.get(match[1], match[0])


def _moment(value: object) -> datetime:
    match = _EXPIRATION(value) if isinstance(value, str) else None
    try:
        if match is not None:
            return datetime.fromisoformat(match[1]).replace(tzinfo=UTC)
    except ValueError:
        pass
    _invalid(f"Invalid 'expiration' value: '{value}'")


def _match(condition: object) -> Match:
    """`{"field": "value"}` or `["operator", "$field", "value"]`; no form keeps to a list of another kind."""
    if isinstance(condition, dict):
        if len(condition) != 1:
            _invalid("Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.")
        ((name, value),) = condition.items()
        if not isinstance(value, str):
            _invalid("Invalid Simple-Condition: Value Must Be A String")
        return Match("eq", name.lower(), value, _shown(["eq", f"${name}", value]))
    if not isinstance(condition, list):
        _invalid("Invalid Condition: must be a List or an Object.")
    if len(condition) == 3 and all(isinstance(word, str) for word in condition):
        operator, name, value = condition
        if operator.lower() in ("eq", "starts-with") and name.startswith("$"):
            return Match(operator.lower(), name[1:].lower(), value, _shown(condition))
    return Match("eq", "", "", _shown(condition))


def _shown(condition: list[object]) -> str:
    return json.dumps(condition, ensure_ascii=False)


def _range(condition: list[object]) -> tuple[int, int]:
    numbers = [_number(value) for value in condition[1:]]
    if len(numbers) != 2 or not 0 <= numbers[0] <= numbers[1]:
        _invalid(f"Invalid {LENGTH_RANGE}: it takes two numbers, the smaller one first.")
    return numbers[0], numbers[1]


def _number(value: object) -> int:
    """As a number or as text of one; -1 for what is neither."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return int(value) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}", value) else -1


def _holds(match: Match, given: str | None) -> bool:
    if given is None:
        return False
    if match.operator == "eq":
        return given == match.value
    if match.field == "content-type":  # a list of types: each of them has to begin so
        return all(each.strip().startswith(match.value) for each in given.split(","))
    return given.startswith(match.value)


def _denied(detail: str) -> S3Error:
    return S3Error.of("AccessDenied", f"Invalid according to Policy: {detail}")


def _invalid(detail: str) -> NoReturn:
    raise S3Error.of("InvalidPolicyDocument", f"Invalid Policy: {detail}")
