"""The evaluator beside AWS's documentation: a test for every example of the IAM user guide's evaluation pages."""

from __future__ import annotations

import json
from typing import Any

import pytest

from s3gate.iam import principal
from s3gate.iam.evaluate import Asked, Decision, Verdict, evaluate
from s3gate.iam.policy import Kind, parse
from s3gate.iam.principal import ANONYMOUS, Principal
from s3gate.iam.statement import Named, Policy

ALLOW, DENY, NOTHING = Verdict.ALLOW, Verdict.DENY, Verdict.IMPLICIT_DENY
MINE, OTHER = "111122223333", "444455556666"
ROOT = principal.root(MINE, "a" * 64)
BOB = principal.user(MINE, "a" * 64, "bob", "AIDABOB")
EVE = principal.user(MINE, "a" * 64, "eve", "AIDAEVE", path="/team/")
STRANGER = principal.user(OTHER, "b" * 64, "sam", "AIDASAM")
OTHER_ROOT = principal.root(OTHER, "b" * 64)
SESSION = principal.role_session(MINE, "a" * 64, "worker", "AROAWORKER", "job-1", path="/roles/")
BUCKET = "logs"
OBJECT = f"arn:aws:s3:::{BUCKET}/key"


def policy(kind: Kind, *statements: dict[str, Any], bucket: str = BUCKET) -> Policy:
    return parse(json.dumps({"Version": "2012-10-17", "Statement": list(statements)}), kind, bucket)


def statement(effect: str = "Allow", action: Any = "s3:GetObject", resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


def own(*actions: str, effect: str = "Allow", **more: Any) -> Policy:
    return policy("identity", statement(effect, list(actions), **more))


def bucket_policy(who: Any, effect: str = "Allow", action: Any = "s3:GetObject", **more: Any) -> Policy:
    return policy("bucket", statement(effect, action, f"arn:aws:s3:::{BUCKET}/*", Principal=who, **more))


def ask(who: Principal, action: str = "s3:GetObject", arn: str = OBJECT, keys: Any = None, **policies: Any) -> Decision:
    context = {name.lower(): value for name, value in (keys or {}).items()}
    if who.name:
        context["aws:username"] = (who.name,)
    return evaluate(Asked(who, action, arn, context.get), **policies)


# --- "Example identity-based and resource-based policy evaluation": Carlos and his logs

CARLOS = principal.user(MINE, "a" * 64, "carlossalazar", "AIDACARLOS")
OF_CARLOS = policy(
    "identity",
    statement(
        action=[
            "s3:GetBucketLocation",
            "s3:GetAccountPublicAccessBlock",
            "s3:ListAccessPoints",
            "s3:ListAllMyBuckets",
        ],
        resource="arn:aws:s3:::*",
        Sid="AllowS3ListRead",
    ),
    statement(
        action="s3:*",
        resource=["arn:aws:s3:::carlossalazar/*", "arn:aws:s3:::carlossalazar"],
        Sid="AllowS3Self",
    ),
    statement("Deny", "s3:*", "arn:aws:s3:::*log*", Sid="DenyS3Logs"),
)
LOGS_OF_CARLOS = policy(
    "bucket",
    statement(
        action="s3:*",
        resource=["arn:aws:s3:::carlossalazar-logs/*", "arn:aws:s3:::carlossalazar-logs"],
        Principal={"AWS": f"arn:aws:iam::{MINE}:user/carlossalazar"},
    ),
    bucket="carlossalazar-logs",
)


def test_carlos_may_not_write_logs_although_the_bucket_lets_him() -> None:
    found = ask(
        CARLOS,
        "s3:PutObject",
        "arn:aws:s3:::carlossalazar-logs/x",
        identity=[OF_CARLOS],
        resource=LOGS_OF_CARLOS,
    )
    assert found == (DENY, "identity policy", "DenyS3Logs")


@pytest.mark.parametrize(
    ("action", "arn", "verdict"),
    [
        ("s3:ListAllMyBuckets", "arn:aws:s3:::*", ALLOW),
        ("s3:GetBucketLocation", "arn:aws:s3:::anything", ALLOW),
        ("s3:PutObject", "arn:aws:s3:::carlossalazar/a/b", ALLOW),
        ("s3:DeleteBucket", "arn:aws:s3:::carlossalazar", ALLOW),
        ("s3:GetObject", "arn:aws:s3:::another/x", NOTHING),
        ("s3:GetObject", "arn:aws:s3:::carlossalazar-logs/x", DENY),
    ],
)
def test_what_carlos_may_by_himself(action: str, arn: str, verdict: Verdict) -> None:
    assert ask(CARLOS, action, arn, identity=[OF_CARLOS]).verdict is verdict


# --- within one account: identity and resource policy, each silent, allowing or denying

SILENT = own("s3:ListBucket")
SAYS: dict[str, Policy] = {"silent": SILENT, "allow": own("s3:GetObject"), "deny": own("s3:GetObject", effect="Deny")}


def bucket_says(what: str, who: Principal) -> Policy:
    arn = {"AWS": who.arn}
    if what == "silent":
        return bucket_policy(arn, action="s3:PutObject")
    return bucket_policy(arn, what.capitalize())


@pytest.mark.parametrize(
    ("identity", "bucket", "same_account", "other_account"),
    [
        ("silent", "silent", NOTHING, NOTHING),
        ("silent", "allow", ALLOW, NOTHING),
        ("silent", "deny", DENY, DENY),
        ("allow", "silent", ALLOW, NOTHING),
        ("allow", "allow", ALLOW, ALLOW),
        ("allow", "deny", DENY, DENY),
        ("deny", "silent", DENY, DENY),
        ("deny", "allow", DENY, DENY),
        ("deny", "deny", DENY, DENY),
    ],
)
def test_identity_and_resource_policy(
    identity: str, bucket: str, same_account: Verdict, other_account: Verdict
) -> None:
    assert ask(BOB, identity=[SAYS[identity]], resource=bucket_says(bucket, BOB)).verdict is same_account
    found = ask(STRANGER, identity=[SAYS[identity]], resource=bucket_says(bucket, STRANGER), same_account=False)
    assert found.verdict is other_account


# --- permissions boundaries and session policies

ALLOWS, DENIES = SAYS["allow"], SAYS["deny"]


@pytest.mark.parametrize(
    ("identity", "boundary", "resource", "verdict"),
    [
        (ALLOWS, ALLOWS, None, ALLOW),
        (ALLOWS, SILENT, None, NOTHING),
        (SILENT, ALLOWS, None, NOTHING),
        (ALLOWS, DENIES, None, DENY),
        (DENIES, ALLOWS, None, DENY),
        (SILENT, SILENT, bucket_says("allow", BOB), ALLOW),
        (SILENT, DENIES, bucket_says("allow", BOB), DENY),
        (SILENT, SILENT, bucket_policy("*"), ALLOW),
        (SILENT, SILENT, bucket_policy({"AWS": MINE}), NOTHING),
        (ALLOWS, SILENT, bucket_policy({"AWS": MINE}), NOTHING),
    ],
)
def test_a_boundary_of_a_user(identity: Policy, boundary: Policy, resource: Policy | None, verdict: Verdict) -> None:
    """ "Within the same account, a resource-based policy that names the user is not limited by an implicit deny.\""""
    assert ask(BOB, identity=[identity], boundary=boundary, resource=resource).verdict is verdict


SESSION_BY_ARN = bucket_policy({"AWS": SESSION.arn})
SESSION_BY_ROLE = bucket_policy({"AWS": SESSION.role_arn})


@pytest.mark.parametrize("limit", ["boundary", "session"])
@pytest.mark.parametrize(
    ("identity", "limited_to", "resource", "verdict"),
    [
        (ALLOWS, ALLOWS, None, ALLOW),
        (ALLOWS, SILENT, None, NOTHING),
        (SILENT, ALLOWS, None, NOTHING),
        (ALLOWS, DENIES, None, DENY),
        (SILENT, SILENT, SESSION_BY_ARN, ALLOW),
        (SILENT, DENIES, SESSION_BY_ARN, DENY),
        (SILENT, SILENT, SESSION_BY_ROLE, NOTHING),
        (SILENT, ALLOWS, SESSION_BY_ROLE, ALLOW),
        (SILENT, SILENT, bucket_policy("*"), NOTHING),
        (SILENT, ALLOWS, bucket_policy("*"), ALLOW),
    ],
)
def test_what_limits_a_session(
    limit: str, identity: Policy, limited_to: Policy, resource: Policy | None, verdict: Verdict
) -> None:
    """A policy that names the session is not limited by an implicit deny; one that names its role is."""
    more: dict[str, Any] = {limit: limited_to}
    assert ask(SESSION, identity=[identity], resource=resource, **more).verdict is verdict


def test_identity_boundary_and_session_policy_intersect() -> None:
    everything = own("s3:GetObject", "s3:PutObject", "s3:DeleteObject")
    limits: dict[str, Any] = {
        "boundary": own("s3:GetObject", "s3:PutObject"),
        "session": own("s3:GetObject", "s3:DeleteObject"),
    }
    verdicts = [
        ask(SESSION, action, identity=[everything], **limits).verdict
        for action in ("s3:GetObject", "s3:PutObject", "s3:DeleteObject")
    ]
    assert verdicts == [ALLOW, NOTHING, NOTHING]


# --- the account: naming it delegates, its root needs no policy of its own


@pytest.mark.parametrize("who", [{"AWS": MINE}, {"AWS": f"arn:aws:iam::{MINE}:root"}, {"CanonicalUser": "a" * 64}])
def test_naming_the_account_lets_it_give_the_permission_away(who: Any) -> None:
    named = bucket_policy(who)
    assert ask(BOB, resource=named).verdict is NOTHING
    assert ask(BOB, identity=[ALLOWS], resource=named).verdict is ALLOW
    assert ask(ROOT, resource=named).verdict is ALLOW
    assert ask(BOB, identity=[ALLOWS], resource=named, same_account=False).verdict is ALLOW
    assert ask(STRANGER, identity=[ALLOWS], resource=named, same_account=False).verdict is NOTHING


def test_root() -> None:
    assert ask(ROOT).verdict is ALLOW
    assert ask(ROOT, resource=bucket_policy("*", "Deny")).verdict is DENY
    assert ask(OTHER_ROOT, same_account=False).verdict is NOTHING
    assert ask(OTHER_ROOT, same_account=False, resource=bucket_policy({"AWS": OTHER})).verdict is ALLOW
    assert ask(OTHER_ROOT, same_account=False, resource=bucket_policy("*")).verdict is ALLOW


def test_a_deny_for_the_account_is_one_for_everybody_in_it() -> None:
    denied = bucket_policy({"AWS": MINE}, "Deny")
    for who in (ROOT, BOB, EVE, SESSION):
        assert ask(who, identity=[ALLOWS], resource=denied).verdict is DENY
    other = policy(
        "bucket",
        statement("Deny", "s3:GetObject", f"arn:aws:s3:::{BUCKET}/*", Principal={"AWS": MINE}),
        statement("Allow", "s3:GetObject", f"arn:aws:s3:::{BUCKET}/*", Principal="*"),
    )
    assert ask(STRANGER, identity=[ALLOWS], resource=other, same_account=False).verdict is ALLOW
    assert ask(ANONYMOUS, resource=other, same_account=False).verdict is ALLOW


def test_anonymous() -> None:
    assert ask(ANONYMOUS, same_account=False).verdict is NOTHING
    assert ask(ANONYMOUS, resource=bucket_policy("*"), same_account=False).verdict is ALLOW
    assert ask(ANONYMOUS, resource=bucket_policy({"AWS": "*"}), same_account=False).verdict is ALLOW
    assert ask(ANONYMOUS, resource=bucket_policy({"AWS": MINE}), same_account=False).verdict is NOTHING
    assert ask(ANONYMOUS, resource=bucket_policy({"Service": "x.amazonaws.com"}), same_account=False).verdict is NOTHING


# --- the page of each element


def test_not_action() -> None:
    """ "Allow everything but deleting buckets" and the deny of everything but one service."""
    all_but = policy("identity", {"Effect": "Allow", "NotAction": "s3:DeleteBucket", "Resource": "arn:aws:s3:::*"})
    assert ask(BOB, identity=[all_but]).verdict is ALLOW
    assert ask(BOB, "s3:DeleteBucket", "arn:aws:s3:::b", identity=[all_but]).verdict is NOTHING
    only_iam = policy("identity", statement(action="*"), {"Effect": "Deny", "NotAction": "iam:*", "Resource": "*"})
    assert ask(BOB, identity=[only_iam]).verdict is DENY
    assert ask(BOB, "iam:GetUser", "arn:aws:iam::1:user/x", identity=[only_iam]).verdict is ALLOW


def test_not_resource() -> None:
    """The user guide's bucket for HR: denied everywhere but there, which by itself allows nothing there."""
    hr = ["arn:aws:s3:::HRBucket/Payroll", "arn:aws:s3:::HRBucket/Payroll/*"]
    denies = {"Effect": "Deny", "Action": "s3:*", "NotResource": hr}
    assert ask(BOB, identity=[policy("identity", denies)]).verdict is DENY
    assert ask(BOB, arn="arn:aws:s3:::HRBucket/Payroll/x", identity=[policy("identity", denies)]).verdict is NOTHING
    both = policy("identity", denies, statement(action="s3:*"))
    assert ask(BOB, arn="arn:aws:s3:::HRBucket/Payroll/x", identity=[both]).verdict is ALLOW


def test_not_principal() -> None:
    """ "Deny to all but Bob": the account's entry is needed for its root, and spares nobody else in it."""
    all_but_bob = policy(
        "bucket",
        {
            "Effect": "Deny",
            "NotPrincipal": {"AWS": [BOB.arn, f"arn:aws:iam::{MINE}:root"]},
            "Action": "s3:GetObject",
            "Resource": f"arn:aws:s3:::{BUCKET}/*",
        },
    )
    verdicts = [ask(who, identity=[ALLOWS], resource=all_but_bob).verdict for who in (BOB, ROOT, EVE, SESSION)]
    assert verdicts == [ALLOW, ALLOW, DENY, DENY]
    assert ask(ANONYMOUS, resource=all_but_bob, same_account=False).verdict is DENY


HOME = policy(
    "identity",
    statement(
        action="s3:ListBucket",
        resource="arn:aws:s3:::logs",
        Condition={"StringLike": {"s3:prefix": ["${aws:username}/*"]}},
    ),
    statement(action=["s3:GetObject", "s3:PutObject"], resource="arn:aws:s3:::logs/${aws:username}/*"),
)


@pytest.mark.parametrize(
    ("who", "action", "arn", "prefix", "verdict"),
    [
        (BOB, "s3:ListBucket", "arn:aws:s3:::logs", "bob/a", ALLOW),
        (BOB, "s3:ListBucket", "arn:aws:s3:::logs", "eve/a", NOTHING),
        (BOB, "s3:ListBucket", "arn:aws:s3:::logs", None, NOTHING),
        (BOB, "s3:GetObject", "arn:aws:s3:::logs/bob/x", None, ALLOW),
        (BOB, "s3:PutObject", "arn:aws:s3:::logs/eve/x", None, NOTHING),
        (EVE, "s3:PutObject", "arn:aws:s3:::logs/eve/x", None, ALLOW),
        (SESSION, "s3:GetObject", "arn:aws:s3:::logs//x", None, NOTHING),
    ],
)
def test_policy_variables(who: Principal, action: str, arn: str, prefix: str | None, verdict: Verdict) -> None:
    keys = {} if prefix is None else {"s3:prefix": (prefix,)}
    assert ask(who, action, arn, keys, identity=[HOME]).verdict is verdict


def test_a_variable_without_a_value_never_allows_and_never_spares() -> None:
    """What is written of all but one's own must not open everything to one who has no name."""
    allows = policy(
        "identity", {"Effect": "Allow", "Action": "s3:*", "NotResource": "arn:aws:s3:::logs/${aws:username}"}
    )
    denies = policy(
        "identity",
        statement(action="s3:*"),
        {"Effect": "Deny", "Action": "s3:*", "NotResource": "arn:aws:s3:::logs/${aws:username}"},
    )
    assert ask(SESSION, identity=[allows]).verdict is NOTHING
    assert ask(SESSION, identity=[denies]).verdict is DENY


def test_conditions_are_anded_and_their_values_ored() -> None:
    found = own(
        "s3:GetObject",
        Condition={
            "StringEquals": {"aws:PrincipalTag/team": ["red", "blue"], "aws:PrincipalTag/site": "paris"},
            "IpAddress": {"aws:SourceIp": "203.0.113.0/24"},
        },
    )
    fits = {"aws:PrincipalTag/team": ("blue",), "aws:PrincipalTag/site": ("paris",), "aws:SourceIp": ("203.0.113.9",)}
    canonical = {"aws:principaltag/team": ("blue",), "aws:principaltag/site": ("paris",)}
    assert ask(BOB, keys=fits, identity=[found]).verdict is ALLOW
    assert ask(BOB, keys=canonical, identity=[found]).verdict is NOTHING
    assert ask(BOB, keys={**fits, "aws:PrincipalTag/team": ("green",)}, identity=[found]).verdict is NOTHING


# --- what an owner grants by an ACL


@pytest.mark.parametrize(
    ("granted", "identity", "same_account", "verdict"),
    [
        (Named.ACCOUNT, [], False, NOTHING),
        (Named.ACCOUNT, [ALLOWS], False, ALLOW),
        (Named.ACCOUNT, [DENIES], False, DENY),
        (Named.EXACTLY, [], False, NOTHING),
        (Named.EXACTLY, [], True, ALLOW),
        (Named.NOT, [ALLOWS], False, NOTHING),
    ],
)
def test_grants(granted: Named, identity: list[Policy], same_account: bool, verdict: Verdict) -> None:
    assert ask(BOB, identity=identity, granted=granted, same_account=same_account).verdict is verdict


def test_a_policy_may_be_kept_from_giving_but_not_from_denying() -> None:
    both = policy(
        "bucket",
        statement("Allow", ["s3:GetObject", "s3:PutObject"], f"arn:aws:s3:::{BUCKET}/*", Principal="*"),
        statement("Deny", "s3:PutObject", f"arn:aws:s3:::{BUCKET}/*", Principal="*"),
    )
    assert ask(BOB, resource=both, resource_allows=False).verdict is NOTHING
    assert ask(BOB, "s3:PutObject", identity=[own("s3:*")], resource=both, resource_allows=False).verdict is DENY


def test_trust() -> None:
    """Who may assume a role, and whom an identity provider vouches for."""
    statement_of_provider = {
        "Effect": "Allow",
        "Principal": {"Federated": "arn:aws:iam::111122223333:oidc-provider/x"},
        "Action": "sts:AssumeRoleWithWebIdentity",
    }
    trust = policy(
        "trust",
        {"Effect": "Allow", "Principal": {"AWS": BOB.arn}, "Action": "sts:AssumeRole"},
        statement_of_provider,
    )
    assert ask(BOB, "sts:AssumeRole", "arn:aws:iam::1:role/r", resource=trust).verdict is ALLOW
    assert ask(EVE, "sts:AssumeRole", "arn:aws:iam::1:role/r", resource=trust).verdict is NOTHING
    for provider, verdict in (
        ("arn:aws:iam::111122223333:oidc-provider/x", ALLOW),
        ("arn:aws:iam::111122223333:oidc-provider/y", NOTHING),
    ):
        asked = Asked(ANONYMOUS, "sts:AssumeRoleWithWebIdentity", "arn:aws:iam::1:role/r", lambda _: None, provider)
        assert evaluate(asked, resource=trust, same_account=False).verdict is verdict
