"""Two accounts and nobody in particular, around one bucket: what ACLs, policies and ownership let each of them do."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from s3gate.catalog.identity_rows import AccountRow, IdentityRow
from s3gate.iam import principal
from s3gate.iam.acl import ALL_USERS
from s3gate.identity.identity import Identity
from s3gate.identity.naming import MAIN_ACCOUNT_ID, MAIN_CANONICAL_ID
from s3gate.s3 import xml_acl
from s3gate.s3.credentials import Authentication, Credential, PayloadMode
from tests.operations.bench import ROOT, Bench, Reply, code
from tests.operations.fakes import NOW

ALT = Authentication("ALT", PayloadMode.UNSIGNED, scope="20261123/us-east-1/s3/aws4_request")
NOBODY = Authentication.ANONYMOUS
ALT_ID, ALT_ACCOUNT = "b" * 64, "444455556666"
KEY = "/box/key"


@pytest.fixture
async def shared(bench: Bench) -> Bench:
    """The box with ACLs enabled and nothing blocked, and a second account."""
    accounts = await bench.identities.accounts()
    accounts[ALT_ACCOUNT] = AccountRow(ALT_ACCOUNT, ALT_ID, "alt", "alt@example.com", "", False, NOW)
    bench.identities.known["ALT"] = Identity(principal.root(ALT_ACCOUNT, ALT_ID), Credential("ALT", "secret"), 1)
    await bench.ask("DELETE", "/box?publicAccessBlock")
    await own(bench, "ObjectWriter")
    return bench


async def own(bench: Bench, ownership: str) -> None:
    document = f"<OwnershipControls><Rule><ObjectOwnership>{ownership}</ObjectOwnership></Rule></OwnershipControls>"
    assert (await bench.ask("PUT", "/box?ownershipControls", document.encode())).status == 200


async def let(bench: Bench, *actions: str, effect: str = "Allow", who: object = "*") -> None:
    resource = ["arn:aws:s3:::box", "arn:aws:s3:::box/*"]
    statement = {"Effect": effect, "Principal": who, "Action": list(actions), "Resource": resource}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]}).encode()
    assert (await bench.ask("PUT", "/box?policy", document)).status == 204


async def grant(bench: Bench, target: str, **headers: str) -> None:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    assert (await bench.ask("PUT", target, b"", named)).status == 200


async def owner(bench: Bench, auth: Authentication = ROOT) -> str:
    return xml_acl.access_control_policy((await bench.ask("GET", f"{KEY}?acl", auth=auth)).body)[0]


async def refused(bench: Bench, method: str, target: str, auth: Authentication, **more: Any) -> bool:
    return await code(bench.ask(method, target, auth=auth, **more)) == "AccessDenied"


async def test_nothing_is_shared_unasked(shared: Bench) -> None:
    await shared.put(KEY)
    for auth in (ALT, NOBODY):
        for method, target in (
            ("GET", KEY),
            ("HEAD", KEY),
            ("PUT", KEY),
            ("DELETE", KEY),
            ("GET", "/box"),
            ("GET", "/box?acl"),
            ("GET", f"{KEY}?acl"),
            ("GET", "/box?policy"),
            ("GET", "/box/missing"),
        ):
            assert await refused(shared, method, target, auth), (method, target)


async def test_an_object_for_everybody(shared: Bench) -> None:
    await shared.put(KEY, headers={"x-amz-acl": "public-read"})
    for auth in (ALT, NOBODY):
        assert (await shared.ask("GET", KEY, auth=auth)).body == b"hello"
        assert await refused(shared, "GET", f"{KEY}?acl", auth)
        assert await refused(shared, "GET", "/box/missing", auth)
    await grant(shared, "/box?acl", x_amz_acl="public-read")
    assert await code(shared.ask("GET", "/box/missing", auth=NOBODY)) == "NoSuchKey"
    assert (await shared.ask("GET", "/box", auth=NOBODY)).status == 200


async def test_what_another_account_writes_is_its_own(shared: Bench) -> None:
    await grant(shared, "/box?acl", x_amz_acl="public-read-write")
    assert (await shared.ask("PUT", KEY, b"theirs", auth=ALT)).status == 200
    assert await owner(shared, ALT) == ALT_ID
    assert (await shared.ask("GET", KEY, auth=ALT)).body == b"theirs"
    assert await refused(shared, "GET", KEY, ROOT)
    assert await refused(shared, "PUT", f"{KEY}?acl", ROOT, headers={"x-amz-acl": "private"})
    await own(shared, "BucketOwnerPreferred")
    assert await refused(shared, "GET", KEY, ROOT)
    assert (await shared.ask("DELETE", KEY)).status == 204
    assert (await shared.ask("PUT", KEY, b"x", {"x-amz-acl": "bucket-owner-full-control"}, auth=ALT)).status == 200
    assert (await shared.ask("GET", KEY)).body == b"x"
    assert await owner(shared) != ALT_ID
    assert await refused(shared, "GET", KEY, ALT)


async def test_listings_say_whose_each_object_is(shared: Bench) -> None:
    await grant(shared, "/box?acl", x_amz_acl="public-read-write")
    await shared.put("/box/a")
    assert (await shared.ask("PUT", KEY, b"theirs", auth=ALT)).status == 200
    assert (await shared.ask("POST", "/box/z?uploads", auth=ALT)).status == 200
    mine = shared.catalog.buckets["box"].owner
    pages = ["/box", "/box?list-type=2&fetch-owner=true", "/box?versions"]
    for target in pages:
        assert (await shared.ask("GET", target)).texts("ID") == [mine, ALT_ID], target
    assert (await shared.ask("GET", "/box?uploads")).texts("ID") == [ALT_ID, ALT_ID]
    await grant(shared, "/box?acl", x_amz_acl="private")
    await own(shared, "BucketOwnerEnforced")
    for target in pages:
        assert (await shared.ask("GET", target)).texts("ID") == [mine, mine], target
    assert (await shared.ask("GET", "/box?uploads")).texts("ID") == [ALT_ID, mine]  # who began it stays who began it


async def test_what_another_account_gives_back(shared: Bench) -> None:
    await grant(shared, "/box?acl", x_amz_acl="public-read-write")
    assert (await shared.ask("PUT", KEY, b"x", {"x-amz-acl": "bucket-owner-read"}, auth=ALT)).status == 200
    assert (await shared.ask("GET", KEY)).body == b"x"
    assert await refused(shared, "GET", f"{KEY}?acl", ROOT)


async def test_enforced_ownership_makes_everything_the_buckets(shared: Bench) -> None:
    await grant(shared, "/box?acl", x_amz_acl="public-read-write")
    assert (await shared.ask("PUT", KEY, b"theirs", auth=ALT)).status == 200
    await grant(shared, "/box?acl", x_amz_acl="private")
    await own(shared, "BucketOwnerEnforced")
    assert (await shared.ask("GET", KEY)).body == b"theirs"
    assert await owner(shared) != ALT_ID
    assert await refused(shared, "GET", KEY, ALT)
    await let(shared, "s3:PutObject", who={"AWS": ALT_ACCOUNT})
    assert (await shared.ask("PUT", KEY, b"more", auth=ALT)).status == 200
    assert (await shared.ask("GET", KEY)).body == b"more"


async def test_grants_by_name(shared: Bench) -> None:
    await shared.put(KEY)
    for named in (f'id="{ALT_ID}"', 'emailAddress="Alt@example.com"'):
        await grant(shared, f"{KEY}?acl", x_amz_acl="private")
        assert await refused(shared, "GET", KEY, ALT)
        await grant(shared, f"{KEY}?acl", x_amz_grant_full_control=named)
        assert (await shared.ask("GET", KEY, auth=ALT)).status == 200
    assert await owner(shared, ALT) != ALT_ID
    answer: Reply = await shared.ask("GET", f"{KEY}?acl", auth=ALT)
    given = answer.body.replace(f"<ID>{ALT_ID}</ID>".encode(), f"<URI>{ALL_USERS}</URI>".encode())
    given = given.replace(b'"CanonicalUser"', b'"Group"')
    assert (await shared.ask("PUT", f"{KEY}?acl", given, auth=ALT)).status == 200
    assert (await shared.ask("GET", KEY, auth=NOBODY)).status == 200


async def test_an_acl_is_not_put_on_what_took_the_objects_place(shared: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one who may change it loses the race against another account's object."""
    await grant(shared, "/box?acl", x_amz_acl="public-read-write")
    await shared.ask("PUT", KEY, b"first", auth=ALT)
    put_acl = shared.catalog.put_acl

    async def late(*given: Any) -> Any:
        await shared.put(KEY, b"secret")
        return await put_acl(*given)

    monkeypatch.setattr(shared.catalog, "put_acl", late)
    headers = {"x-amz-acl": "public-read"}
    assert await code(shared.ask("PUT", f"{KEY}?acl", b"", headers, auth=ALT)) == "OperationAborted"
    assert await refused(shared, "GET", KEY, ALT)


async def test_what_is_read_is_what_was_allowed(shared: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """One look finds the bucket, the object and who may have it: nothing can take its place in between."""
    await shared.put(KEY, headers={"x-amz-acl": "public-read"})
    find_object, looks = shared.catalog.find_object, 0

    async def late(*given: Any) -> Any:
        nonlocal looks
        looks += 1
        await shared.put(KEY, b"secret")
        return await find_object(*given)

    monkeypatch.setattr(shared.catalog, "find_object", late)
    assert await refused(shared, "GET", KEY, NOBODY)
    assert looks == 1


async def test_policies_let_in_and_keep_out(shared: Bench) -> None:
    await shared.put(KEY)
    await let(shared, "s3:GetObject", "s3:ListBucket")
    for auth in (ALT, NOBODY):
        assert (await shared.ask("GET", KEY, auth=auth)).status == 200
        assert (await shared.ask("GET", "/box?list-type=2", auth=auth)).status == 200
        assert await code(shared.ask("GET", "/box/missing", auth=auth)) == "NoSuchKey"
        assert await refused(shared, "PUT", KEY, auth)
    await let(shared, "s3:*", effect="Deny")
    for auth in (ROOT, ALT, NOBODY):
        assert await refused(shared, "GET", KEY, auth)
    assert (await shared.ask("DELETE", "/box?policy")).status == 204
    assert (await shared.ask("GET", KEY)).status == 200


async def test_a_copy_takes_leave_to_read_and_for_the_tags(shared: Bench) -> None:
    await let(shared, "s3:PutObject")
    await shared.put("/box/tagged", headers={"x-amz-tagging": "a=b"})
    await shared.put("/box/plain")
    plain, tagged = {"x-amz-copy-source": "box/plain"}, {"x-amz-copy-source": "box/tagged"}
    assert await refused(shared, "PUT", KEY, ALT, headers=plain)
    await let(shared, "s3:PutObject", "s3:GetObject")
    assert (await shared.ask("PUT", KEY, b"", plain, auth=ALT)).status == 200
    assert await refused(shared, "PUT", KEY, ALT, headers=tagged)
    assert (await shared.ask("PUT", KEY, b"", {**tagged, "x-amz-tagging-directive": "REPLACE"}, auth=ALT)).status == 200
    await let(shared, "s3:PutObject", "s3:GetObject", "s3:GetObjectTagging")
    assert await refused(shared, "PUT", KEY, ALT, headers=tagged)
    await let(shared, "s3:PutObject", "s3:GetObject", "s3:GetObjectTagging", "s3:PutObjectTagging")
    assert (await shared.ask("PUT", KEY, b"", tagged, auth=ALT)).status == 200
    assert await refused(shared, "PUT", KEY, ALT, headers={"x-amz-copy-source": "box/missing"})


async def test_public_access_is_blocked_at_once(shared: Bench) -> None:
    await shared.put(KEY, headers={"x-amz-acl": "public-read"})
    await shared.put("/box/plain")
    await let(shared, "s3:GetObject")
    ignoring = (
        b"<PublicAccessBlockConfiguration><IgnorePublicAcls>true</IgnorePublicAcls></PublicAccessBlockConfiguration>"
    )
    assert (await shared.ask("PUT", "/box?publicAccessBlock", ignoring)).status == 200
    assert (await shared.ask("GET", KEY, auth=NOBODY)).status == 200
    restricting = ignoring.replace(b"IgnorePublicAcls", b"RestrictPublicBuckets")
    assert (await shared.ask("PUT", "/box?publicAccessBlock", restricting)).status == 200
    assert (await shared.ask("GET", KEY, auth=NOBODY)).status == 200  # by its ACL
    assert await refused(shared, "GET", "/box/plain", NOBODY)
    assert await refused(shared, "GET", "/box/plain", ALT)
    assert (await shared.ask("GET", "/box/plain")).status == 200


async def test_who_would_lock_themselves_out_must_mean_it(shared: Bench) -> None:
    bob = principal.user(MAIN_ACCOUNT_ID, MAIN_CANONICAL_ID, "bob", "AIDABOB")
    shared.identities.known["BOB"] = Identity(bob, Credential("BOB", "secret"), 1)
    row = IdentityRow(MAIN_ACCOUNT_ID, "user", "bob", "AIDABOB", "/", b"", NOW)
    shared.identities.tables.rows[MAIN_ACCOUNT_ID, "user", "bob"] = row
    auth = replace(ALT, access_key="BOB")
    await let(shared, "s3:PutBucketPolicy", who={"AWS": bob.arn})
    document = (await shared.ask("GET", "/box?policy")).body.replace(b"s3:PutBucketPolicy", b"s3:ListBucket")
    asked = shared.ask("PUT", "/box?policy", document, auth=auth)
    assert await code(asked) == "InvalidRequest"
    headers = {"x-amz-confirm-remove-self-bucket-access": "true"}
    assert (await shared.ask("PUT", "/box?policy", document, headers, auth=auth)).status == 204
    assert await refused(shared, "PUT", "/box?policy", auth, body=document)


async def test_the_policy_is_for_the_owners_account_alone(shared: Bench) -> None:
    """Whoever else is allowed to see or change it: they hear that this is no method of theirs."""
    await let(shared, "s3:*")
    kept = (await shared.ask("GET", "/box?policy")).body
    for auth in (ALT, NOBODY):
        for method, body in (("GET", b""), ("PUT", kept), ("DELETE", b"")):
            assert await code(shared.ask(method, "/box?policy", body, auth=auth)) == "MethodNotAllowed"
    assert (await shared.ask("GET", "/box?policy")).body == kept
    await shared.ask("DELETE", "/box?policy")
    assert await refused(shared, "GET", "/box?policy", ALT)


async def test_making_a_bucket_again_changes_no_acl_that_may_not_be_changed(shared: Bench) -> None:
    await grant(shared, "/box?acl", x_amz_acl="public-read")
    await let(shared, "s3:PutBucketAcl", effect="Deny")
    shared.gate = replace(shared.gate, settings=replace(shared.gate.settings, block_public_access=False))
    for headers in ({}, {"x-amz-acl": "public-read-write", "x-amz-object-ownership": "ObjectWriter"}):
        assert await code(shared.ask("PUT", "/box", b"", headers)) == "AccessDenied"
    assert len((await shared.ask("GET", "/box?acl")).texts("Grant")) == 2
    same = {"x-amz-acl": "public-read", "x-amz-object-ownership": "ObjectWriter"}
    assert (await shared.ask("PUT", "/box", b"", same)).status == 200
    await shared.ask("DELETE", "/box?policy")
    assert (await shared.ask("PUT", "/box")).status == 200
    assert len((await shared.ask("GET", "/box?acl")).texts("Grant")) == 1
