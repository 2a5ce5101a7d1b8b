"""What a new version gets beside its bytes: tags and locks, from the request's headers and the bucket's defaults.

Also the way back: what a version's tags and locks are in the headers of an answer.
"""

from __future__ import annotations

from datetime import datetime

from s3gate.catalog.rows import COMPLIANCE, GOVERNANCE, HOLD_SAID, LEGAL_HOLD, PLAIN, BucketRow, Traits
from s3gate.operations.exchange import Call, RawHeaders
from s3gate.s3 import lock, tags
from s3gate.s3.checksums import parse_request
from s3gate.s3.dates import iso_milliseconds
from s3gate.s3.errors import S3Error
from s3gate.s3.lock import Asked, Retention
from s3gate.s3.request import Headers
from s3gate.s3.xml_lock import default_retention

LOCK_SETTING = "object-lock"

_MODE_BITS = {lock.GOVERNANCE: GOVERNANCE, lock.COMPLIANCE: COMPLIANCE}
_MODES = {bit: mode for mode, bit in _MODE_BITS.items()}
_MODE_MASK = GOVERNANCE | COMPLIANCE


def asked_tags(headers: Headers) -> bytes:
    """The tags that the headers name."""
    return tags.of_header(headers) if headers.get_bytes(b"x-amz-tagging") else b""


def asked_traits(call: Call, bucket: BucketRow, kept_tags: bytes | None = None) -> Traits:
    """Those that the headers ask for; `kept_tags` outweigh the header's, which still must be valid."""
    headers = call.request.headers
    named = asked_tags(headers)
    chosen = named if kept_tags is None else kept_tags
    asked = lock.of_write(headers, call.now)
    if asked is not None and not bucket.lock_enabled:
        raise lock.missing_configuration()
    bits, until = _lock_of(asked)
    return Traits(chosen, bits, until) if chosen or bits else PLAIN


def with_default_retention(traits: Traits, bucket: BucketRow, now: datetime) -> Traits:
    """The traits of an object that is made now, under the bucket's rule where its maker chose no retention."""
    if not bucket.lock_enabled or traits.lock & _MODE_MASK:
        return traits
    document = bucket.settings.get(LOCK_SETTING)
    rule = None if document is None else default_retention(document)
    if rule is None:
        return traits
    kept = rule.starting(now)
    return traits._replace(lock=traits.lock | _MODE_BITS[kept.mode], retain_until=kept.until)


def check_digest_of_locked(call: Call, traits: Traits, operation: str) -> None:
    """What is locked away for years must have arrived whole: S3 insists on a digest of it."""
    if traits.lock and not parse_request(call.request.headers, call.auth.payload).is_given:
        needed = "Content-MD5 OR x-amz-checksum- HTTP header is required"
        raise S3Error.of("InvalidRequest", f"{needed} for {operation} requests with Object Lock parameters")


def mode_bits(retention: Retention | None) -> int:
    """A retention's mode as the catalog keeps it; 0 for none."""
    return 0 if retention is None else _MODE_BITS[retention.mode]


def retention_of(bits: int, until: datetime | None) -> Retention | None:
    """What a version's row says of its retention."""
    mode = _MODES.get(bits & _MODE_MASK)
    return None if mode is None or until is None else Retention(mode, until)


def hold_of(bits: int) -> bool | None:
    """Whether there is a legal hold; None if nobody ever said."""
    return bool(bits & LEGAL_HOLD) if bits & (LEGAL_HOLD | HOLD_SAID) else None


def retention_headers(bits: int, until: datetime | None) -> RawHeaders:
    """What GET and HEAD answer of a version that is retained."""
    retention = retention_of(bits, until)
    if retention is None:
        return []
    moment = iso_milliseconds(retention.until)
    return [(lock.MODE.encode(), retention.mode.encode()), (lock.UNTIL.encode(), moment.encode())]


def hold_headers(bits: int) -> RawHeaders:
    """The same of a version of whose legal hold anybody ever said anything."""
    hold = hold_of(bits)
    return [] if hold is None else [(lock.HOLD.encode(), (lock.ON if hold else lock.OFF).encode())]


def _lock_of(asked: Asked | None) -> tuple[int, datetime | None]:
    if asked is None:
        return 0, None
    bits = mode_bits(asked.retention)
    if asked.hold is not None:
        bits |= HOLD_SAID | (LEGAL_HOLD if asked.hold else 0)
    return bits, None if asked.retention is None else asked.retention.until
