"""Principals and their names."""

from __future__ import annotations

import pytest

from s3gate.iam import principal
from s3gate.iam.principal import ANONYMOUS, is_principal_arn, parse_arn

ACCOUNT, CANONICAL = "111122223333", "a" * 64


def test_names() -> None:
    bob = principal.user(ACCOUNT, CANONICAL, "bob", "AIDABOB", path="/team/")
    assert bob.arn == bob.entity_arn == "arn:aws:iam::111122223333:user/team/bob"
    session = principal.role_session(ACCOUNT, CANONICAL, "worker", "AROAW", "job", path="/p/")
    assert session.arn == "arn:aws:sts::111122223333:assumed-role/worker/job"
    assert session.entity_arn == "arn:aws:iam::111122223333:role/p/worker"
    assert session.user_id == "AROAW:job"
    assert principal.root(ACCOUNT, CANONICAL).is_root
    assert ANONYMOUS.is_anonymous
    assert not ANONYMOUS.canonical_id


@pytest.mark.parametrize(
    ("arn", "expected"),
    [
        ("arn:aws:iam::111122223333:user/bob", (ACCOUNT, "user", "/", "bob")),
        ("arn:aws:iam::111122223333:user/a/b/bob", (ACCOUNT, "user", "/a/b/", "bob")),
        ("arn:aws:iam::111122223333:role/worker", (ACCOUNT, "role", "/", "worker")),
        ("arn:aws:sts::111122223333:assumed-role/worker/job", (ACCOUNT, "assumed-role", "/worker/", "job")),
    ],
)
def test_parsing(arn: str, expected: tuple[str, str, str, str]) -> None:
    assert is_principal_arn(arn)
    assert parse_arn(arn) == expected


@pytest.mark.parametrize(
    "text",
    ["", "bob", "arn:aws:iam::1:root", "arn:aws:iam::111122223333:group/g", "arn:aws:iam::111122223333:user/*"],
)
def test_what_names_nobody(text: str) -> None:
    assert not is_principal_arn(text)
