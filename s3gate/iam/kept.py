"""A policy as it is kept: the document as it was put, and beside it whom its ARNs meant then, by their unique ids.

As at AWS a grant is to the user or role that had the name when the policy was put: it follows a new name or path, and
whoever is made later under the old one has nothing of it. A document has no NUL: it stands between the two.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from s3gate.iam.policy import Kind, parse
from s3gate.iam.statement import Policy, Statement

_NUL = b"\0"


def pack(document: bytes, ids: Mapping[str, str]) -> bytes:
    """`ids`: the unique id for every ARN of a user, a role or a session of one."""
    return document + _NUL + json.dumps(ids, separators=(",", ":")).encode() if ids else document


def unpack(kept: bytes) -> tuple[bytes, dict[str, str]]:
    """The document and the ids; none for one that was kept without."""
    document, _, ids = kept.partition(_NUL)
    return document, json.loads(ids) if ids else {}


def parse_kept(kept: bytes, kind: Kind, bucket: str = "") -> Policy:
    """The policy, whose principals are those that were meant. It was checked when it was put."""
    document, ids = unpack(kept)
    policy = parse(document, kind, bucket, limit=len(document), kept=True)
    return Policy(tuple(_bound(each, ids) for each in policy.statements), policy.keys) if ids else policy


def _bound(statement: Statement, ids: Mapping[str, str]) -> Statement:
    named = statement.principals
    if named is None:
        return statement
    return replace(statement, principals=replace(named, arns=frozenset(ids.get(each, each) for each in named.arns)))


def with_principals(document: bytes, names: Mapping[str, str]) -> bytes:
    """The document with other names for some of its principals."""
    root = json.loads(document)
    listed = root["Statement"]
    for statement in listed if isinstance(listed, list) else [listed]:
        for element in ("Principal", "NotPrincipal"):
            named = statement.get(element)
            if isinstance(named, dict) and "AWS" in named:
                named["AWS"] = _renamed(named["AWS"], names)
    return json.dumps(root, separators=(",", ":")).encode()


def _renamed(listed: Any, names: Mapping[str, str]) -> Any:
    return [names.get(each, each) for each in listed] if isinstance(listed, list) else names.get(listed, listed)
