"""Buckets: made, found, listed, deleted; and what every operation refuses alike."""

from __future__ import annotations

from dataclasses import replace

import pytest

from s3gate.catalog.errors import Unavailable
from s3gate.s3.errors import S3Error
from tests.operations.bench import Bench, code


def constraint(location: str) -> bytes:
    inner = f"<LocationConstraint>{location}</LocationConstraint>"
    return f"<CreateBucketConfiguration>{inner}</CreateBucketConfiguration>".encode()


async def test_a_bucket_comes_and_goes(bench: Bench) -> None:
    made = await bench.ask("PUT", "/new-bucket")
    assert (made.status, made.headers["location"], made.body) == (200, "/new-bucket", b"")
    assert (await bench.ask("HEAD", "/new-bucket")).headers["x-amz-bucket-region"] == "us-east-1"
    assert (await bench.ask("DELETE", "/new-bucket")).status == 204
    assert await code(bench.ask("HEAD", "/new-bucket")) == "NoSuchBucket"
    assert await code(bench.ask("DELETE", "/new-bucket")) == "NoSuchBucket"


async def test_making_it_again_is_a_success_in_the_classic_region(bench: Bench) -> None:
    """It makes the bucket's ACL anew and nothing else."""
    options = {"x-amz-object-ownership": "ObjectWriter"}
    shared = {**options, "x-amz-acl": "log-delivery-write"}
    for name, headers, grants in (("box", {}, 1), ("mine", options, 1), ("mine", shared, 3)):
        assert (await bench.ask("PUT", f"/{name}", headers=headers)).status == 200
        assert len((await bench.ask("GET", f"/{name}?acl")).texts("Grant")) == grants
    for headers in ({}, {"x-amz-object-ownership": "BucketOwnerEnforced"}):
        assert (await bench.ask("PUT", "/mine", headers=headers)).status == 200
        assert len((await bench.ask("GET", "/mine?acl")).texts("Grant")) == 1
        assert (await bench.ask("GET", "/mine?ownershipControls")).text("ObjectOwnership") == "ObjectWriter"
    disabled = bench.ask("PUT", "/box", headers=shared)  # in the bucket that there is, whatever a new one would have
    assert await code(disabled) == "InvalidBucketAclWithObjectOwnership"


@pytest.mark.parametrize(
    ("location", "error"),
    [
        ("eu-north-1", None),
        ("us-east-1", "IllegalLocationConstraintException"),
        ("EU", "IllegalLocationConstraintException"),
        ("mars", "InvalidLocationConstraint"),
    ],
)
async def test_other_regions_make_buckets_in_themselves_only(bench: Bench, location: str, error: str | None) -> None:
    bench.gate = replace(bench.gate, settings=replace(bench.gate.settings, region="eu-north-1"))
    asked = bench.ask("PUT", "/elsewhere", constraint(location))
    if error is not None:
        assert await code(asked) == error
    else:
        assert (await asked).status == 200
        assert await code(bench.ask("PUT", "/elsewhere", constraint(location))) == "BucketAlreadyOwnedByYou"


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (constraint("us-east-1"), None),
        (constraint(""), None),
        (constraint("mars"), "InvalidLocationConstraint"),
        (constraint("eu-north-1"), "InvalidLocationConstraint"),
        (b"<junk", "MalformedXML"),
        (b"<CreateBucketConfiguration>" + b" " * 70_000 + b"</CreateBucketConfiguration>", "MaxMessageLengthExceeded"),
    ],
)
async def test_location_constraints(bench: Bench, body: bytes, error: str | None) -> None:
    asked = bench.ask("PUT", "/elsewhere", body)
    if error is None:
        assert (await asked).status == 200
    else:
        assert await code(asked) == error
        assert "elsewhere" not in bench.catalog.buckets


@pytest.mark.parametrize(
    ("header", "value", "expected"),
    [
        ("x-amz-acl", "public-read", "InvalidBucketAclWithObjectOwnership"),
        ("x-amz-acl", "everything", "InvalidArgument"),
        ("x-amz-grant-read", "id=x", "InvalidArgument"),
        ("x-amz-object-ownership", "Mine", "InvalidArgument"),
        ("x-amz-tagging", "a=b", "NotImplemented"),
    ],
)
async def test_headers_that_are_refused(bench: Bench, header: str, value: str, expected: str) -> None:
    assert await code(bench.ask("PUT", "/new-bucket", headers={header: value})) == expected
    assert "new-bucket" not in bench.catalog.buckets


async def test_harmless_headers_pass(bench: Bench) -> None:
    headers = {"x-amz-bucket-object-lock-enabled": "false", "x-amz-acl": "private"}
    assert (await bench.ask("PUT", "/new-bucket", headers=headers)).status == 200


@pytest.mark.parametrize("name", ["ab", "UPPER", "a..b", "1.2.3.4", "a" * 64, "x_y", "%00abc"])
@pytest.mark.parametrize("target", ["/{}", "/{}/key"])
async def test_names_that_are_none(bench: Bench, name: str, target: str) -> None:
    assert await code(bench.ask("PUT", target.format(name))) == "InvalidBucketName"


async def test_a_bucket_with_content_stays(bench: Bench) -> None:
    await bench.put("/box/k")
    with pytest.raises(S3Error) as caught:
        await bench.ask("DELETE", "/box")
    assert (caught.value.code, caught.value.extra) == ("BucketNotEmpty", {"BucketName": "box"})
    assert "versions" not in caught.value.message
    enabled = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    await bench.ask("PUT", "/box?versioning", enabled)
    await bench.ask("DELETE", "/box/k")
    with pytest.raises(S3Error) as caught:
        await bench.ask("DELETE", "/box")
    assert caught.value.message.endswith("You must delete all versions in the bucket.")


async def test_configuration_reads(bench: Bench) -> None:
    assert (await bench.ask("GET", "/box?location")).text("LocationConstraint") == ""
    assert b"<VersioningConfiguration" in (await bench.ask("GET", "/box?versioning")).body
    for query in ("location", "versioning"):
        assert await code(bench.ask("GET", f"/none-such?{query}")) == "NoSuchBucket"


async def test_list_buckets_in_pages(bench: Bench) -> None:
    for name in ("aaa", "aab", "abb"):
        await bench.ask("PUT", f"/{name}")
    assert (await bench.ask("GET", "/")).texts("Name") == ["aaa", "aab", "abb", "box"]
    page = await bench.ask("GET", "/?max-buckets=1&prefix=aa")
    assert page.texts("Name") == ["aaa"]
    page = await bench.ask("GET", f"/?max-buckets=1&prefix=aa&continuation-token={page.text('ContinuationToken')}")
    assert page.texts("Name") == ["aab"]
    assert page.text("ContinuationToken") is None
    assert (await bench.ask("GET", "/?bucket-region=mars")).texts("Name") == []
    assert await code(bench.ask("GET", "/?max-buckets=0")) == "InvalidArgument"


async def test_expected_owner(bench: Bench) -> None:
    owner = bench.catalog.buckets["box"].owner
    await bench.put("/box/k")
    for method, target in [("HEAD", "/box"), ("GET", "/box/k"), ("GET", "/box"), ("PUT", "/box/k")]:
        assert (
            await code(bench.ask(method, target, headers={"x-amz-expected-bucket-owner": "9" * 12})) == "AccessDenied"
        )
        wrong = bench.ask(method, target, headers={"x-amz-expected-bucket-owner": "0"})
        assert await code(wrong) == "InvalidBucketOwnerAWSAccountID"
        assert (await bench.ask(method, target, headers={"x-amz-expected-bucket-owner": owner})).status == 200


async def test_a_catalog_that_is_away_is_503_with_retry_after(bench: Bench) -> None:
    bench.catalog.fail["find_bucket"] = Unavailable()
    with pytest.raises(S3Error) as caught:
        await bench.ask("HEAD", "/box")
    assert (caught.value.code, caught.value.status) == ("ServiceUnavailable", 503)
    assert caught.value.headers["retry-after"] == "1"


async def test_keys_have_a_limit(bench: Bench) -> None:
    assert (await bench.put("/box/" + "k" * 1024)).status == 200
    for method in ("GET", "PUT", "HEAD", "DELETE"):
        assert await code(bench.ask(method, "/box/" + "k" * 1025)) == "KeyTooLongError"
