"""Who an access key stands for, with everything that decides on a request of theirs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from s3gate.iam.decide import Bearer
from s3gate.iam.principal import Principal
from s3gate.iam.statement import Policy, as_one
from s3gate.s3.credentials import Credential

NO_KEY: Final = Credential("", "")
"""Of those who ask without one."""


@dataclass(frozen=True, slots=True)
class Identity:
    """As it was when the identities had this number: whoever sees another number asks again."""

    principal: Principal
    credential: Credential = field(repr=False)
    number: int
    policies: tuple[Policy, ...] = ()
    boundary: Policy | None = None
    session: Policy | None = None
    """What a session is limited to, beside all this."""
    expires: int = 0
    """When temporary credentials end, in seconds since 1970; 0 for lasting ones."""
    issued: int = 0
    """When they were issued."""
    source_key: str = ""
    """The lasting key that stands behind them: its own for lasting ones, none for a role's session."""
    bearer: Bearer = field(init=False, repr=False, compare=False)
    """As decisions take it: made once, and asked for every request."""

    def __post_init__(self) -> None:
        policies = (as_one(self.policies),) if self.policies else ()
        object.__setattr__(self, "bearer", Bearer(self.principal, policies, self.boundary, self.session))
