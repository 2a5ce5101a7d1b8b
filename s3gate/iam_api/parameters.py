"""The parameters of AWS's query protocol: `Name`, `Names.member.1`, `Tags.member.1.Key`. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import count
from typing import Final
from urllib.parse import parse_qsl

from s3gate.iam_api.errors import invalid, refusal, shown_name

MOST_PARAMETERS: Final = 1000
MOST_FORM_BYTES: Final = 512 << 10
"""Of a body: the longest document that is ever sent is a trust policy, a token or a policy of 6,144 characters."""
MOST_DOCUMENT: Final = 131_072
"""Characters of a policy, white space included."""

NAME: Final = r"[\w+=,.@-]+"
_TAG: Final = r"[\p{L}\p{Z}\p{N}_.:/=+\-@]+"
_NAME_FITS = re.compile(NAME, re.ASCII).fullmatch
_PATH_FITS = re.compile(r"/|/[\x21-\x7e]+/").fullmatch
_NUMBER_FITS = re.compile(r"[+-]?[0-9]{1,9}").fullmatch
_TAG_FITS = re.compile(r"[\w\s.:/=+\-@]*").fullmatch
_MOST_TAGS: Final = 50
_RESERVED: Final = "aws:"


def parse_form(body: bytes) -> dict[str, str]:
    """The parameters of a form body or of a query. Raises S3Error."""
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MOST_PARAMETERS)
    except ValueError:  # also what is not UTF-8, and what is too many
        raise refusal("MalformedInput", "The parameters of the request cannot be read.") from None
    return dict(pairs)


class Parameters:
    """What a request says."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def find(self, name: str) -> str | None:
        """A value that may be left out."""
        return self._values.get(name)

    def text(self, name: str, most: int, least: int = 1, default: str | None = None) -> str:
        """A value of this length; it may be left out when there is a default."""
        value = self._values.get(name, default)
        if value is None:
            raise invalid(name, None, "Member must not be null")
        if len(value) > most:
            raise invalid(name, value, f"Member must have length less than or equal to {most}")
        if len(value) < least and value != default:
            raise invalid(name, value, f"Member must have length greater than or equal to {least}")
        if "\0" in value:
            raise invalid(name, value, "Member must be text")
        return value

    def arn(self, name: str, default: str | None = None) -> str:
        """What may be an ARN, by its length; it may be left out when there is a default."""
        return self.text(name, 2048, 20, default)

    def document(self, name: str) -> str:
        """A policy: how long it may be in the end is for its kind to say."""
        return self.text(name, MOST_DOCUMENT)

    def name(self, name: str, most: int = 64) -> str:
        """The name of an entity."""
        value = self.text(name, most)
        if not _NAME_FITS(value):
            raise refusal(
                "ValidationError",
                f"The specified value for {shown_name(name)} is invalid. It must contain only alphanumeric characters "
                "and/or the following: +=,.@_-",
            )
        return value

    def path(self, name: str = "Path") -> str:
        """Where an entity is, or below what entities are listed."""
        value = self.text(name, 512, default="/")
        fits = value.startswith("/") if name == "PathPrefix" else _PATH_FITS(value)
        if not fits or not value.isascii():
            raise refusal(
                "ValidationError",
                f"The specified value for {shown_name(name)} is invalid. It must begin and end with / and contain only "
                "alphanumeric characters and/or / characters.",
            )
        return value

    def number(self, name: str, default: int, least: int, most: int) -> int:
        """A whole number between these."""
        text = self._values.get(name)
        if text is None:
            return default
        if _NUMBER_FITS(text) is None:
            raise refusal("MalformedInput", f"{name} is not a number.")
        value = int(text)
        if value > most:
            raise invalid(name, text, f"Member must have value less than or equal to {most}")
        if value < least:
            raise invalid(name, text, f"Member must have value greater than or equal to {least}")
        return value

    def flag(self, name: str) -> bool:
        """A switch that is off unless it is said to be on."""
        return self._values.get(name, "false").lower() == "true"

    def choice(self, name: str, allowed: tuple[str, ...], default: str | None = None) -> str:
        """One of these words."""
        value = self._values.get(name, default)
        if value not in allowed:
            raise invalid(name, value, f"Member must satisfy enum value set: [{', '.join(allowed)}]")
        return value

    def members(self, name: str) -> list[str]:
        """A list of values, by their numbers."""
        found: list[str] = []
        while (value := self._values.get(f"{name}.member.{len(found) + 1}")) is not None:
            found.append(value)
        return found

    def tags(self) -> dict[str, str]:
        """The list of tags, by their keys."""
        found: dict[str, str] = {}
        for number in count(1):
            prefix = f"Tags.member.{number}."
            if f"{prefix}Key" not in self._values:
                break
            if number > _MOST_TAGS:
                raise invalid("Tags", None, f"Member must have length less than or equal to {_MOST_TAGS}")
            key = self.text(f"{prefix}Key", 128)
            value = self.text(f"{prefix}Value", 256, 0)
            if not _TAG_FITS(key) or not _TAG_FITS(value):
                wrong = key if not _TAG_FITS(key) else value
                raise invalid(f"{prefix}Key", wrong, f"Member must satisfy regular expression pattern: {_TAG}")
            if key.lower().startswith(_RESERVED):
                raise refusal("InvalidInput", f"Tag keys may not begin with {_RESERVED}: it is reserved for AWS.")
            if key.lower() in (one.lower() for one in found):
                raise refusal(
                    "InvalidInput", "Duplicate tag keys found. Please note that Tag keys are case insensitive."
                )
            found[key] = value
        return found


def check_tags(tags: dict[str, str]) -> dict[str, str]:
    """As many as an entity may have."""
    if len(tags) > _MOST_TAGS:
        raise refusal("LimitExceeded", f"Cannot exceed quota for TagsPerEntity: {_MOST_TAGS}")
    return tags
