"""Tags of a role's session: those that the request names, and those that the session behind it hands on."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final, NamedTuple

from s3gate.iam_api.errors import refusal
from s3gate.iam_api.parameters import Parameters
from s3gate.iam_api.query import Query
from s3gate.iam_api.tokens import Token, not_a_token

CLAIM: Final = "https://aws.amazon.com/tags"
"""Where the token of a provider has tags."""


class SessionTags(NamedTuple):
    """`named` must be allowed by sts:TagSession; what is inherited was."""

    named: Mapping[str, str]
    inherited: Mapping[str, str]
    transitive: tuple[str, ...]


def wanted_tags(query: Query) -> SessionTags:
    """Those of an AssumeRole: a tag that is handed on cannot be given another value."""
    behind = query.identities.session_of(query.identity)
    handed_on = () if behind is None else behind.transitive
    inherited = {} if behind is None else {name: behind.tags[name] for name in handed_on}
    named = query.parameters.tags()
    transitive = query.parameters.members("TransitiveTagKeys")
    for name in _folded(named) & _folded(inherited):
        raise refusal("ValidationError", f"The tag {name} is a transitive tag of the calling session.")
    return SessionTags(named, inherited, (*handed_on, *_among(transitive, named)))


def tags_of_token(token: Token) -> SessionTags:
    """Those that an identity provider has put into its token: of every key one value, alone or in a list."""
    claim = token.claims.get(CLAIM, {})
    try:
        found = {name: _only(value) for name, value in claim.get("principal_tags", {}).items()}
        transitive = [str(name) for name in claim.get("transitive_tag_keys", [])]
    except (AttributeError, TypeError, ValueError):
        raise not_a_token("The session tags of the token cannot be read.") from None
    members: dict[str, str] = {}
    for number, (name, value) in enumerate(found.items(), 1):
        members |= {f"Tags.member.{number}.Key": name, f"Tags.member.{number}.Value": value}
    named = Parameters(members).tags()
    return SessionTags(named, {}, _among(transitive, named))


def words_of_tags(tags: SessionTags) -> dict[str, str | tuple[str, ...]]:
    """The condition keys that speak of them."""
    each = {f"aws:RequestTag/{name}": value for name, value in tags.named.items()}
    return {**each, "aws:TagKeys": tuple(tags.named), "sts:TransitiveTagKeys": tags.transitive}


def _only(value: Any) -> str:
    one = value[0] if isinstance(value, list) and len(value) == 1 else value
    if not isinstance(one, str):
        raise ValueError(value)
    return one


def _among(transitive: Collection[str], named: Mapping[str, str]) -> tuple[str, ...]:
    """The keys as the tags have them; ValidationError for one that is not among the tags."""
    keys = {name.lower(): name for name in named}
    for name in transitive:
        if name.lower() not in keys:
            raise refusal("ValidationError", f"The transitive tag key {name} is not among the session's tags.")
    return tuple(dict.fromkeys(keys[name.lower()] for name in transitive))


def _folded(names: Collection[str]) -> set[str]:
    return {name.lower() for name in names}
