"""Access control lists: canned, by header and by document; what they grant to whom; how they are kept."""

from __future__ import annotations

import pytest

from s3gate.iam import acl, principal
from s3gate.iam.acl import ALL_USERS, AUTHENTICATED_USERS, FULL_CONTROL, LOG_DELIVERY, READ, READ_ACP, WRITE, Acl, Grant
from s3gate.iam.principal import ANONYMOUS, Principal
from s3gate.iam.statement import Named
from s3gate.s3 import xml_acl
from s3gate.s3.errors import S3Error
from s3gate.s3.request import Headers
from s3gate.s3.xml_out import Owner

OWNER, OTHER, THIRD = "a" * 64, "b" * 64, "c" * 64
ROOT = principal.root("111122223333", OWNER)
OTHER_ROOT = principal.root("444455556666", OTHER)
OTHER_USER = principal.user("444455556666", OTHER, "sam", "AIDASAM")
OTHER_SESSION = principal.role_session("444455556666", OTHER, "role", "AROA", "s")


def headers(**given: str) -> Headers:
    return Headers([(name.replace("_", "-").encode(), value.encode()) for name, value in given.items()])


def shown(found: Acl) -> list[tuple[str, str]]:
    return [(grant.grantee, grant.permission) for grant in found.grants]


FULL = (OWNER, FULL_CONTROL)


@pytest.mark.parametrize(
    ("name", "on_bucket", "grants"),
    [
        ("private", True, [FULL]),
        ("public-read", True, [FULL, (ALL_USERS, READ)]),
        ("public-read-write", True, [FULL, (ALL_USERS, READ), (ALL_USERS, WRITE)]),
        ("authenticated-read", True, [FULL, (AUTHENTICATED_USERS, READ)]),
        ("log-delivery-write", True, [FULL, (LOG_DELIVERY, WRITE), (LOG_DELIVERY, READ_ACP)]),
        ("bucket-owner-read", True, [FULL]),
        ("private", False, [FULL]),
        ("public-read", False, [FULL, (ALL_USERS, READ)]),
        ("aws-exec-read", False, [FULL, (acl.EC2, READ)]),
        ("bucket-owner-read", False, [FULL, (OTHER, READ)]),
        ("bucket-owner-full-control", False, [FULL, (OTHER, FULL_CONTROL)]),
    ],
)
def test_canned(name: str, on_bucket: bool, grants: list[tuple[str, str]]) -> None:
    assert shown(acl.canned(name, OWNER, OWNER if on_bucket else OTHER, on_bucket=on_bucket)) == grants


def test_the_bucket_owner_is_not_granted_twice() -> None:
    assert acl.canned("bucket-owner-full-control", OWNER, OWNER, on_bucket=False) == acl.private(OWNER)


@pytest.mark.parametrize(("name", "on_bucket"), [("public", True), ("log-delivery-write", False), ("", False)])
def test_what_is_not_canned(name: str, on_bucket: bool) -> None:
    with pytest.raises(S3Error) as caught:
        acl.canned(name, OWNER, OWNER, on_bucket=on_bucket)
    assert (caught.value.code, caught.value.message) == ("InvalidArgument", "")
    assert caught.value.extra == {"ArgumentName": "x-amz-acl", "ArgumentValue": name}


@pytest.mark.parametrize(
    ("text", "grants"),
    [
        (f'id="{OTHER}"', [(OTHER, READ)]),
        (f"id={OTHER}", [(OTHER, READ)]),
        (f'uri="{ALL_USERS}", id="{OTHER}"', [(ALL_USERS, READ), (OTHER, READ)]),
        (f'id="{OTHER}",id="{THIRD}"', [(OTHER, READ), (THIRD, READ)]),
        ('emailAddress="a@example.com"', [("email:a@example.com", READ)]),
    ],
)
def test_grant_headers(text: str, grants: list[tuple[str, str]]) -> None:
    found = acl.of_headers(headers(x_amz_grant_read=text), OWNER, OWNER, on_bucket=False)
    assert found is not None
    assert shown(found) == grants


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"x_amz_grant_read": "someone"}, "InvalidArgument"),
        ({"x_amz_grant_read": ""}, "InvalidArgument"),
        ({"x_amz_grant_read": 'id="me"'}, "InvalidArgument"),
        ({"x_amz_grant_read": 'uri="http://example.com/"'}, "InvalidArgument"),
        ({"x_amz_grant_read": f'id="{OTHER}" id="{THIRD}"'}, "InvalidArgument"),
        ({"x_amz_grant_read": f'id="{OTHER}"', "x_amz_acl": "private"}, "InvalidRequest"),
        ({"x_amz_grant_read": ",".join(f'id="{number:064x}"' for number in range(101))}, "InvalidRequest"),
    ],
)
def test_grant_headers_that_are_refused(given: dict[str, str], code: str) -> None:
    with pytest.raises(S3Error) as caught:
        acl.of_headers(headers(**given), OWNER, OWNER, on_bucket=False)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("text", "named"),
    [("someone", "x-amz-grant-read"), ('id="me"', "id"), ('uri="http://example.com/"', "uri")],
)
def test_grant_headers_name_what_is_wrong_with_them(text: str, named: str) -> None:
    with pytest.raises(S3Error) as caught:
        acl.of_headers(headers(x_amz_grant_read=text), OWNER, OWNER, on_bucket=False)
    assert caught.value.extra["ArgumentName"] == named


def test_no_headers_ask_for_nothing() -> None:
    assert acl.of_headers(headers(x_amz_meta_acl="x"), OWNER, OWNER, on_bucket=True) is None


@pytest.mark.parametrize(
    ("grants", "permission", "who", "named"),
    [
        ([(OTHER, READ)], READ, OTHER_ROOT, Named.EXACTLY),
        ([(OTHER, READ)], READ, OTHER_USER, Named.ACCOUNT),
        ([(OTHER, READ)], WRITE, OTHER_ROOT, Named.NOT),
        ([(OTHER, FULL_CONTROL)], WRITE, OTHER_ROOT, Named.EXACTLY),
        ([(OTHER, READ)], READ, ANONYMOUS, Named.NOT),
        ([(ALL_USERS, READ)], READ, ANONYMOUS, Named.EXACTLY),
        ([(ALL_USERS, READ)], READ, OTHER_USER, Named.EXACTLY),
        ([(ALL_USERS, READ)], READ, OTHER_SESSION, Named.ROLE),
        ([(AUTHENTICATED_USERS, READ)], READ, ANONYMOUS, Named.NOT),
        ([(AUTHENTICATED_USERS, READ)], READ, OTHER_USER, Named.EXACTLY),
        ([(LOG_DELIVERY, READ)], READ, OTHER_USER, Named.NOT),
        ([], READ, ROOT, Named.NOT),
        ([], READ_ACP, ROOT, Named.EXACTLY),
        ([], acl.WRITE_ACP, ROOT, Named.EXACTLY),
    ],
)
def test_whom_it_names(grants: list[tuple[str, str]], permission: str, who: Principal, named: Named) -> None:
    found = Acl(OWNER, tuple(Grant(*grant) for grant in grants))
    assert found.names(permission, who) is named


def test_public_grants_can_be_ignored() -> None:
    found = Acl(OWNER, (Grant(ALL_USERS, READ), Grant(OTHER, READ)))
    assert found.names(READ, ANONYMOUS, ignore_public=True) is Named.NOT
    assert found.names(READ, OTHER_ROOT, ignore_public=True) is Named.EXACTLY
    assert found.is_public
    assert not acl.private(OWNER).is_public


@pytest.mark.parametrize(
    "found",
    [
        acl.private(OTHER),
        Acl(OWNER, ()),
        acl.canned("public-read-write", OWNER, OWNER, on_bucket=True),
        acl.canned("log-delivery-write", OTHER, OTHER, on_bucket=True),
        Acl(OTHER, (Grant(THIRD, "READ_ACP"), Grant(THIRD, "WRITE_ACP"), Grant(AUTHENTICATED_USERS, READ))),
    ],
)
def test_keeping(found: Acl) -> None:
    kept = acl.pack(found, OWNER)
    assert kept
    assert acl.unpack(kept, OWNER) == found
    assert acl.owner_of(kept, OWNER) == found.owner


def test_what_is_private_to_the_bucket_owner_takes_no_room() -> None:
    assert acl.pack(acl.private(OWNER), OWNER) == b""
    assert acl.unpack(b"", OWNER) == acl.private(OWNER)
    assert acl.owner_of(b"", OWNER) == OWNER


def test_settling() -> None:
    asked = Acl(
        OWNER, (Grant(OWNER, READ), Grant(OTHER, READ), Grant("email:x@example.com", READ), Grant(ALL_USERS, READ))
    )
    assert acl.accounts_named(asked) == ({OWNER, OTHER}, {"x@example.com"})
    emails = {"x@example.com": THIRD}
    found = acl.settled(asked, {OTHER}.__contains__, emails.get)
    assert shown(found) == [(OWNER, READ), (OTHER, READ), (THIRD, READ), (ALL_USERS, READ)]
    with pytest.raises(S3Error) as caught:
        acl.settled(asked, {OTHER}.__contains__, lambda _: None)
    assert caught.value.code == "UnresolvableGrantByEmailAddress"
    with pytest.raises(S3Error) as caught:
        acl.settled(asked, set().__contains__, emails.get)
    assert (caught.value.code, caught.value.message) == ("InvalidArgument", "Invalid id")
    assert caught.value.extra == {"ArgumentName": "id", "ArgumentValue": OTHER}
    with pytest.raises(S3Error) as caught:
        acl.settled(asked, set().__contains__, emails.get, acl.IN_BODY)
    assert caught.value.extra["ArgumentName"] == "CanonicalUser/ID"


# --- the document


@pytest.mark.parametrize(
    "found",
    [acl.private(OWNER), Acl(OWNER, ()), acl.canned("log-delivery-write", OWNER, OWNER, on_bucket=True)],
)
def test_the_document_says_what_was_meant(found: Acl) -> None:
    named = [(each if ":" in each else Owner(each, "A & Co"), word) for each, word in found.grants]
    owner, grants = xml_acl.access_control_policy(xml_acl.acl(Owner(found.owner), named))
    assert owner == OWNER
    assert [(acl.grantee(each.kind, each.grantee), each.permission) for each in grants] == shown(found)


XSI = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
GRANTEE = f'<Grantee {XSI} xsi:type="CanonicalUser"><ID>{OTHER}</ID></Grantee>'
BY_EMAIL = f'<Grantee {XSI} xsi:type="AmazonCustomerByEmail"><EmailAddress>a@b.c</EmailAddress></Grantee>'


def policy(grants: str, owner: str = f"<Owner><ID>{OWNER}</ID><DisplayName>me</DisplayName></Owner>") -> bytes:
    return f"<AccessControlPolicy>{owner}<AccessControlList>{grants}</AccessControlList></AccessControlPolicy>".encode()


def grant(grantee: str = GRANTEE, permission: str = "READ") -> str:
    return f"<Grant>{grantee}<Permission>{permission}</Permission></Grant>"


def test_the_document_by_e_mail() -> None:
    assert xml_acl.access_control_policy(policy(grant(BY_EMAIL)))[1] == [("emailaddress", "a@b.c", "READ")]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<x/>",
        policy(grant(), owner=""),
        policy(grant(), owner="<Owner/>"),
        policy(grant(), owner="<Owner><ID/></Owner>"),
        policy(grant(), owner=f"<Owner><ID>{OWNER}</ID><Name/></Owner>"),
        policy("<Grants/>"),
        policy(grant(permission="EVERYTHING")),
        policy("<Grant/>"),
        policy(grant("<Grantee/>")),
        policy(grant(f"<Grantee><ID>{OTHER}</ID></Grantee>")),
        policy(grant(GRANTEE.replace("CanonicalUser", "Somebody"))),
        policy(grant(GRANTEE.replace("CanonicalUser", "Group"))),
        policy(grant() + "<Grant>"),
    ],
)
def test_documents_that_are_refused(data: bytes) -> None:
    with pytest.raises(S3Error) as caught:
        xml_acl.access_control_policy(data)
    assert caught.value.code == "MalformedACLError"
