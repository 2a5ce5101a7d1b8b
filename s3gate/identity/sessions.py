"""Temporary credentials: everything about them is in their sealed token, so that no row has to be kept for them.

What a token says of its bearer's origin is looked up again with every change of identities (identities.py): a session
whose user, key or role is gone has ended.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

from s3gate.crypto.errors import Tampered
from s3gate.identity.sealing import Sealer, from_text, to_text

MAX_TOKEN_CHARACTERS = 4 << 10
_CONTEXT = "session"


@dataclass(frozen=True, slots=True)
class Session:
    """One set of temporary credentials."""

    access_key: str
    secret_key: str
    expires: int
    issued: int
    account_id: str
    kind: str
    """user or role; empty: the account's root."""
    name: str = ""
    identity_id: str = ""
    source_key: str = ""
    """The lasting key of the user or root that it stands for; a role's session ends with the role."""
    session_name: str = ""
    policies: tuple[str, ...] = ()
    """What the session is limited to, beside what its bearer may do."""
    tags: dict[str, str] = field(default_factory=dict)
    transitive: tuple[str, ...] = ()
    """The keys of those tags that the sessions of further roles get, too."""
    source_identity: str = ""
    provider: str = ""
    """The ARN of the identity provider whose token it was made for."""
    claims: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """What the token said, by condition key in lower case."""
    federated_name: str = ""
    """Of a federated user; kind and name say who stands behind it."""

    def expires_at(self) -> datetime:
        """Its end."""
        return datetime.fromtimestamp(self.expires, UTC)

    def __repr__(self) -> str:
        """Without the secret."""
        return f"Session({self.access_key}, {self.kind} {self.name})"


def seal_session(sealer: Sealer, session: Session) -> str:
    """The session token."""
    said = zlib.compress(json.dumps(asdict(session), separators=(",", ":")).encode(), 9)
    return to_text(sealer.seal(said, _CONTEXT))


def open_session(sealer: Sealer, token: str) -> Session:
    """What a token says, or Tampered: it is none of ours. Whether it has expired is not asked here."""
    if len(token) > MAX_TOKEN_CHARACTERS:
        raise Tampered("not a token of ours")
    found = json.loads(zlib.decompress(sealer.open(from_text(token), _CONTEXT)))
    lists = {name: tuple(found[name]) for name in ("policies", "transitive")}
    claims = {name: tuple(values) for name, values in found.get("claims", {}).items()}
    return Session(**{**found, **lists, "claims": claims})
