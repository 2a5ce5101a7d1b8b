"""Which policies a user or a role bears: its own, those of its groups, the attached ones, and its boundary.

Compiled once and kept by their bytes: a change of identities reads documents again, and compiles only new ones.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import NamedTuple

from s3gate.catalog.identities import IdentityTables
from s3gate.catalog.identity_rows import ATTACHED, BOUNDARY, GROUP, MEMBER_OF, POLICY, fold
from s3gate.iam.policy import Kind, parse
from s3gate.iam.statement import Policy
from s3gate.identity.managed import BY_ARN, BY_NAME

_ANY_LENGTH = 1 << 20
"""How long a document may be was asked when it was given."""


class Borne(NamedTuple):
    """What limits and allows an identity."""

    policies: tuple[Policy, ...] = ()
    boundary: Policy | None = None


def compiled(document: bytes, kind: Kind = "identity") -> Policy:
    """A document that was checked when it was given."""
    return parse(document, kind, limit=_ANY_LENGTH, kept=True)


async def borne_by(tables: IdentityTables, account_id: str, kind: str, folded: str) -> Borne:
    """What a user or role of an account has; groups have their part in it."""
    own = (kind, folded)
    links = await tables.links(account_id, [own])
    groups = [(GROUP, row.target) for row in links if row.link == MEMBER_OF]
    links += await tables.links(account_id, groups)
    attached = [row.target for row in links if row.link == ATTACHED]
    boundary = [row.target for row in links if row.link == BOUNDARY]
    of_account = [(POLICY, policy_name(arn)) for arn in {*attached, *boundary} - BY_ARN.keys()]
    rows = await tables.policies(account_id, [own, *groups, *of_account])
    inline = [row.document for row in rows if row.kind != POLICY]
    managed = {row.owner: row.document for row in rows if row.kind == POLICY and row.in_force}
    documents = [*inline, *_documents(attached, managed)]
    limit = _documents(boundary, managed)
    # A boundary that cannot be found allows nothing: it is there, or the identity would not have it.
    return Borne(tuple(map(compiled, documents)), compiled(limit[0] if limit else _NOTHING) if boundary else None)


def _documents(arns: Iterable[str], managed: dict[str, bytes]) -> list[bytes]:
    found = []
    for arn in arns:
        document = BY_ARN[arn].document if arn in BY_ARN else managed.get(policy_name(arn))
        if document is not None:
            found.append(document)
    return found


ALL_OF_ROOT = Borne((compiled(BY_NAME["administratoraccess"].document),))
"""What a federated user can be given by the root, who needs no policy itself."""
NOTHING_ALLOWED = compiled(b'{"Statement": {"Effect": "Allow", "NotAction": "*", "Resource": "*"}}')
"""Limits to nothing and yet denies nothing: what a resource's policy gives in person is given."""
_NOTHING = json.dumps(
    {"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "*", "Resource": "*"}}
).encode()


def policy_name(arn: str) -> str:
    """How the rows of a managed policy name it, by its ARN."""
    return fold(arn.rpartition("/")[2])


def joined(documents: Iterable[str]) -> bytes:
    """Several policies of a session as one: what one of them allows is allowed, what one denies is denied."""
    statements: list[object] = []
    for document in documents:
        found = json.loads(document)["Statement"]
        statements += found if isinstance(found, list) else [found]
    for statement in statements:
        assert isinstance(statement, dict)
        statement.pop("Sid", None)  # which are unique within one document only
    return json.dumps({"Version": "2012-10-17", "Statement": statements}).encode()
