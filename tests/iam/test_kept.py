"""Policies as they are kept: by whom they mean."""

from __future__ import annotations

import json

from s3gate.iam import principal
from s3gate.iam.kept import pack, parse_kept, unpack, with_principals
from s3gate.iam.statement import Named

ACCOUNT, CANONICAL = "111122223333", "a" * 64
BOB = principal.user(ACCOUNT, CANONICAL, "bob", "AIDABOBBOBBOBBOB")
HEIR = principal.user(ACCOUNT, CANONICAL, "bob", "AIDAHEIRHEIRHEIR")
RENAMED = principal.user(ACCOUNT, CANONICAL, "robert", "AIDABOBBOBBOBBOB", path="/x/")


def document(**more: object) -> bytes:
    statement = {"Effect": "Allow", "Principal": {"AWS": BOB.arn}, "Action": "s3:*", "Resource": "arn:aws:s3:::b"}
    return json.dumps({"Statement": [{**statement, **more}]}).encode()


def test_what_is_kept_is_what_was_put() -> None:
    text = document()
    assert pack(text, {}) == text
    assert unpack(text) == (text, {})
    assert unpack(pack(text, {BOB.arn: BOB.user_id})) == (text, {BOB.arn: BOB.user_id})


def test_names_mean_whom_they_meant() -> None:
    text = document()
    for kept, named in (
        (text, (Named.EXACTLY, Named.EXACTLY, Named.NOT)),  # kept before ids were: by name
        (pack(text, {BOB.arn: BOB.user_id}), (Named.EXACTLY, Named.NOT, Named.EXACTLY)),
        (pack(text, {BOB.arn: HEIR.user_id}), (Named.NOT, Named.EXACTLY, Named.NOT)),
        (document(Principal={"AWS": [BOB.user_id]}), (Named.EXACTLY, Named.NOT, Named.EXACTLY)),
    ):
        policy = parse_kept(kept, "bucket", "b")
        statement = policy.about("s3:GetBucketAcl")[1][0]  # what is remembered by action is of this one alone
        assert tuple(map(statement.names, (BOB, HEIR, RENAMED))) == named


def test_roles_and_sessions() -> None:
    role = principal.role_arn(ACCOUNT, "worker")
    old = principal.role_session(ACCOUNT, CANONICAL, "worker", "AROAOLDOLDOLDOLD", "job")
    new = principal.role_session(ACCOUNT, CANONICAL, "worker", "AROANEWNEWNEWNEW", "job")
    text = document(Principal={"AWS": [role]})
    statement = parse_kept(pack(text, {role: old.role_id}), "bucket", "b").statements[0]
    assert (statement.names(old), statement.names(new)) == (Named.ROLE, Named.NOT)
    text = document(Effect="Deny", NotPrincipal={"AWS": [old.arn]}, Principal=None)
    text = json.dumps(
        {"Statement": {key: value for key, value in json.loads(text)["Statement"][0].items() if value}}
    ).encode()
    statement = parse_kept(pack(text, {old.arn: old.user_id}), "bucket", "b").statements[0]
    assert (statement.names(old), statement.names(new)) == (Named.NOT, Named.EXACTLY)


def test_showing_other_names_changes_principals_only() -> None:
    condition = {"ArnEquals": {"aws:PrincipalArn": BOB.arn}}
    for principals, shown in (
        ({"AWS": BOB.arn}, {"AWS": "X"}),
        ({"AWS": [BOB.arn, "*"]}, {"AWS": ["X", "*"]}),
        ("*", "*"),
    ):
        found = json.loads(with_principals(document(Principal=principals, Condition=condition), {BOB.arn: "X"}))
        assert found["Statement"][0]["Principal"] == shown
        assert found["Statement"][0]["Condition"] == condition
