"""The configurations that S3 keeps and shows: metrics, analytics, inventory, tiering, payment, acceleration.

A table of what each document may hold. Nothing here acts on them: of what they ask for, S3 itself shows nothing but
the document.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from s3gate.s3.errors import S3Error
from s3gate.s3.tags import check_object_tags
from s3gate.s3.xml_in import malformed
from s3gate.s3.xml_out import DECLARATION, NAMESPACE, document, element
from s3gate.s3.xml_shape import MANY, Node, Shape, choice, flag, group, number, read, text, write

MOST_CONFIGURATIONS = 1000
PAGE_CONFIGURATIONS = 100
"""How many of one kind a bucket has, and how many a page of the list has, at AWS and here."""

_ID = text("Id", pattern=r"[A-Za-z0-9._-]{1,64}")
TAG = (text("Key"), text("Value"))


def _filter(*more: Shape) -> Shape:
    """One predicate, or several below And."""
    return group(
        "Filter",
        text("Prefix", least=0),
        group("Tag", *TAG, least=0),
        *more,
        group("And", text("Prefix", least=0), group("Tag", *TAG, least=0, most=MANY), *more, least=0),
        least=0,
    )


_METRICS = group("MetricsConfiguration", _ID, _filter(text("AccessPointArn", least=0)))
_ANALYTICS = group(
    "AnalyticsConfiguration",
    _ID,
    _filter(),
    group(
        "StorageClassAnalysis",
        group(
            "DataExport",
            choice("OutputSchemaVersion", "V_1"),
            group(
                "Destination",
                group(
                    "S3BucketDestination",
                    choice("Format", "CSV"),
                    text("BucketAccountId", least=0),
                    text("Bucket"),
                    text("Prefix", least=0),
                ),
            ),
            least=0,
        ),
    ),
)
_INVENTORY_FIELDS = (
    "Size",
    "LastModifiedDate",
    "StorageClass",
    "ETag",
    "IsMultipartUploaded",
    "ReplicationStatus",
    "EncryptionStatus",
    "ObjectLockRetainUntilDate",
    "ObjectLockMode",
    "ObjectLockLegalHoldStatus",
    "ObjectLockEventHoldStatus",
    "ObjectLockEventHoldDuration",
    "IntelligentTieringAccessTier",
    "BucketKeyStatus",
    "ChecksumAlgorithm",
    "ObjectAccessControlList",
    "ObjectOwner",
    "LifecycleExpirationDate",
    "IntelligentTieringReferenceDate",
)
_INVENTORY = group(
    "InventoryConfiguration",
    group(
        "Destination",
        group(
            "S3BucketDestination",
            text("AccountId", least=0),
            text("Bucket"),
            choice("Format", "CSV", "ORC", "Parquet"),
            text("Prefix", least=0),
            group("Encryption", group("SSE-S3", least=0), group("SSE-KMS", text("KeyId"), least=0), least=0),
        ),
    ),
    flag("IsEnabled"),
    group("Filter", text("Prefix"), least=0),
    _ID,
    choice("IncludedObjectVersions", "All", "Current"),
    group("OptionalFields", choice("Field", *_INVENTORY_FIELDS, least=0, most=MANY), least=0),
    group("Schedule", choice("Frequency", "Daily", "Weekly")),
)
_TIERING = group(
    "IntelligentTieringConfiguration",
    _ID,
    _filter(),
    choice("Status", "Enabled", "Disabled"),
    group("Tiering", number("Days"), choice("AccessTier", "ARCHIVE_ACCESS", "DEEP_ARCHIVE_ACCESS"), most=2),
)
_TIERING_DAYS = {"ARCHIVE_ACCESS": (90, 730), "DEEP_ARCHIVE_ACCESS": (180, 730)}

_PAYMENT = group("RequestPaymentConfiguration", choice("Payer", "BucketOwner", "Requester"))
_ACCELERATION = group("AccelerateConfiguration", choice("Status", "Enabled", "Suspended"))


@dataclass(frozen=True, slots=True)
class Kind:
    """Configurations of which a bucket has many, each with an id: the setting's kind, document and list."""

    setting: str
    shape: Shape
    list_root: str


METRICS = Kind("metrics", _METRICS, "ListMetricsConfigurationsResult")
ANALYTICS = Kind("analytics", _ANALYTICS, "ListBucketAnalyticsConfigurationsResult")
INVENTORY = Kind("inventory", _INVENTORY, "ListInventoryConfigurationsResult")
TIERING = Kind("intelligent-tiering", _TIERING, "ListBucketIntelligentTieringConfigurationsOutput")


def configuration(kind: Kind, data: bytes, setting_id: str) -> bytes:
    """The document to keep, which must carry the id that the request names."""
    found = read(data, kind.shape)
    if found.value("Id") != setting_id:
        raise malformed()
    if kind is not INVENTORY:
        check_filter(found.one("Filter"))
    if kind is TIERING:
        _check_tierings(found.all("Tiering"))
    return write(found, kind.shape)


def configurations(kind: Kind, documents: Iterable[bytes], token: str | None, next_token: str | None) -> bytes:
    """One page of the list."""
    root = kind.shape.name
    start, end = f'{DECLARATION}<{root} xmlns="{NAMESPACE}">', f"</{root}>"
    inner = [f"<{root}>{each.decode().removeprefix(start).removesuffix(end)}</{root}>" for each in documents]
    truncated = element("IsTruncated", "false" if next_token is None else "true")
    tokens = element("ContinuationToken", token), element("NextContinuationToken", next_token)
    return document(kind.list_root, (truncated, *tokens, *inner))


def request_payment(data: bytes) -> bytes:
    """Of PutBucketRequestPayment."""
    return write(read(data, _PAYMENT), _PAYMENT)


def default_request_payment() -> bytes:
    """Of a bucket that was told nothing."""
    return write(Node(below={"Payer": [Node("BucketOwner")]}), _PAYMENT)


@lru_cache(maxsize=8)
def requester_pays(document: bytes) -> bool:
    """Whether a document that was kept says so."""
    return read(document, _PAYMENT).value("Payer") == "Requester"


def acceleration(data: bytes) -> bytes:
    """Of PutBucketAccelerateConfiguration."""
    return write(read(data, _ACCELERATION), _ACCELERATION)


def no_acceleration() -> bytes:
    """Of a bucket on which it was never set: it says nothing."""
    return document("AccelerateConfiguration", ())


def check_filter(found: Node | None) -> None:
    """Exactly one predicate, or And with two or more of them; tags as objects may have them."""
    if found is None:
        return
    if sum(len(nodes) for nodes in found.below.values()) != 1:
        raise malformed()
    both = found.one("And")
    if both is not None and sum(len(nodes) for nodes in both.below.values()) < 2:
        raise malformed()
    check_object_tags(tags_of(both or found))


def tags_of(predicates: Node) -> list[tuple[str, str]]:
    """The tags that a filter names."""
    return [(tag.value("Key") or "", tag.value("Value") or "") for tag in predicates.all("Tag")]


def _check_tierings(tierings: list[Node]) -> None:
    tiers = [tiering.value("AccessTier") or "" for tiering in tierings]
    if len(set(tiers)) != len(tiers):
        raise malformed()
    for tier, tiering in zip(tiers, tierings, strict=True):
        least, most = _TIERING_DAYS[tier]
        if not least <= (tiering.number("Days") or 0) <= most:
            message = f"'Days' for the access tier {tier} must be between {least} and {most}"
            raise S3Error.of("InvalidArgument", message, ArgumentName="Days", ArgumentValue=tiering.value("Days") or "")
