"""The context of a request: which condition keys it has, and their values.

A key is computed when a policy asks for it, from the request's line and headers, from who asks, and from what the
caller found beside them (the object's tags, the body). What a request does not have is absent, never empty.

The keys of bucket tags (aws:ResourceTag, s3:BucketTag) are absent: at AWS they are there only for buckets whose
attribute-based access control was switched on by PutBucketAbac.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache

from s3gate.iam.principal import Kind, Principal
from s3gate.s3 import tags
from s3gate.s3.credentials import Authentication
from s3gate.s3.dates import iso_seconds, parse_iso
from s3gate.s3.errors import S3Error
from s3gate.s3.names import parse_copy_source
from s3gate.s3.operation import MAKERS
from s3gate.s3.request import Request
from s3gate.s3.sigv4 import instant

_CREATING = frozenset(("PutObject", "PostObject", "CopyObject", "CompleteMultipartUpload"))
_NEITHER = frozenset(("UploadPart", "UploadPartCopy", "CreateMultipartUpload"))
_MILLISECONDS = 1000
_DAY_SECONDS = 86_400
_TLS_1_0 = 0x0301
_NOTHING: Mapping[str, tuple[str, ...]] = {}


@dataclass(slots=True)
class Facts:
    """What is known when leave is asked."""

    request: Request
    operation: str
    principal: Principal
    auth: Authentication
    now: datetime
    region: str = ""
    owner_account: str = ""
    """The account that owns the bucket."""
    version_id: str | None = None
    """As it is on the wire, where the request's query does not say it (an entry of DeleteObjects, a copy's source)."""
    object_tags: bytes | None = None
    """As they are kept; None: there is no object, or nobody looked."""
    issued: int = 0
    """When temporary credentials were issued, in seconds since 1970; 0 for lasting ones."""
    said: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: _NOTHING)
    """What the body says, by key in canonical form: see `said_tags` and the like."""

    def values(self, key: str) -> tuple[str, ...] | None:
        """Those of a key in canonical form, or None."""
        said = self.said.get(key)
        if said is not None:
            return said
        if self.principal.claims and (claimed := self.principal.claims.get(key.lower())):
            return claimed
        stem, slash, tag = key.partition("/")
        if slash:
            of_tag = _TAGS.get(stem)
            return None if of_tag is None else of_tag(self, tag)
        several = _SEVERAL.get(key)
        if several is not None:
            return several(self)
        one = _ONE.get(key)
        if one is not None:
            value = one(self)
        elif key.startswith("s3:x-amz-"):
            value = self.request.headers.get(key[3:])
        else:
            value = None
        return None if value is None else (value,)


# --- what the body says, for operations that ask again when they have read it


def said_tags(given: Sequence[tags.Tag]) -> dict[str, tuple[str, ...]]:
    """The tags of a PutObjectTagging."""
    said: dict[str, tuple[str, ...]] = {f"s3:requestobjecttag/{key}": (value,) for key, value in given}
    if given:
        said["s3:requestobjecttagkeys"] = tuple(key for key, _ in given)
    return said


def said_retention(mode: str, until: datetime, now: datetime) -> dict[str, tuple[str, ...]]:
    """The retention of a PutObjectRetention."""
    return {
        "s3:object-lock-mode": (mode,),
        "s3:object-lock-retain-until-date": (iso_seconds(until),),
        "s3:object-lock-remaining-retention-days": (_days(until, now),),
    }


def said_hold(status: str) -> dict[str, tuple[str, ...]]:
    """The status of a PutObjectLegalHold."""
    return {"s3:object-lock-legal-hold": (status,)}


def said_bucket(location: str, given: Sequence[tags.Tag]) -> dict[str, tuple[str, ...]]:
    """The configuration of a CreateBucket."""
    said: dict[str, tuple[str, ...]] = {f"aws:requesttag/{key}": (value,) for key, value in given}
    if given:
        said["aws:tagkeys"] = tuple(key for key, _ in given)
    if location:
        said["s3:locationconstraint"] = (location,)
    return said


# --- one value


def _query(name: str) -> Callable[[Facts], str | None]:
    return lambda facts: facts.request.query.get(name)


def _header(name: str) -> Callable[[Facts], str | None]:
    return lambda facts: facts.request.headers.get(name)


def _version(facts: Facts) -> str | None:
    named = facts.version_id if facts.version_id is not None else facts.request.query.get("versionId")
    return named or None


def _creates(facts: Facts) -> str | None:
    """Parts of an upload are not objects yet: a policy that demands If-None-Match spares them by this key."""
    if facts.operation in _CREATING:
        return "true"
    return "false" if facts.operation in _NEITHER else None


def _signature_version(facts: Facts) -> str | None:
    if facts.auth.is_anonymous:
        return None
    return "AWS4-HMAC-SHA256" if facts.auth.scope else "AWS"


def _auth_type(facts: Facts) -> str | None:
    if facts.auth.is_anonymous:
        return None
    if facts.operation == "PostObject":
        return "POST"
    return "REST-QUERY-STRING" if facts.auth.presigned else "REST-HEADER"


def _signature_age(facts: Facts) -> str | None:
    signed = instant(facts.auth.timestamp)
    return None if signed is None else str(max(0, int((facts.now - signed).total_seconds() * _MILLISECONDS)))


def _retain_until(facts: Facts) -> str | None:
    text = facts.request.headers.get("x-amz-object-lock-retain-until-date")
    until = None if text is None else parse_iso(text)
    return None if until is None else iso_seconds(until)


def _remaining_days(facts: Facts) -> str | None:
    text = facts.request.headers.get("x-amz-object-lock-retain-until-date")
    until = None if text is None else parse_iso(text)
    return None if until is None else _days(until, facts.now)


def _days(until: datetime, now: datetime) -> str:
    """Begun days count whole."""
    return str(-int(-(until - now).total_seconds() // _DAY_SECONDS))


def _of_principal(name: str) -> Callable[[Facts], str | None]:
    return lambda facts: getattr(facts.principal, name) or None


def _username(facts: Facts) -> str | None:
    return facts.principal.name if facts.principal.kind is Kind.USER else None


def _tls_version(facts: Facts) -> str | None:
    number = facts.request.tls_version
    return f"1.{number - _TLS_1_0}" if number else None


def _token_issue_time(facts: Facts) -> str | None:
    return iso_seconds(datetime.fromtimestamp(facts.issued, UTC)) if facts.issued else None


def _mfa(facts: Facts) -> str | None:
    """Lasting keys do not have the key at all; nobody here has a second factor."""
    return "false" if facts.issued else None


_ONE: dict[str, Callable[[Facts], str | None]] = {
    "s3:prefix": _query("prefix"),
    "s3:delimiter": _query("delimiter"),
    "s3:max-keys": _query("max-keys"),
    "s3:versionid": _version,
    "s3:objectcreationoperation": _creates,
    "s3:if-match": _header("if-match"),
    "s3:if-none-match": _header("if-none-match"),
    "s3:signatureversion": _signature_version,
    "s3:authtype": _auth_type,
    "s3:signatureage": _signature_age,
    "s3:tlsversion": _tls_version,
    "s3:resourceaccount": lambda facts: facts.owner_account or None,
    "s3:object-lock-mode": _header("x-amz-object-lock-mode"),
    "s3:object-lock-retain-until-date": _retain_until,
    "s3:object-lock-remaining-retention-days": _remaining_days,
    "s3:object-lock-legal-hold": _header("x-amz-object-lock-legal-hold"),
    "aws:securetransport": lambda facts: "true" if facts.request.scheme == "https" else "false",
    "aws:sourceip": lambda facts: facts.request.remote or None,
    "aws:useragent": _header("user-agent"),
    "aws:referer": _header("referer"),
    "aws:currenttime": lambda facts: iso_seconds(facts.now),
    "aws:epochtime": lambda facts: str(int(facts.now.timestamp())),
    "aws:username": _username,
    "aws:userid": _of_principal("user_id"),
    "aws:principalarn": _of_principal("entity_arn"),
    "aws:principalaccount": _of_principal("account_id"),
    "aws:principaltype": lambda facts: facts.principal.kind.value,
    "aws:sourceidentity": _of_principal("source_identity"),
    "aws:federatedprovider": _of_principal("provider"),
    "aws:principalisawsservice": lambda facts: "false",
    "aws:viaawsservice": lambda facts: "false",
    "aws:resourceaccount": lambda facts: facts.owner_account or None,
    "aws:requestedregion": lambda facts: facts.region or None,
    "aws:tokenissuetime": _token_issue_time,
    "aws:multifactorauthpresent": _mfa,
}


# --- several, or one of a kind


def _copy_source(facts: Facts) -> tuple[str, ...] | None:
    """The source decoded, without its version, and with the slash before it that policies are written with or not."""
    text = facts.request.headers.get("x-amz-copy-source")
    if text is None:
        return None
    try:
        bucket, key, _ = parse_copy_source(text)
    except S3Error:
        return (text,)
    name = f"{bucket}/{key.decode('utf-8', 'replace')}"
    return name, f"/{name}"


def _request_tags(facts: Facts) -> dict[str, str]:
    if facts.operation not in MAKERS:
        return {}
    try:
        return dict(tags.unpack(tags.of_header(facts.request.headers)))
    except S3Error:  # the operation refuses it
        return {}


def _request_tag_keys(facts: Facts) -> tuple[str, ...] | None:
    return tuple(_request_tags(facts)) or None


def _request_tag(facts: Facts, tag: str) -> tuple[str, ...] | None:
    value = _request_tags(facts).get(tag)
    return None if value is None else (value,)


def _existing_tag(facts: Facts, tag: str) -> tuple[str, ...] | None:
    if not facts.object_tags:
        return None
    value = _unpacked(facts.object_tags).get(tag)
    return None if value is None else (value,)


def _principal_tag(facts: Facts, tag: str) -> tuple[str, ...] | None:
    """The keys of IAM's tags are the same in any case."""
    lowered = tag.lower()
    return next(((value,) for key, value in facts.principal.tags.items() if key.lower() == lowered), None)


@lru_cache(maxsize=1024)
def _unpacked(kept: bytes) -> dict[str, str]:
    return dict(tags.unpack(kept))


_SEVERAL: dict[str, Callable[[Facts], tuple[str, ...] | None]] = {
    "s3:x-amz-copy-source": _copy_source,
    "s3:requestobjecttagkeys": _request_tag_keys,
}
_TAGS: dict[str, Callable[[Facts, str], tuple[str, ...] | None]] = {
    "s3:existingobjecttag": _existing_tag,
    "s3:requestobjecttag": _request_tag,
    "aws:principaltag": _principal_tag,
}
