"""May they? All that gives or refuses leave, together: policies, ACLs, ownership, public access block, absence."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from s3gate.iam import acl, principal
from s3gate.iam.acl import ALL_USERS, AUTHENTICATED_USERS, FULL_CONTROL, READ, READ_ACP, WRITE, WRITE_ACP, Acl, Grant
from s3gate.iam.actions import Ask, asks, object_arn
from s3gate.iam.context import Facts
from s3gate.iam.decide import (
    Bearer,
    BucketAccess,
    bucket_access,
    decide,
    decide_absent,
    is_owners_root,
    needs_object,
)
from s3gate.iam.evaluate import Verdict
from s3gate.iam.policy import parse
from s3gate.iam.principal import ANONYMOUS, Principal
from s3gate.s3 import xml_access, xml_out
from s3gate.s3.credentials import Authentication
from s3gate.s3.operation import OPERATIONS
from s3gate.s3.request import Request
from s3gate.s3.xml_access import ALL_BLOCKED, Block

ALLOW, DENY, NOTHING = Verdict.ALLOW, Verdict.DENY, Verdict.IMPLICIT_DENY
MINE, OTHER = "a" * 64, "b" * 64
ROOT, ALT = principal.root("111122223333", MINE), principal.root("444455556666", OTHER)
BOB = principal.user("111122223333", MINE, "bob", "AIDABOB")
SAM = principal.user("444455556666", OTHER, "sam", "AIDASAM")
SESSION = principal.role_session("111122223333", MINE, "role", "AROA1", "job")
ENFORCED, PREFERRED, WRITERS = "BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter"
NOW = datetime(2026, 5, 6, tzinfo=UTC)


def statement(effect: str, *actions: str, who: Any = None, resource: Any = "*", **more: Any) -> dict[str, Any]:
    found = {"Effect": effect, "Action": list(actions), "Resource": resource, **more}
    return found if who is None else {**found, "Principal": who}


def document(*statements: dict[str, Any]) -> bytes:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)}).encode()


def bearer(who: Principal, *statements: dict[str, Any], session: bytes | None = None) -> Bearer:
    identity = (parse(document(*statements), "identity"),) if statements else ()
    return Bearer(who, identity, None, None if session is None else parse(session, "session"))


def bucket(
    *,
    policy: bytes | None = None,
    granted: list[tuple[str, str]] | None = None,
    ownership: str | None = WRITERS,
    block: Block | None = None,
) -> BucketAccess:
    settings: dict[str, bytes] = {}
    if policy is not None:
        settings["policy"] = policy
    if granted is not None:
        settings["acl"] = kept(MINE, *granted)
    if ownership is not None:
        settings["ownership"] = xml_out.ownership_controls(ownership)
    if block is not None:
        settings["public-access-block"] = xml_access.public_access_block_document(block)
    return bucket_access("b", MINE, settings)


def kept(owner: str, *granted: tuple[str, str]) -> bytes:
    """An ACL with the owner's full control and these grants, as it is kept."""
    return acl.pack(Acl(owner, (Grant(owner, FULL_CONTROL), *(Grant(*each) for each in granted))), MINE)


def facts(who: Principal, operation: str, query: bytes = b"", tags: bytes | None = None, **headers: str) -> Facts:
    row = OPERATIONS[operation]
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    request = Request.parse(row.method, b"/b" if row.level == "bucket" else b"/b/k", query, raw, remote="203.0.113.5")
    return Facts(request, operation, who, Authentication.ANONYMOUS, NOW, owner_account="111122223333", object_tags=tags)


def may(
    who: Principal | Bearer,
    operation: str,
    access: BucketAccess | None,
    query: bytes = b"",
    *,
    of_object: bytes | None = b"",
    tags: bytes | None = None,
    **headers: str,
) -> Verdict:
    asking = who if isinstance(who, Bearer) else Bearer(who)
    known = facts(asking.principal, operation, query, tags, **headers)
    asked = asks(OPERATIONS[operation], known.request, MINE)
    return decide(asked, asking, access, known, of_object).verdict


# --- identities, without any policy of the bucket


def test_the_owners_root_may_everything_and_others_nothing() -> None:
    access = bucket(ownership=ENFORCED)
    for name, row in OPERATIONS.items():
        if name in ("DeleteObjects", "OptionsObject") or row.level == "service":
            continue
        assert may(ROOT, name, access) is ALLOW, name
        for who in (BOB, ALT, SAM, SESSION, ANONYMOUS):
            assert may(who, name, access) is NOTHING, (name, who)


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name not in ("DeleteObjects", "OptionsObject")])
def test_each_operation_is_allowed_by_its_actions_alone(name: str) -> None:
    """With only those actions it is let in, without one of them not, and an explicit deny of any keeps it out."""
    row = OPERATIONS[name]
    access = None if row.level == "service" or name == "CreateBucket" else bucket(ownership=ENFORCED)
    asked = asks(row, facts(BOB, name).request, MINE)
    own = [statement("Allow", ask.action, resource=ask.arn) for ask in asked]
    assert may(bearer(BOB, *own), name, access) is ALLOW
    for number, ask in enumerate(asked):
        others = own[:number] + own[number + 1 :] or [statement("Allow", "s3:NoSuchAction")]
        assert may(bearer(BOB, *others), name, access) is NOTHING
        assert may(bearer(BOB, *own, statement("Deny", ask.action)), name, access) is DENY
        elsewhere = [statement("Allow", each.action, resource=each.arn + "x") for each in asked]
        assert may(bearer(BOB, *elsewhere), name, access) is NOTHING


def test_what_has_no_bucket_yet() -> None:
    for name in ("ListBuckets", "CreateBucket"):
        assert may(ROOT, name, None) is ALLOW
        assert may(ALT, name, None) is ALLOW
        assert may(ANONYMOUS, name, None) is NOTHING
        assert may(BOB, name, None) is NOTHING
        assert may(bearer(BOB, statement("Allow", "s3:*")), name, None) is ALLOW


def test_a_session_policy_limits() -> None:
    everything = statement("Allow", "s3:*")
    limited = bearer(SESSION, everything, session=document(statement("Allow", "s3:GetObject")))
    assert may(limited, "GetObject", bucket()) is ALLOW
    assert may(limited, "PutObject", bucket()) is NOTHING


# --- bucket policies

ALL, INSIDE = "arn:aws:s3:::b", "arn:aws:s3:::b/*"


def policy(*statements: dict[str, Any], **more: Any) -> BucketAccess:
    return bucket(policy=document(*statements), **more)


def opens(*actions: str, who: Any = "*", **more: Any) -> dict[str, Any]:
    return statement("Allow", *actions, who=who, resource=more.pop("resource", INSIDE), **more)


def closes(*actions: str, who: Any = "*", **more: Any) -> dict[str, Any]:
    return statement("Deny", *actions, who=who, resource=more.pop("resource", INSIDE), **more)


def test_a_policy_for_everybody() -> None:
    access = policy(opens("s3:GetObject"), opens("s3:ListBucket", resource=ALL))
    for who in (ANONYMOUS, ALT, BOB):
        assert may(who, "GetObject", access) is ALLOW
        assert may(who, "ListObjectsV2", access, b"list-type=2") is ALLOW
        assert may(who, "HeadBucket", access) is ALLOW
        assert may(who, "PutObject", access) is NOTHING
        assert may(who, "GetObject", access, b"versionId=v") is NOTHING
    assert may(SAM, "GetObject", access) is NOTHING  # his own account has not let him
    assert may(bearer(SAM, statement("Allow", "s3:GetObject")), "GetObject", access) is ALLOW


def test_a_policy_for_one_account() -> None:
    access = policy(opens("s3:PutObject", who={"AWS": "444455556666"}))
    assert may(ALT, "PutObject", access) is ALLOW
    assert may(SAM, "PutObject", access) is NOTHING
    assert may(bearer(SAM, statement("Allow", "s3:PutObject")), "PutObject", access) is ALLOW
    assert may(ANONYMOUS, "PutObject", access) is NOTHING


def test_root_is_bound_by_denials_but_never_locked_out() -> None:
    access = policy(closes("s3:*", resource=[ALL, INSIDE]))
    assert may(ROOT, "GetObject", access) is DENY
    assert may(ROOT, "DeleteBucket", access) is DENY
    for name in ("GetBucketPolicy", "PutBucketPolicy", "DeleteBucketPolicy"):
        assert may(ROOT, name, access) is ALLOW
        assert may(bearer(BOB, statement("Allow", "s3:*")), name, access) is DENY
        assert may(ALT, name, access) is DENY


@pytest.mark.parametrize(
    ("tags", "verdict"), [(b"security=public", ALLOW), (b"security=private", NOTHING), (b"", NOTHING), (None, NOTHING)]
)
def test_existing_tags(tags: bytes | None, verdict: Verdict) -> None:
    condition = {"StringLike": {"s3:ExistingObjectTag/security": "pub*"}}
    access = policy(opens("s3:GetObject", Condition=condition))
    assert may(ALT, "GetObject", access, tags=tags) is verdict


ACL_IS_PUBLIC = {"StringLike": {"s3:x-amz-acl": "public*"}}


@pytest.mark.parametrize(
    ("headers", "verdict"),
    [
        ({}, ALLOW),
        ({"x_amz_acl": "private"}, ALLOW),
        ({"x_amz_acl": "public-read"}, DENY),
        ({"x_amz_acl": "authenticated-read"}, NOTHING),
    ],
)
def test_acl_of_the_request(headers: dict[str, Any], verdict: Verdict) -> None:
    access = policy(opens("s3:PutObject"), closes("s3:PutObject", Condition=ACL_IS_PUBLIC))
    assert may(ALT, "PutObject", access, **headers) is verdict


def test_an_acl_takes_leave_of_its_own() -> None:
    access = policy(opens("s3:PutObject", "s3:PutObjectAcl"))
    assert may(ALT, "PutObject", access, x_amz_acl="authenticated-read") is ALLOW
    owner_gets_all = {"StringEquals": {"s3:x-amz-grant-full-control": f"id={MINE}"}}
    access = policy(opens("s3:PutObject", Condition=owner_gets_all))
    assert may(ALT, "PutObject", access, x_amz_grant_full_control=f"id={MINE}") is ALLOW
    assert may(ALT, "PutObject", access) is NOTHING


def test_copy_source() -> None:
    condition = {"StringLike": {"s3:x-amz-copy-source": "b/public/*"}}
    access = policy(opens("s3:PutObject", Condition=condition))
    for source, verdict in (("b/public/x", ALLOW), ("/b/public/x", ALLOW), ("b/private/x", NOTHING)):
        assert may(ALT, "CopyObject", access, x_amz_copy_source=source) is verdict
    access = policy(opens("s3:PutObject"), closes("s3:PutObject", Condition={"StringNotLike": condition["StringLike"]}))
    assert may(ALT, "CopyObject", access, x_amz_copy_source="b/publi%63/x") is ALLOW
    assert may(ALT, "CopyObject", access, x_amz_copy_source="b/private/x") is DENY


ENCRYPTION = "s3:x-amz-server-side-encryption"


def test_encryption_must_be_asked_for() -> None:
    access = policy(
        opens("s3:PutObject"),
        closes("s3:PutObject", Condition={"StringNotEquals": {ENCRYPTION: "AES256"}}, Sid="wrong"),
        closes("s3:PutObject", Condition={"Null": {ENCRYPTION: "true"}}, Sid="none"),
    )
    assert may(ALT, "PutObject", access) is DENY
    assert may(ALT, "PutObject", access, x_amz_server_side_encryption="aws:kms") is DENY
    assert may(ALT, "PutObject", access, x_amz_server_side_encryption="AES256") is ALLOW


def test_prefixes() -> None:
    condition = {"StringEquals": {"s3:prefix": ["", "home/"]}, "StringEqualsIfExists": {"s3:delimiter": "/"}}
    access = policy(opens("s3:ListBucket", resource=ALL, Condition=condition))
    for query, verdict in (
        (b"prefix=", ALLOW),
        (b"prefix=home%2F&delimiter=/", ALLOW),
        (b"prefix=home%2Fx", NOTHING),
        (b"prefix=&delimiter=x", NOTHING),
        (b"", NOTHING),
    ):
        assert may(ALT, "ListObjects", access, query) is verdict, query


def test_source_addresses_and_transport() -> None:
    access = policy(
        opens("s3:GetObject", Condition={"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}),
        closes("s3:PutObject", Condition={"Bool": {"aws:SecureTransport": "false"}}),
    )
    assert may(ANONYMOUS, "GetObject", access) is ALLOW
    assert may(ROOT, "PutObject", access) is DENY


# --- ACLs

BUCKET_READ = ("ListObjects", "ListObjectVersions", "ListMultipartUploads", "HeadBucket")
BUCKET_WRITE = (
    "PutObject",
    "CopyObject",
    "CreateMultipartUpload",
    "UploadPart",
    "CompleteMultipartUpload",
    "DeleteObject",
)
OBJECT_READ = ("GetObject", "HeadObject")
EVERYTHING = {
    READ: BUCKET_READ,
    WRITE: BUCKET_WRITE,
    READ_ACP: ("GetBucketAcl",),
    WRITE_ACP: ("PutBucketAcl",),
    FULL_CONTROL: (*BUCKET_READ, *BUCKET_WRITE, "GetBucketAcl", "PutBucketAcl"),
}
OF_OBJECT = {
    READ: OBJECT_READ,
    WRITE: (),
    READ_ACP: ("GetObjectAcl",),
    WRITE_ACP: ("PutObjectAcl",),
    FULL_CONTROL: (*OBJECT_READ, "GetObjectAcl", "PutObjectAcl"),
}
OBJECT_OPERATIONS = (*OF_OBJECT[FULL_CONTROL], "GetObjectTagging", "PutObjectTagging", "GetObjectRetention")
BUCKET_OPERATIONS = (
    *EVERYTHING[FULL_CONTROL],
    "DeleteBucket",
    "GetBucketPolicy",
    "PutBucketVersioning",
    "GetBucketLocation",
)


@pytest.mark.parametrize("permission", EVERYTHING)
@pytest.mark.parametrize(
    ("grantee", "let_in", "kept_out"),
    [(OTHER, [ALT], [ANONYMOUS, SAM]), (ALL_USERS, [ALT, ANONYMOUS], [SAM]), (AUTHENTICATED_USERS, [ALT], [ANONYMOUS])],
)
def test_grants_on_a_bucket(permission: str, grantee: str, let_in: list[Principal], kept_out: list[Principal]) -> None:
    access = bucket(granted=[(grantee, permission)])
    for name in BUCKET_OPERATIONS:
        for who in let_in:
            assert (may(who, name, access) is ALLOW) == (name in EVERYTHING[permission]), (name, who)
        for who in kept_out:
            assert may(who, name, access) is NOTHING
    for name in OBJECT_OPERATIONS:  # what is in the bucket has its own
        for who in let_in:
            assert may(who, name, access) is NOTHING


@pytest.mark.parametrize("permission", OF_OBJECT)
@pytest.mark.parametrize(("grantee", "let_in"), [(OTHER, [ALT]), (ALL_USERS, [ALT, ANONYMOUS])])
def test_grants_on_an_object(permission: str, grantee: str, let_in: list[Principal]) -> None:
    of_object = kept(MINE, (grantee, permission))
    for name in OBJECT_OPERATIONS:
        for who in let_in:
            found = may(who, name, bucket(), of_object=of_object)
            assert (found is ALLOW) == (name in OF_OBJECT[permission]), (name, who)
        assert may(ROOT, name, bucket(), of_object=of_object) is ALLOW
    for name in ("DeleteObject", "PutObject"):
        assert may(ALT, name, bucket(), of_object=of_object) is NOTHING


def test_a_grant_to_the_account_is_for_it_to_give_away() -> None:
    of_object = kept(MINE, (OTHER, READ))
    assert may(SAM, "GetObject", bucket(), of_object=of_object) is NOTHING
    assert may(bearer(SAM, statement("Allow", "s3:GetObject")), "GetObject", bucket(), of_object=of_object) is ALLOW


def test_a_user_of_the_account_is_let_in_by_what_is_for_everybody() -> None:
    assert may(BOB, "GetObject", bucket(), of_object=kept(MINE, (ALL_USERS, READ))) is ALLOW
    assert may(BOB, "GetObject", bucket(), of_object=kept(MINE)) is NOTHING


def test_who_may_write_may_write_with_an_acl() -> None:
    access = bucket(granted=[(ALL_USERS, READ), (ALL_USERS, WRITE)])
    assert may(ALT, "PutObject", access, x_amz_acl="public-read") is ALLOW
    assert may(ALT, "PutObject", access, x_amz_tagging="a=b") is NOTHING
    assert may(ALT, "PutObjectAcl", access) is NOTHING


def test_a_policy_may_deny_what_an_acl_grants() -> None:
    access = policy(closes("s3:GetObject"), granted=[(ALL_USERS, READ)])
    assert may(ALT, "GetObject", access, of_object=kept(MINE, (ALL_USERS, READ))) is DENY
    assert may(ALT, "ListObjects", access) is ALLOW


def test_enforced_ownership_silences_acls() -> None:
    access = bucket(granted=[(ALL_USERS, FULL_CONTROL)], ownership=ENFORCED)
    of_object = kept(OTHER, (ALL_USERS, FULL_CONTROL))
    for name in (*BUCKET_OPERATIONS, *OBJECT_OPERATIONS):
        assert may(ALT, name, access, of_object=of_object) is NOTHING
        assert may(ROOT, name, access, of_object=of_object) is ALLOW


# --- objects that another account owns


@pytest.mark.parametrize("ownership", [WRITERS, PREFERRED, None])
def test_another_accounts_object(ownership: str | None) -> None:
    """Its owner reads it and gives it away; the bucket's owner removes it, denies it, and has no other right to it."""
    access = policy(opens("s3:GetObject"), ownership=ownership)
    of_object = kept(OTHER)
    assert may(ALT, "GetObject", access, of_object=of_object) is ALLOW
    assert may(ALT, "PutObjectAcl", access, of_object=of_object) is ALLOW
    for who in (ROOT, ANONYMOUS, bearer(BOB, statement("Allow", "s3:*"))):
        assert may(who, "GetObject", access, of_object=of_object) is NOTHING
        assert may(who, "GetObjectAcl", access, of_object=of_object) is NOTHING
    assert may(ROOT, "DeleteObject", access, of_object=of_object) is ALLOW
    assert may(ROOT, "PutObject", access, of_object=of_object) is ALLOW
    assert may(ROOT, "GetObject", access, of_object=kept(OTHER, (MINE, READ))) is ALLOW
    assert may(ALT, "GetObject", policy(closes("s3:GetObject")), of_object=of_object) is DENY


# --- the public access block


def test_ignored_public_acls() -> None:
    access = bucket(granted=[(ALL_USERS, READ), (OTHER, WRITE)], block=Block(ignore_acls=True))
    assert may(ANONYMOUS, "ListObjects", access) is NOTHING
    assert may(ALT, "ListObjects", access) is NOTHING
    assert may(ALT, "PutObject", access) is ALLOW
    assert may(ANONYMOUS, "GetObject", access, of_object=kept(MINE, (ALL_USERS, READ))) is NOTHING
    assert may(ALT, "GetObject", access, of_object=kept(MINE, (AUTHENTICATED_USERS, READ))) is NOTHING


def test_restricted_public_buckets() -> None:
    """A public policy lets nobody of another account in, not even those whom it names; one that is not public does."""
    statements = (opens("s3:GetObject"), opens("s3:PutObject", who={"AWS": "444455556666"}))
    for block in (Block(restrict_buckets=True), ALL_BLOCKED):
        access = policy(*statements, block=block)
        for who, name in ((ANONYMOUS, "GetObject"), (ALT, "GetObject"), (ALT, "PutObject")):
            assert may(who, name, access) is NOTHING
        assert may(BOB, "GetObject", access) is ALLOW
        assert may(ALT, "PutObject", policy(statements[1], block=block)) is ALLOW
    assert may(ANONYMOUS, "GetObject", policy(*statements, block=Block(True, True, True, False))) is ALLOW


# --- what is not there


@pytest.mark.parametrize(
    ("statements", "verdict"),
    [
        ([opens("s3:GetObject")], NOTHING),
        ([opens("s3:GetObject"), opens("s3:ListBucket", resource=ALL)], ALLOW),
        ([opens("s3:ListBucket", resource=ALL)], ALLOW),
        ([closes("s3:GetObject"), opens("s3:ListBucket", resource=ALL)], DENY),
        ([opens("s3:GetObject"), closes("s3:ListBucket", resource=ALL)], DENY),
    ],
)
def test_absence_is_told_to_who_may_list(statements: list[dict[str, Any]], verdict: Verdict) -> None:
    known = facts(ALT, "GetObject")
    asked = asks(OPERATIONS["GetObject"], known.request, MINE)
    assert decide_absent(asked, Bearer(ALT), policy(*statements), known).verdict is verdict
    if verdict is not DENY:
        assert decide_absent(asked, Bearer(ROOT), policy(*statements), facts(ROOT, "GetObject")).verdict is ALLOW


# --- what is looked up, and what is not


def test_the_fast_path() -> None:
    assert is_owners_root(Bearer(ROOT), bucket())
    assert not is_owners_root(Bearer(ROOT), policy(opens("s3:GetObject")))
    assert not is_owners_root(Bearer(ALT), bucket())
    assert not is_owners_root(Bearer(BOB), bucket())
    assert not is_owners_root(bearer(ROOT, session=document(statement("Allow", "s3:*"))), bucket())


@pytest.mark.parametrize(
    ("operation", "access", "expected"),
    [
        ("GetObject", bucket(ownership=ENFORCED), False),
        ("GetObject", bucket(), True),
        ("PutObject", bucket(), False),
        ("DeleteObject", bucket(), False),
        ("ListObjects", bucket(), False),
        ("ListBuckets", None, False),
        ("GetObject", policy(opens("s3:GetObject"), ownership=ENFORCED), False),
        (
            "GetObject",
            policy(
                opens("s3:GetObject", Condition={"StringEquals": {"s3:ExistingObjectTag/a": "b"}}), ownership=ENFORCED
            ),
            True,
        ),
        (
            "DeleteObject",
            policy(opens("s3:DeleteObject", Condition={"StringEquals": {"s3:ExistingObjectTag/a": "b"}})),
            True,
        ),
    ],
)
def test_when_the_object_is_needed(operation: str, access: BucketAccess | None, expected: bool) -> None:
    asked = asks(OPERATIONS[operation], facts(BOB, operation).request, MINE)
    assert needs_object(asked, Bearer(BOB), access) is expected


def test_the_log_can_say_which_statement_decided() -> None:
    access = policy(opens("s3:GetObject", Sid="let-in"), closes("s3:PutObject", Sid="keep-out"))
    known = facts(ALT, "GetObject")
    reading = Ask("s3:GetObject", object_arn("b", b"k"), "b", True)
    writing = Ask("s3:PutObject", object_arn("b", b"k"), "b", True)
    assert decide([reading], Bearer(ALT), access, known) == (ALLOW, "resource policy", "let-in")
    assert decide([reading, writing], Bearer(ALT), access, known) == (DENY, "resource policy", "keep-out")


def test_ten_policies_cost_little() -> None:
    """The issue allows 30 us for a user with ten policies; a crowded machine is given ten times that here."""
    texts = [document(statement("Allow", f"s3:Get{n}*", "s3:PutObject", resource=f"{ALL}{n}/*")) for n in range(9)]
    policies = [*(parse(text, "identity") for text in texts), parse(document(statement("Allow", "s3:*")), "identity")]
    asking, access, known = Bearer(BOB, policies), bucket(ownership=ENFORCED), facts(BOB, "GetObject")
    asked = asks(OPERATIONS["GetObject"], known.request, MINE)
    assert decide(asked, asking, access, known).verdict is ALLOW
    began = time.process_time()
    for _ in range(1000):
        decide(asks(OPERATIONS["GetObject"], known.request, MINE), asking, access, known)
    assert time.process_time() - began < 0.3
