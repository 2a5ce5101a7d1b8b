"""A policy as it is asked: statements that were compiled once, and who, what and where each of them speaks of.

Nothing here changes after it was made, but for what a policy remembers of its own statements by action. How policies
are written and which of them are refused is policy.py's business; what their answers amount to is evaluate.py's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache

from s3gate.iam.conditions import Condition
from s3gate.iam.patterns import Glob, Template, Values, glob
from s3gate.iam.principal import ACCOUNT_ID, Principal, root_arn

_REMEMBERED_ACTIONS = 512


class Named(IntEnum):
    """How a policy that belongs to a resource names the one who asks, from not at all to exactly."""

    NOT = 0
    ACCOUNT = 1
    """Its account, which by itself only lets the account give the permission away."""
    ROLE = 2
    """The role of a session, or the user behind one: what limits the session limits this too."""
    EXACTLY = 3


@dataclass(frozen=True, slots=True)
class Principals:
    """Those whom Principal or NotPrincipal lists."""

    everybody: bool = False
    arns: frozenset[str] = frozenset()
    """Of users, roles and sessions, or their unique ids: see kept.py."""
    accounts: frozenset[str] = frozenset()
    canonical_ids: frozenset[str] = frozenset()
    others: frozenset[str] = frozenset()
    """Services and identity providers, as "Service:name" and "Federated:name"."""

    def names(self, who: Principal, federated: str = "") -> Named:
        """The closest way in which these name the one who asks."""
        if self._exactly(who, federated):
            return Named.EXACTLY
        if self.everybody:
            return Named.ROLE if who.is_limited else Named.EXACTLY
        if who.is_anonymous:
            return Named.NOT
        if self._role(who):
            return Named.ROLE
        if who.account_id in self.accounts or who.canonical_id in self.canonical_ids:
            return Named.EXACTLY if who.is_root else Named.ACCOUNT
        return Named.NOT

    def spares(self, who: Principal) -> bool:
        """Whether NotPrincipal leaves this one alone: listed in person, or as a session's role. The account's entry
        is its root and nobody else."""
        if self.everybody or self._exactly(who, "") or self._role(who):
            return True
        return who.is_root and (who.account_id in self.accounts or who.canonical_id in self.canonical_ids)

    def _exactly(self, who: Principal, federated: str) -> bool:
        if who.arn in self.arns or who.user_id in self.arns:
            return True
        return federated != "" and f"Federated:{federated}" in self.others

    def _role(self, who: Principal) -> bool:
        return who.role_arn in self.arns or who.role_id in self.arns


@dataclass(frozen=True, slots=True)
class Names:
    """Patterns for what is asked for: of actions (in lower case) or of resources."""

    exact: frozenset[str]
    globs: tuple[Glob, ...]
    templates: tuple[Template, ...] = ()

    def match(self, text: str, values: Values) -> bool | None:
        """Whether one of them matches; None if that depends on a variable without a value."""
        if text in self.exact:
            return True
        for each in self.globs:
            if each(text):
                return True
        if not self.templates:
            return False
        unknown = False
        for template in self.templates:
            filled = template.filled(values)
            if filled is None:
                unknown = True
            elif glob(filled)(text):
                return True
        return None if unknown else False


def _nothing(_: str) -> tuple[str, ...] | None:
    return None


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement. `names_actions` and its like say Action from NotAction."""

    sid: str
    allows: bool
    actions: Names
    names_actions: bool
    resources: Names | None
    """None in a trust policy, which is about the role it belongs to."""
    names_resources: bool
    principals: Principals | None
    """None in a policy that belongs to an identity."""
    names_principals: bool
    conditions: tuple[Condition, ...]

    def speaks_of(self, action: str) -> bool:
        """Whether it is about this action (in lower case) at all."""
        return bool(self.actions.match(action, _nothing)) == self.names_actions

    def names(self, who: Principal, federated: str = "") -> Named:
        """How it names the one who asks."""
        if self.principals is None:
            return Named.EXACTLY
        if self.names_principals:
            return self.principals.names(who, federated)
        return Named.NOT if self.principals.spares(who) else Named.EXACTLY

    def applies(self, resource: str, values: Values) -> bool:
        """Whether resource and conditions fit. What depends on a variable without a value allows nothing."""
        unknown = False
        if self.resources is not None:
            match = self.resources.match(resource, values)
            unknown = match is None
            if bool(match) != self.names_resources:
                return False
        for condition in self.conditions:
            met = condition.holds(values)
            if met is None:
                unknown = True
                met = condition.operator.negated
            if not met:
                return False
        return not (unknown and self.allows)


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """Statements in order."""

    statements: tuple[Statement, ...]
    keys: frozenset[str]
    """The condition keys and variables it asks for, in canonical form, those of tags without the tag's key."""
    _by_action: dict[str, tuple[tuple[Statement, ...], tuple[Statement, ...]]] = field(default_factory=dict, repr=False)

    def about(self, action: str) -> tuple[tuple[Statement, ...], tuple[Statement, ...]]:
        """Those that deny and those that allow something of this action."""
        found = self._by_action.get(action)
        if found is None:
            lowered = action.lower()
            speaking = [each for each in self.statements if each.speaks_of(lowered)]
            found = tuple(each for each in speaking if not each.allows), tuple(each for each in speaking if each.allows)
            if len(self._by_action) < _REMEMBERED_ACTIONS:
                self._by_action[action] = found
        return found

    def needs_object_tags(self, action: str) -> bool:
        """Whether what it says of this action may depend on the tags that the object has."""
        return self.asks_for("s3:existingobjecttag", action)

    def asks_for(self, key: str, action: str) -> bool:
        """Whether some statement about the action asks for this key (of tags: for any of its kind)."""
        if key not in self.keys:
            return False
        return any(key in keys_of(each) for part in self.about(action) for each in part)


@lru_cache(maxsize=1024)
def as_one(policies: tuple[Policy, ...]) -> Policy:
    """Policies that are asked together: what any of them denies is denied, what any of them allows is allowed."""
    statements = tuple(each for policy in policies for each in policy.statements)
    return Policy(statements, frozenset().union(*(policy.keys for policy in policies)))


def keys_of(statement: Statement) -> frozenset[str]:
    """What a statement asks of the request: keys of its conditions, and variables."""
    found = {_stem(condition.key) for condition in statement.conditions}
    templates = [each for condition in statement.conditions for each in condition.templates]
    if statement.resources is not None:
        templates += statement.resources.templates
    for each in templates:
        found.update(_stem(part.key) for part in each.parts if not isinstance(part, str))
    return frozenset(found)


def _stem(key: str) -> str:
    return key.partition("/")[0]


def account_of(arn_or_id: str) -> str:
    """The account that a principal is written as, by its root or its bare id; "" if it is written otherwise."""
    parts = arn_or_id.split(":")
    account = parts[4] if len(parts) == 6 and arn_or_id == root_arn(parts[4]) else arn_or_id
    return account if ACCOUNT_ID(account) else ""
