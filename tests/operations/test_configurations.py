"""Configurations: put, shown, listed and removed, each refused in S3's words where it is wrong."""

from __future__ import annotations

from base64 import b64encode
from hashlib import md5

import pytest
from botocore.session import get_session

from s3gate.operations._configs import DIGEST_DEMANDED
from s3gate.s3.operation import OPERATIONS
from tests.operations.bench import Bench, code

DATA_EXPORT = (
    "<StorageClassAnalysis><DataExport><OutputSchemaVersion>V_1</OutputSchemaVersion><Destination>"
    "<S3BucketDestination><Format>CSV</Format><Bucket>arn:aws:s3:::b</Bucket></S3BucketDestination>"
    "</Destination></DataExport></StorageClassAnalysis>"
)
DESTINATION = (
    "<Destination><S3BucketDestination><Format>CSV</Format><Bucket>arn:aws:s3:::b</Bucket>"
    "<Encryption><SSE-S3/></Encryption></S3BucketDestination></Destination>"
)
KINDS = {
    "metrics": ("MetricsConfiguration", "<Filter><Prefix>a</Prefix></Filter>"),
    "analytics": ("AnalyticsConfiguration", DATA_EXPORT),
    "inventory": (
        "InventoryConfiguration",
        f"{DESTINATION}<IsEnabled>false</IsEnabled><IncludedObjectVersions>All</IncludedObjectVersions>"
        "<OptionalFields><Field>Size</Field><Field>ETag</Field></OptionalFields>"
        "<Schedule><Frequency>Daily</Frequency></Schedule>",
    ),
    "intelligent-tiering": (
        "IntelligentTieringConfiguration",
        "<Status>Enabled</Status><Tiering><Days>90</Days><AccessTier>ARCHIVE_ACCESS</AccessTier></Tiering>",
    ),
}


def named(kind: str, name: str, inner: str | None = None) -> bytes:
    root, usual = KINDS[kind]
    return f"<{root}><Id>{name}</Id>{usual if inner is None else inner}</{root}>".encode()


@pytest.mark.parametrize("kind", KINDS)
async def test_named_configurations(bench: Bench, kind: str) -> None:
    for name in ("b", "a"):
        assert (await bench.ask("PUT", f"/box?{kind}&id={name}", named(kind, name))).status == 200
    found = await bench.ask("GET", f"/box?{kind}&id=a")
    assert found.text("Id") == "a"
    assert (await bench.ask("PUT", f"/box?{kind}&id=a", found.body)).status == 200  # what is answered may be put
    assert (await bench.ask("GET", f"/box?{kind}&id=a")).body == found.body
    listed = await bench.ask("GET", f"/box?{kind}")
    assert listed.texts("Id") == ["a", "b"]
    assert listed.text("IsTruncated") == "false"
    assert (await bench.ask("DELETE", f"/box?{kind}&id=a")).status == 204
    assert (await bench.ask("GET", f"/box?{kind}")).texts("Id") == ["b"]
    for method in ("GET", "DELETE"):
        assert await code(bench.ask(method, f"/box?{kind}&id=a")) == "NoSuchConfiguration"
        assert await code(bench.ask(method, f"/nobox?{kind}&id=a")) == "NoSuchBucket"


@pytest.mark.parametrize("kind", KINDS)
async def test_what_a_named_configuration_may_not_be(bench: Bench, kind: str) -> None:
    usual = KINDS[kind][1]
    bad = [b"", b"<a/>", named(kind, "b"), named(kind, "a", "<Unknown/>" + usual), named(kind, "a", usual + usual)]
    codes = [await code(bench.ask("PUT", f"/box?{kind}&id=a", document)) for document in bad]
    assert codes == ["MissingRequestBodyError", *["MalformedXML"] * 4]
    wrong = "a%20b"
    assert await code(bench.ask("PUT", f"/box?{kind}&id={wrong}", named(kind, "a b"))) == "MalformedXML"


async def test_a_page_has_a_hundred_of_them(bench: Bench) -> None:
    for number in range(101):
        await bench.ask("PUT", f"/box?metrics&id=m{number:03}", named("metrics", f"m{number:03}"))
    first = await bench.ask("GET", "/box?metrics")
    assert (len(first.texts("Id")), first.text("IsTruncated")) == (100, "true")
    token = first.text("NextContinuationToken")
    second = await bench.ask("GET", f"/box?metrics&continuation-token={token}")
    assert (second.texts("Id"), second.text("ContinuationToken")) == (["m100"], token)
    assert await code(bench.ask("GET", "/box?metrics&continuation-token=x")) == "InvalidArgument"


async def test_a_bucket_has_at_most_a_thousand(bench: Bench) -> None:
    bucket = await bench.catalog.find_bucket("box", fresh=True)
    bench.catalog.named |= {(bucket.bucket_id, "metrics", f"m{number}"): b"" for number in range(1000)}
    assert await code(bench.ask("PUT", "/box?metrics&id=a", named("metrics", "a"))) == "TooManyConfigurations"
    assert (await bench.ask("PUT", "/box?metrics&id=m7", named("metrics", "m7"))).status == 200


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        ("<Filter/>", "MalformedXML"),
        ("<Filter><Prefix>a</Prefix><Tag><Key>k</Key><Value>v</Value></Tag></Filter>", "MalformedXML"),
        ("<Filter><And><Prefix>a</Prefix></And></Filter>", "MalformedXML"),
        ("<Filter><Tag><Key></Key><Value>v</Value></Tag></Filter>", "InvalidTag"),
        ("<Filter><Tag><Key>k</Key></Tag></Filter>", "MalformedXML"),
    ],
)
async def test_filters(bench: Bench, inner: str, expected: str) -> None:
    assert await code(bench.ask("PUT", "/box?metrics&id=a", named("metrics", "a", inner))) == expected


@pytest.mark.parametrize(
    ("tier", "days", "expected"),
    [
        ("ARCHIVE_ACCESS", 89, "InvalidArgument"),
        ("DEEP_ARCHIVE_ACCESS", 179, "InvalidArgument"),
        ("X", 90, "MalformedXML"),
    ],
)
async def test_days_of_tiers(bench: Bench, tier: str, days: int, expected: str) -> None:
    inner = f"<Status>Enabled</Status><Tiering><Days>{days}</Days><AccessTier>{tier}</AccessTier></Tiering>"
    document = named("intelligent-tiering", "a", inner)
    assert await code(bench.ask("PUT", "/box?intelligent-tiering&id=a", document)) == expected


async def test_payment_and_acceleration(bench: Bench) -> None:
    assert (await bench.ask("GET", "/box?requestPayment")).text("Payer") == "BucketOwner"
    payment = b"<RequestPaymentConfiguration><Payer>Requester</Payer></RequestPaymentConfiguration>"
    assert (await bench.ask("PUT", "/box?requestPayment", payment)).status == 200
    assert (await bench.ask("GET", "/box?requestPayment")).text("Payer") == "Requester"
    assert (await bench.ask("GET", "/box?accelerate")).text("Status") is None
    acceleration = b"<AccelerateConfiguration><Status>Suspended</Status></AccelerateConfiguration>"
    assert (await bench.ask("PUT", "/box?accelerate", acceleration)).status == 200
    assert (await bench.ask("GET", "/box?accelerate")).text("Status") == "Suspended"
    await bench.ask("PUT", "/a.dotted.box")
    assert await code(bench.ask("PUT", "/a.dotted.box?accelerate", acceleration)) == "InvalidRequest"
    assert await code(bench.ask("PUT", "/box?requestPayment", payment.replace(b"Requester", b"Me"))) == "MalformedXML"


RULES = (
    b"<LifecycleConfiguration><Rule><Filter/><Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule>"
    b"</LifecycleConfiguration>"
)


def with_md5(body: bytes) -> dict[str, str]:
    return {"content-md5": b64encode(md5(body).digest()).decode()}


async def test_lifecycle_rules(bench: Bench) -> None:
    assert await code(bench.ask("GET", "/box?lifecycle")) == "NoSuchLifecycleConfiguration"
    minimum = "x-amz-transition-default-minimum-object-size"
    put = await bench.ask("PUT", "/box?lifecycle", RULES, with_md5(RULES))
    assert (put.status, put.headers[minimum]) == (200, "all_storage_classes_128K")
    found = await bench.ask("GET", "/box?lifecycle")
    assert found.text("ID") and found.headers[minimum] == "all_storage_classes_128K"
    headers = with_md5(found.body) | {minimum: "varies_by_storage_class"}
    assert (await bench.ask("PUT", "/box?lifecycle", found.body, headers)).headers[minimum] == headers[minimum]
    again = await bench.ask("GET", "/box?lifecycle")
    assert (again.body, again.headers[minimum]) == (found.body, headers[minimum])
    for _ in range(2):
        assert (await bench.ask("DELETE", "/box?lifecycle")).status == 204
    assert await code(bench.ask("GET", "/box?lifecycle")) == "NoSuchLifecycleConfiguration"
    assert await code(bench.ask("GET", "/nobox?lifecycle")) == "NoSuchBucket"


async def test_rules_come_with_a_digest_of_any_kind(bench: Bench) -> None:
    assert await code(bench.ask("PUT", "/box?lifecycle", RULES)) == "InvalidRequest"
    assert await code(bench.ask("PUT", "/box?lifecycle", RULES, with_md5(b"other"))) == "BadDigest"
    for name in ("md5", "sha512", "xxhash3", "crc32c"):
        assert await code(bench.ask("PUT", "/box?lifecycle", RULES, {f"x-amz-checksum-{name}": "AAAA"})) != "BadDigest"
    checksum = {"x-amz-checksum-md5": with_md5(RULES)["content-md5"]}
    assert (await bench.ask("PUT", "/box?lifecycle", RULES, checksum)).status == 200


async def test_a_document_is_not_read_without_end(bench: Bench) -> None:
    long = b"<MetricsConfiguration>" + b" " * 300_000
    assert await code(bench.ask("PUT", "/box?metrics&id=a", long)) == "MaxMessageLengthExceeded"


TAKEN_BARE = {
    "PutBucketAcl": "s3cmd and minio's clients send none",
    "PutBucketEncryption": "S3 takes it without",
    "PutBucketLogging": "s3cmd sends none",
    "PutBucketNotification": "s3cmd sends none",
    "PutBucketOwnershipControls": "S3 takes it without",
    "PutBucketPolicy": "s3cmd and minio's clients send none",
    "PutBucketRequestPayment": "s3cmd sends none",
    "PutBucketVersioning": "S3 takes it without",
    "PutBucketWebsite": "s3cmd sends none",
    "PutObjectAcl": "s3cmd sends none",
    "PutObjectTagging": "S3 takes it without",
    "PutPublicAccessBlock": "S3 takes it without",
}


def test_the_model_says_which_operations_may_demand_a_digest() -> None:
    model = get_session().get_service_model("s3")
    operations = [model.operation_model(name) for name in model.operation_names]
    required = {each.name for each in operations if (each.http_checksum or {}).get("requestChecksumRequired")}
    built = {name for name in required if OPERATIONS[name].built}
    assert built <= DIGEST_DEMANDED | TAKEN_BARE.keys()
    assert required >= DIGEST_DEMANDED
    assert not DIGEST_DEMANDED & TAKEN_BARE.keys()
