"""One request to IAM or STS on its way through an action: who asks, what is asked, and what is to be changed.

An action reads tables, asks `allow` for every resource that it touches, and lists its changes. It may run several
times (catalog/identities.py), so that it does nothing else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypeVar

from s3gate.catalog.connection import Step
from s3gate.catalog.identities import IdentityTables
from s3gate.catalog.identity_rows import AccountRow, IdentityRow
from s3gate.iam.evaluate import Verdict
from s3gate.iam_api.authorise import Circumstances, Words, judge
from s3gate.iam_api.errors import invalid, refusal
from s3gate.iam_api.parameters import Parameters
from s3gate.identity.documents import tags_of
from s3gate.identity.identities import Identities
from s3gate.identity.identity import Identity
from s3gate.identity.naming import identity_arn

T = TypeVar("T")
Answer = Mapping[str, Any] | None
MOST_ITEMS: Final = 1000


@dataclass(slots=True)
class Query:
    """What an action is handed."""

    identities: Identities
    identity: Identity
    service: str
    action: str
    parameters: Parameters
    circumstances: Circumstances
    now: datetime
    steps: list[Step] = field(default_factory=list)
    was_asked: bool = False
    """Whether somebody has asked if this is allowed: an action that forgets to is refused."""

    @property
    def tables(self) -> IdentityTables:
        return self.identities.tables

    @property
    def account_id(self) -> str:
        """Whose identities these are: nobody touches those of another account."""
        return self.identity.principal.account_id

    async def account(self) -> AccountRow:
        """The row of that account."""
        return (await self.identities.accounts())[self.account_id]

    def arn(self, kind: str, name: str, path: str = "/") -> str:
        """Of something in the account."""
        return identity_arn(self.account_id, kind, path, name)

    def allow(self, resource: str, row: IdentityRow | None = None, **keys: str) -> None:
        """AccessDenied, unless the caller may do this to the resource, which is this row where there is one already.

        Keys are of the service: PolicyARN="...".
        """
        self.was_asked = True
        action = f"{self.service}:{self.action}"
        words = {**self._words_of_tags(row), **{f"{self.service}:{name}": value for name, value in keys.items()}}
        decision = judge(self.identity, action, resource, self.circumstances, words)
        if decision.allowed:
            return
        why = f"because no identity-based policy allows the {action} action"
        if decision.verdict is Verdict.DENY:
            own = decision.by == "identity policy"
            why = f"with an explicit deny in {'an identity-based policy' if own else 'what limits the identity'}"
        what = f"{action} on resource: {resource}"
        raise refusal("AccessDenied", f"User: {self.identity.principal.arn} is not authorized to perform: {what} {why}")

    def _words_of_tags(self, row: IdentityRow | None) -> Words:
        """The condition keys that speak of the tags that the resource has, and of those that the request names."""
        asked = self.parameters.tags()
        tag_keys = tuple(asked) or tuple(self.parameters.members("TagKeys"))
        there = {} if row is None else tags_of(row)
        return {
            **{f"aws:RequestTag/{name}": value for name, value in asked.items()},
            "aws:TagKeys": tag_keys,
            **{f"{service}:ResourceTag/{name}": value for service in ("aws", "iam") for name, value in there.items()},
        }

    def paging(self) -> tuple[str, int]:
        """After which item, and how many."""
        marker = self.parameters.find("Marker") or ""
        try:
            after = bytes.fromhex(marker).decode()
        except ValueError:
            raise invalid("Marker", marker, "Invalid Marker") from None
        return after, self.parameters.number("MaxItems", 100, 1, MOST_ITEMS)

    def page(self, items: Sequence[T], name_of: Callable[[T], str]) -> tuple[list[T], dict[str, Any]]:
        """One page of what comes in the order of its names, and the elements that say whether more follow."""
        after, limit = self.paging()
        rest = [item for item in items if name_of(item) > after]
        return rest[:limit], truncation(rest, limit, name_of)


def truncation(found: Sequence[T], limit: int, name_of: Callable[[T], str]) -> dict[str, Any]:
    """Of more items than fit on the page, or of all there are."""
    if len(found) <= limit:
        return {"IsTruncated": False}
    return {"IsTruncated": True, "Marker": name_of(found[limit - 1]).encode().hex()}


Action = Callable[[Query], Awaitable[Answer]]
