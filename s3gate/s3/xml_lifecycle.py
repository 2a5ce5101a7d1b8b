"""LifecycleConfiguration: a client's document, judged as S3 judges it, and the bytes that the bucket keeps.

It knows what may be asked for and in which words S3 refuses the rest; what rules do to objects is in lifecycle.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection

from s3gate.s3.errors import S3Error, invalid_argument
from s3gate.s3.headers import Pairs
from s3gate.s3.request import Headers
from s3gate.s3.tags import check_object_tags
from s3gate.s3.xml_configurations import TAG, tags_of
from s3gate.s3.xml_in import malformed
from s3gate.s3.xml_shape import MANY, Node, choice, flag, group, moment, number, read, text, write

LIMIT_BYTES = 2 * 1024 * 1024
LIMIT_RULES = 1000
LIMIT_ID_CHARACTERS = 255
LIMIT_PREFIX_BYTES = 1024
LIMIT_NEWER_VERSIONS = 100
LIMIT_DAYS = 2_147_483_647

_MIDNIGHT = "T00:00:00.000Z"
MINIMUM_SIZE = "x-amz-transition-default-minimum-object-size"
DEFAULT_MINIMUM = "all_storage_classes_128K"
_MINIMUMS = (DEFAULT_MINIMUM, "varies_by_storage_class")

_CLASSES = ("GLACIER", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "DEEP_ARCHIVE", "GLACIER_IR")
_SIZES = (number("ObjectSizeGreaterThan", least=0), number("ObjectSizeLessThan", least=0))
_RULE = group(
    "Rule",
    text("ID", least=0),
    text("Prefix", least=0),
    group(
        "Filter",
        text("Prefix", least=0),
        group("Tag", *TAG, least=0),
        *_SIZES,
        group("And", text("Prefix", least=0), group("Tag", *TAG, least=0, most=MANY), *_SIZES, least=0),
        least=0,
    ),
    choice("Status", "Enabled", "Disabled"),
    group(
        "Transition",
        moment("Date", least=0),
        number("Days", least=0),
        text("StorageClass", pattern="[A-Z][A-Z0-9_]*"),
        least=0,
        most=MANY,
    ),
    group(
        "Expiration",
        moment("Date", least=0),
        number("Days", least=0),
        flag("ExpiredObjectDeleteMarker", least=0),
        least=0,
    ),
    group(
        "NoncurrentVersionTransition",
        number("NoncurrentDays", least=0),
        text("StorageClass", pattern="[A-Z][A-Z0-9_]*"),
        number("NewerNoncurrentVersions", least=0),
        least=0,
        most=MANY,
    ),
    group(
        "NoncurrentVersionExpiration",
        number("NoncurrentDays"),
        number("NewerNoncurrentVersions", least=0),
        least=0,
    ),
    group("AbortIncompleteMultipartUpload", number("DaysAfterInitiation"), least=0),
    most=MANY,
)
_CONFIGURATION = group("LifecycleConfiguration", _RULE)
_TRANSITIONS = ("Transition", "NoncurrentVersionTransition")
_ACTIONS = ("Expiration", "NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload", *_TRANSITIONS)


def canonical(data: bytes, classes: Collection[str] = ()) -> bytes:
    """The document to keep and to answer: every rule has an id. Transitions are to one of these storage classes."""
    found = read(data, _CONFIGURATION)
    rules = found.all("Rule")
    if len(rules) > LIMIT_RULES:
        message = f"The number of lifecycle rules must not exceed the allowed limit of {LIMIT_RULES} rules"
        raise _invalid_request(message)
    for place, rule in enumerate(rules):
        _check_scope(rule)
        _check_actions(rule)
        _check_transitions(rule, classes)
        _give_id(rule, place)
    if len({rule.value("ID") for rule in rules}) < len(rules):
        raise _invalid_argument("Rule ID must be unique. Found same ID for more than one rule")
    if len({rule.one("Filter") is None for rule in rules}) > 1:
        message = "Base level prefix cannot be used in Lifecycle V2, prefixes are only supported in the Filter."
        raise _invalid_request(message)
    return write(found, _CONFIGURATION)


def sealed(document: bytes, headers: Headers) -> bytes:
    """What a bucket keeps: the document, and before it what the request's header chose unless it is the default."""
    minimum = headers.get(MINIMUM_SIZE) or DEFAULT_MINIMUM
    if minimum not in _MINIMUMS:
        raise invalid_argument(MINIMUM_SIZE, minimum, f"Value for {MINIMUM_SIZE} header is invalid.")
    return document if minimum == DEFAULT_MINIMUM else minimum.encode() + b"\n" + document


def opened(kept: bytes) -> tuple[bytes, Pairs]:
    """The document of what was kept, and the header that goes with it."""
    before, mark, document = kept.partition(b"<?xml")
    return mark + document, [(MINIMUM_SIZE.encode(), before.strip() or DEFAULT_MINIMUM.encode())]


def rule_nodes(kept: bytes) -> list[Node]:
    """The rules of what a bucket keeps."""
    return read(opened(kept)[0], _CONFIGURATION).all("Rule")


def predicates(rule: Node) -> Node:
    """What holds the rule's prefix, tags and sizes: its Filter, the And within it, or (in old documents) itself."""
    return rule.one("Filter", "And") or rule.one("Filter") or rule


def _give_id(rule: Node, place: int) -> None:
    """The same document put again gets the same ids."""
    given = rule.value("ID")
    if not given:
        rule.below.pop("ID", None)
        digest = hashlib.sha256(repr((place, rule)).encode()).hexdigest()
        rule.below["ID"] = [Node(digest[:48])]
    elif len(given) > LIMIT_ID_CHARACTERS:
        raise _invalid_argument(f"ID length should not exceed allowed limit of {LIMIT_ID_CHARACTERS}")


def _check_scope(rule: Node) -> None:
    """Either an old prefix or a filter, which has one predicate, or And with two or more, or nothing at all."""
    found, both = rule.one("Filter"), rule.one("Filter", "And")
    if (found is None) == (rule.one("Prefix") is None):
        raise malformed()
    if found is not None:
        # An empty prefix beside another predicate says nothing: clients that always write one are let in.
        if found.value("Prefix") == "" and len(found.below) > 1:
            del found.below["Prefix"]
        if len(found.below) > 1:
            raise malformed()
    if both is not None and sum(len(nodes) for nodes in both.below.values()) < 2:
        raise malformed()
    scope = predicates(rule)
    if len((scope.value("Prefix") or "").encode()) > LIMIT_PREFIX_BYTES:
        raise _invalid_request(f"The maximum size of a prefix is {LIMIT_PREFIX_BYTES}.")
    tags = tags_of(scope)
    if len({key for key, _ in tags}) < len(tags):
        raise _invalid_request("Duplicate Tag Keys are not allowed.")
    check_object_tags(tags)
    _check_sizes(scope)


def _check_sizes(scope: Node) -> None:
    larger, smaller = scope.number("ObjectSizeGreaterThan"), scope.number("ObjectSizeLessThan")
    if larger is not None and larger < 0:
        raise _invalid_request("'ObjectSizeGreaterThan' must be a nonnegative integer.")
    if smaller is not None and smaller < 1:
        raise _invalid_request("'ObjectSizeLessThan' must be a positive integer.")
    if larger is not None and smaller is not None and smaller <= larger:
        raise _invalid_request("'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'.")


def _check_actions(rule: Node) -> None:
    if not any(rule.all(action) for action in _ACTIONS):
        raise _invalid_request("At least one action needs to be specified in a rule")
    _check_expiration(rule)
    scope = predicates(rule)
    sized = any(scope.one(shape.name) for shape in _SIZES)
    if rule.value("Expiration", "ExpiredObjectDeleteMarker") == "true":
        if scope.all("Tag"):
            raise _invalid_request("ExpiredObjectDeleteMarker cannot be specified with Tags.")
        if sized:
            raise malformed()
    if rule.one("AbortIncompleteMultipartUpload"):
        if scope.all("Tag"):
            raise _invalid_request("AbortIncompleteMultipartUpload cannot be specified with Tags.")
        if sized:
            raise _invalid_request("AbortIncompleteMultipartUpload cannot be specified with Object Size.")
    _check_days(rule, "NoncurrentVersionExpiration", "NoncurrentDays")
    _check_days(rule, "AbortIncompleteMultipartUpload", "DaysAfterInitiation")
    _check_newer("NoncurrentVersionExpiration", rule.one("NoncurrentVersionExpiration"))


def _check_transitions(rule: Node, classes: Collection[str]) -> None:
    """Each to a class that there is, at a time that is named once, and before the end."""
    for transition in (node for name in _TRANSITIONS for node in rule.all(name)):
        label = transition.value("StorageClass") or ""
        if label not in classes:
            if label not in _CLASSES:
                raise malformed()
            raise S3Error.of(
                "NotImplemented", f"Transition to {label} is not implemented: there is no such class here."
            )
    for action in _TRANSITIONS:
        labels = [node.value("StorageClass") for node in rule.all(action)]
        if len(set(labels)) < len(labels):
            raise _invalid_request(f"'StorageClass' must be different for '{action}' actions in same 'Rule'")
    end = rule.number("Expiration", "Days")
    timed = [node for action in ("Expiration", "Transition") for node in rule.all(action)]
    if any(node.one("Days") for node in timed) and any(node.one("Date") for node in timed):
        raise _invalid_request(
            "Found mixed 'Date' and 'Days' based Expiration and Transition actions in lifecycle rule"
        )
    for transition in rule.all("Transition"):
        days, date = transition.number("Days"), transition.value("Date")
        if (days is None) == (date is None):
            raise malformed()
        _check_nonnegative("Days", "Transition", days)
        if date is not None and not date.endswith(_MIDNIGHT):
            raise _invalid_argument("'Date' must be at midnight GMT")
        if end is not None and days is not None and days >= end:
            raise _invalid_argument(
                "'Days' in the Expiration action must be greater than 'Days' in the Transition action"
            )
    for transition in rule.all("NoncurrentVersionTransition"):
        if transition.one("NoncurrentDays") is None:
            raise malformed()
        _check_nonnegative("NoncurrentDays", "NoncurrentVersionTransition", transition.number("NoncurrentDays"))
        _check_newer("NoncurrentVersionTransition", transition)


def _check_nonnegative(name: str, action: str, days: int | None) -> None:
    if days is not None and days < 0:
        raise _invalid_argument(f"'{name}' in {action} action must be nonnegative")
    if days is not None and days > LIMIT_DAYS:
        raise malformed()


def _check_newer(action: str, node: Node | None) -> None:
    newer = None if node is None else node.number("NewerNoncurrentVersions")
    if newer is not None and not 1 <= newer <= LIMIT_NEWER_VERSIONS:
        message = f"'NewerNoncurrentVersions' for {action} action must be a positive integer of at most"
        raise _invalid_argument(f"{message} {LIMIT_NEWER_VERSIONS}")


def _check_expiration(rule: Node) -> None:
    expiration = rule.one("Expiration")
    if expiration is None:
        return
    asked = [name for name, nodes in expiration.below.items() if nodes[0].text != "false"]
    if not expiration.below or len(asked) > 1:
        raise malformed()
    _check_days(rule, "Expiration", "Days")
    date = expiration.value("Date")
    if date is not None and not date.endswith(_MIDNIGHT):
        raise _invalid_argument("'Date' must be at midnight GMT")


def _check_days(rule: Node, action: str, name: str) -> None:
    days = rule.number(action, name)
    if days is not None and days < 1:
        raise _invalid_argument(f"'{name}' for {action} action must be a positive integer")
    if days is not None and days > LIMIT_DAYS:
        raise malformed()


def _invalid_argument(message: str) -> S3Error:
    return S3Error.of("InvalidArgument", message)


def _invalid_request(message: str) -> S3Error:
    return S3Error.of("InvalidRequest", message)
