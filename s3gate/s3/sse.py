"""Server-side encryption as headers say it: what a request asks for, and what an answer confirms.

It knows the headers of SSE-S3, SSE-KMS and SSE-C and AWS's refusals; no key is made, kept or looked up here.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from dataclasses import dataclass, field

from s3gate.s3.errors import S3Error, invalid_argument, not_implemented
from s3gate.s3.headers import Pairs
from s3gate.s3.request import Headers

AES256 = "AES256"
KMS = "aws:kms"
_NOT_BUILT = frozenset(("aws:kms:dsse", "aws:fsx", "aws:backup"))
KEY_BYTES = 32

ALGORITHM = b"x-amz-server-side-encryption"
KEY_ID = b"x-amz-server-side-encryption-aws-kms-key-id"
CONTEXT = b"x-amz-server-side-encryption-context"
BUCKET_KEY = b"x-amz-server-side-encryption-bucket-key-enabled"
CUSTOMER = b"x-amz-server-side-encryption-customer-"
COPY_CUSTOMER = b"x-amz-copy-source-server-side-encryption-customer-"
PREFIXES = (ALGORITHM, b"x-amz-copy-source-server-side-encryption")

_MANAGED = frozenset((ALGORITHM, KEY_ID, CONTEXT, BUCKET_KEY))
_TRIO = frozenset(CUSTOMER + name for name in (b"algorithm", b"key", b"key-md5"))
_COPY_TRIO = frozenset(COPY_CUSTOMER + name for name in (b"algorithm", b"key", b"key-md5"))
_EVERY = _MANAGED | _TRIO | _COPY_TRIO
_TAKES: dict[str, frozenset[bytes]] = {
    "PutObject": _MANAGED | _TRIO,
    "PostObject": _MANAGED | _TRIO,
    "CreateMultipartUpload": _MANAGED | _TRIO,
    "CopyObject": _MANAGED | _TRIO | _COPY_TRIO,
    "UploadPart": _TRIO,
    "UploadPartCopy": _TRIO | _COPY_TRIO,
    "CompleteMultipartUpload": _TRIO,
    "ListParts": _TRIO,
    "GetObject": _TRIO,
    "HeadObject": _TRIO,
    "GetObjectAttributes": _TRIO,
}

_BOTH = "Server Side Encryption with Customer provided key is incompatible with the encryption method specified"
_WITH_CUSTOMER_KEY = "Requests specifying Server Side Encryption with Customer provided keys must "
_CONTEXT_FORM = (
    "The header 'x-amz-server-side-encryption-context' shall be Base64-encoded UTF-8 string holding JSON which "
    "represents a string-string map"
)
_NEEDS_KMS = (
    "Server Side Encryption with AWS KMS managed key requires HTTP header x-amz-server-side-encryption : aws:kms"
)


@dataclass(frozen=True, slots=True)
class CustomerKey:
    """A key that came with the request and goes with it; `md5` is the header that confirms it."""

    key: bytes = field(repr=False)
    md5: bytes

    def answer(self) -> Pairs:
        """What every answer under this key has."""
        return [(CUSTOMER + b"algorithm", AES256.encode()), (CUSTOMER + b"key-md5", self.md5)]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a write asks for; the bucket's default fills in what it leaves open."""

    algorithm: str = ""
    key_id: str = ""
    context: bytes = b""
    """JSON, as it was given."""
    bucket_key: bool | None = None
    customer: CustomerKey | None = None


NOTHING = Asked()


@dataclass(frozen=True, slots=True)
class BucketDefault:
    """What a bucket's configuration says."""

    algorithm: str = ""
    key_id: str = ""
    bucket_key: bool = False
    blocks_customer_keys: bool = False


NO_DEFAULT = BucketDefault()


def refuse_misplaced(name: bytes, value: bytes, operation: str) -> None:
    """InvalidArgument for a header of encryption that this operation does not take, as AWS has it."""
    if name not in _TAKES.get(operation, ()):
        text = name.decode("latin-1")
        raise invalid_argument(text, _shown(name, value), f"{text} header is not supported for this operation.")


def is_named(headers: Headers) -> bool:
    """Whether any header speaks of encryption; nearly always none does."""
    return not _EVERY.isdisjoint(headers.names())


def has_customer_key(headers: Headers) -> bool:
    """Whether any header speaks of a customer's key."""
    return not _TRIO.isdisjoint(headers.names())


def names_encryption(headers: Headers) -> bool:
    """Whether a copy asks for any encryption of its destination: then it may be of an object onto itself."""
    return headers.get_bytes(ALGORITHM) is not None or headers.get_bytes(CUSTOMER + b"algorithm") is not None


def asked(headers: Headers, *, secure: bool) -> Asked:
    """What a write of a new object asks for. `secure`: customers' keys may be sent this way."""
    get = headers.get_bytes
    algorithm, key_id, context, bucket_key = get(ALGORITHM), get(KEY_ID), get(CONTEXT), get(BUCKET_KEY)
    if algorithm is not None and any(get(name) is not None for name in _TRIO):
        raise invalid_argument(ALGORITHM.decode(), _text(algorithm), _BOTH)
    customer = customer_key(headers, secure=secure)
    if customer is None and algorithm is key_id is context is bucket_key is None:
        return NOTHING
    wanted = "" if algorithm is None else _algorithm(_text(algorithm))
    if wanted != KMS and (key_id is not None or context is not None):
        name, value = (KEY_ID, key_id) if key_id is not None else (CONTEXT, context or b"")
        raise invalid_argument(name.decode(), _text(value), _NEEDS_KMS)
    return Asked(
        wanted,
        "" if key_id is None else _text(key_id),
        b"" if context is None else _context(_text(context)),
        None if bucket_key is None else _flag(_text(bucket_key)),
        customer,
    )


def customer_key(headers: Headers, *, secure: bool, prefix: bytes = CUSTOMER) -> CustomerKey | None:
    """The customer's key of this request (or, by the prefix, of a copy's source): all three headers, or none."""
    get = headers.get_bytes
    algorithm, key, md5 = get(prefix + b"algorithm"), get(prefix + b"key"), get(prefix + b"key-md5")
    if algorithm is key is md5 is None:
        return None
    if not secure:
        raise S3Error.of("InvalidRequest", _WITH_CUSTOMER_KEY + "be made over a secure connection.")
    if algorithm is None:
        raise _refused(_WITH_CUSTOMER_KEY + "provide a valid encryption algorithm.")
    if _text(algorithm) != AES256:
        raise S3Error.of(
            "InvalidEncryptionAlgorithmError", ArgumentName=ALGORITHM.decode(), ArgumentValue=_text(algorithm)
        )
    if not key:
        raise _refused(_WITH_CUSTOMER_KEY + "provide an appropriate secret key.")
    if not md5:
        raise _refused(_WITH_CUSTOMER_KEY + "provide the client calculated MD5 of the secret key.")
    return _checked_key(key.strip(), md5.strip())


def _checked_key(key: bytes, md5: bytes) -> CustomerKey:
    try:
        secret = b64decode(key, validate=True)
    except NotBase64:
        raise _refused("The secret key was invalid for the specified algorithm.") from None
    computed = b64encode(hashlib.md5(secret, usedforsecurity=False).digest())
    if not hmac.compare_digest(computed, md5):
        raise _refused("The calculated MD5 hash of the key did not match the hash that was provided.")
    if len(secret) != KEY_BYTES:
        raise _refused("The secret key was invalid for the specified algorithm.")
    return CustomerKey(secret, computed)


def managed_answer(algorithm: str, key_arn: str, bucket_key: bool, context: bytes = b"") -> Pairs:
    """What an answer says of SSE-S3 or SSE-KMS; the context only where AWS shows it (PUT, copy, create)."""
    pairs = [(ALGORITHM, algorithm.encode())]
    if key_arn:
        pairs.append((KEY_ID, key_arn.encode()))
    if context:
        pairs.append((CONTEXT, b64encode(context)))
    if bucket_key:
        pairs.append((BUCKET_KEY, b"true"))
    return pairs


def _algorithm(text: str) -> str:
    if text in _NOT_BUILT:
        raise not_implemented(ALGORITHM.decode(), f"Server side encryption {text} is not implemented.")
    if text not in (AES256, KMS):
        raise invalid_argument(ALGORITHM.decode(), text, "The encryption method specified is not supported")
    return text


def _context(text: str) -> bytes:
    try:
        given = b64decode(text, validate=True)
        pairs = json.loads(given.decode())
    except (ValueError, RecursionError):
        pairs = None
    if not isinstance(pairs, dict) or not all(isinstance(value, str) for value in pairs.values()):
        raise invalid_argument(CONTEXT.decode(), text, _CONTEXT_FORM)
    return given


def _flag(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise invalid_argument(BUCKET_KEY.decode(), text, "The bucket key setting must be true or false.")
    return text.lower() == "true"


def _refused(message: str) -> S3Error:
    """It names the argument and, as AWS does since 2026, no value."""
    return S3Error.of("InvalidArgument", message, ArgumentName=ALGORITHM.decode())


def _shown(name: bytes, value: bytes) -> str:
    """A key is not repeated, not even to whoever sent it."""
    return "null" if name.endswith(b"-customer-key") else _text(value)


def _text(value: bytes) -> str:
    return value.strip().decode("latin-1")
