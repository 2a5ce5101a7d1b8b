"""Whether and how an object is encrypted: decided for a write, checked for a read, re-wrapped for a copy.

Here S3's headers, the rows' envelopes and the keeper of keys meet. Bytes are sealed and opened elsewhere (_writing.py,
_content.py), with the keys that are found here. A plain object costs a look at the names of the headers.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from s3gate.crypto import derivation
from s3gate.crypto.blocks import ContentKey, DataKey
from s3gate.crypto.derivation import KEY_BYTES, SALT_BYTES
from s3gate.crypto.envelope import Envelope, Scheme
from s3gate.crypto.errors import KeyDisabled, KeyNotFound, Tampered
from s3gate.crypto.kms import Wrapped
from s3gate.operations._key_leave import DECRYPT, ENCRYPT, check_key
from s3gate.operations.exchange import Call, RawHeaders
from s3gate.s3 import sse, xml_encryption
from s3gate.s3.errors import S3Error, invalid_argument
from s3gate.s3.sse import CustomerKey

if TYPE_CHECKING:
    from s3gate.catalog.rows import BucketRow, ObjectRow, Traits, UploadRow
    from s3gate.crypto.kms import Kms
    from s3gate.gate import Gate

_WRONG_KEY = (
    "Requests specifying Server Side Encryption with Customer provided keys must provide the correct secret key."
)
_KEY_NEEDED = (
    "The object was stored using a form of Server Side Encryption. The correct parameters must be provided to "
    "retrieve the object."
)
_NOT_APPLICABLE = "The encryption parameters are not applicable to this object."
_PART_NEEDS_KEY = (
    "The multipart upload initiate requested encryption. Subsequent part requests must include the appropriate "
    "encryption parameters."
)
_OTHER_PART_KEY = "The provided encryption parameters did not match the ones used originally."
_NEEDS_SIGV4 = "Requests specifying Server Side Encryption with AWS KMS managed keys require AWS Signature Version 4."
_NO_KEEPER = (
    "Server side encryption with keys that the store keeps is not set up here: S3GATE_KMS_KEYS_FILE names no key file"
)


@dataclass(frozen=True, slots=True)
class Decision:
    """What a write decided of its encryption, from its headers and its bucket. Two of them compare."""

    scheme: Scheme
    bucket_id: int
    key_name: str = ""
    context: bytes = b""
    bucket_key: bool = False
    customer: CustomerKey | None = None


@dataclass(frozen=True, slots=True)
class Sealing:
    """What the bytes of an object or a part are sealed with, what its row keeps of that, and what the answer says."""

    content: ContentKey
    sse: bytes
    headers: RawHeaders
    hides_md5: bool
    decision: Decision | None = None


@dataclass(slots=True)
class Opened:
    """An encrypted row that this request may read. Its data key is unwrapped when bytes are wanted, or at once."""

    envelope: Envelope
    bound_to: bytes
    headers: RawHeaders
    _key: bytes = field(default=b"", repr=False)
    _call: Call | None = field(default=None, repr=False)
    """Whose leave to use the key is asked for when the key is; None where it takes none."""

    async def data_key(self, gate: Gate) -> DataKey:
        """The key of the object's contents."""
        return DataKey(await self.secret(gate), self.envelope.salt)

    async def md5(self, gate: Gate, etag: str) -> bytes:
        """The MD5 of an object in one piece, from its ETag."""
        tag = bytes.fromhex(etag)
        return tag if self.envelope.scheme is Scheme.SSE_S3 else (await self.data_key(gate)).content().md5(tag)

    async def secret(self, gate: Gate) -> bytes:
        """The data key itself, for those who wrap it again."""
        if not self._key:
            envelope = self.envelope
            kms = _kms(gate)
            if self._call is not None:
                await check_key(self._call, kms, envelope.key_name, DECRYPT)
            with _refusals(gate):
                self._key = await kms.unwrap(
                    envelope.key_name, Wrapped(envelope.key_version, envelope.wrapped), self.bound_to
                )
        return self._key


def keeper(call: Call) -> Kms:
    """Who keeps keys; NotImplemented where nobody does."""
    return _kms(call.gate)


# --- writing ---


async def decide(call: Call, bucket: BucketRow) -> Decision | None:
    """How the object that this request makes is to be encrypted; None: not at all."""
    headers, document = call.request.headers, bucket.settings.get("encryption")
    if document is None and not sse.is_named(headers):
        return None
    asked = sse.asked(headers, secure=_is_secure(call))
    default = sse.NO_DEFAULT if document is None else xml_encryption.default_of(document)
    if asked.customer is not None:
        if default.blocks_customer_keys:
            raise _blocked(call)
        return Decision(Scheme.SSE_C, bucket.bucket_id, customer=asked.customer)
    algorithm = asked.algorithm or default.algorithm
    if not algorithm:
        return None
    kms = keeper(call)
    if algorithm == sse.AES256:
        return Decision(Scheme.SSE_S3, bucket.bucket_id, await kms.sse_s3_key())
    _check_signature(call)
    key_id = asked.key_id if asked.algorithm else default.key_id
    bucket_key = default.bucket_key if asked.bucket_key is None else asked.bucket_key
    with _refusals(call.gate):
        name = await kms.resolve(key_id)
    await check_key(call, kms, name, ENCRYPT)
    return Decision(Scheme.SSE_KMS, bucket.bucket_id, name, asked.context, bucket_key)


async def sealed_writing(call: Call, bucket: BucketRow) -> Sealing | None:
    """A fresh data key for the object (or the upload) that this request makes, if it is to be encrypted."""
    decision = await decide(call, bucket)
    return None if decision is None else await sealed_anew(call, decision)


async def sealed_anew(call: Call, decision: Decision) -> Sealing:
    """The same, for what has been decided."""
    return await _sealing(call, decision, os.urandom(SALT_BYTES), os.urandom(KEY_BYTES))


async def sealed_as_source(call: Call, decision: Decision, source: Opened) -> Sealing:
    """The source's data key under the key of its copy: the bytes stay as they are."""
    return await _sealing(call, decision, source.envelope.salt, await source.secret(call.gate))


async def is_still_decided(call: Call, bucket: BucketRow, sealing: Sealing | None) -> bool:
    """Whether the bucket as it is now makes the same of this request as its bytes were made for."""
    return await decide(call, bucket) == (None if sealing is None else sealing.decision)


def with_envelope(traits: Traits, sealing: Sealing | None) -> Traits:
    """The traits of an object that is stored as sealed."""
    return traits if sealing is None else traits._replace(sse=sealing.sse)


def etag_of(md5: bytes, sealing: Sealing | None) -> str:
    """The MD5, of a plain object and under SSE-S3; under SSE-KMS and SSE-C something that does not tell it."""
    if sealing is not None and sealing.hides_md5:
        md5 = sealing.content.etag(md5)
    return md5.hex()


def confirmed(sealing: Sealing | Opened | None) -> RawHeaders:
    """What the answer says of the encryption."""
    return [] if sealing is None else sealing.headers


async def _sealing(call: Call, decision: Decision, salt: bytes, data_key: bytes) -> Sealing:
    scheme, customer = decision.scheme, decision.customer
    envelope = Envelope(
        scheme, salt, key_name=decision.key_name, context=decision.context, bucket_key=decision.bucket_key
    )
    bound_to = envelope.bound_to(decision.bucket_id, call.request.key)
    if customer is not None:
        envelope = replace(envelope, wrapped=derivation.wrap(customer.key, data_key, bound_to))
    else:
        with _refusals(call.gate):
            version, blob = await keeper(call).wrap(decision.key_name, data_key, bound_to)
        envelope = replace(envelope, wrapped=blob, key_version=version)
    headers = _confirmed(call.gate, envelope, customer, envelope.context)
    hides = scheme is not Scheme.SSE_S3
    return Sealing(ContentKey(data_key, salt), envelope.encode(), headers, hides, decision)


# --- parts of uploads ---


async def sealed_part(call: Call, upload: UploadRow) -> Sealing | None:
    """A fresh content key for one part, under the key that its upload was created with."""
    if not upload.traits.sse and not sse.has_customer_key(call.request.headers):
        return None
    customer = _customer_key(call)
    if not upload.traits.sse:
        raise S3Error.of("InvalidRequest", _PART_NEEDS_KEY)
    opened = _opened(call, upload.traits.sse, upload.bucket_id, upload.key, customer, _PART_NEEDS_KEY, _OTHER_PART_KEY)
    salt = os.urandom(SALT_BYTES)
    content = (await opened.data_key(call.gate)).content(salt)
    return Sealing(content, salt, opened.headers, opened.envelope.scheme is not Scheme.SSE_S3)


def check_upload_key(call: Call, upload: UploadRow) -> None:
    """Where a customer's key may come and need not (Complete, ListParts): if it comes, it has to be the upload's."""
    customer = _customer_key(call)
    if customer is not None:
        if not upload.traits.sse:
            raise S3Error.of("InvalidRequest", _NOT_APPLICABLE)
        _opened(call, upload.traits.sse, upload.bucket_id, upload.key, customer, _PART_NEEDS_KEY, _OTHER_PART_KEY)


def completed_headers(gate: Gate, upload: UploadRow) -> RawHeaders:
    """What Complete says of the object's encryption: nothing of customers' keys, as AWS has it."""
    if not upload.traits.sse:
        return []
    envelope = _decoded(upload.traits.sse)
    return [] if envelope.scheme is Scheme.SSE_C else _confirmed(gate, envelope, None, b"")


# --- reading ---


def opened_reading(call: Call, row: ObjectRow) -> Opened | None:
    """What it takes to read the row, checked against what the request brought; None for a plain one."""
    if not row.sse and not sse.has_customer_key(call.request.headers):
        return None
    return _opened_row(call, row, _customer_key(call))


def opened_source(call: Call, row: ObjectRow) -> Opened | None:
    """As `opened_reading`, for the source of a copy."""
    secure = _is_secure(call)
    return _opened_row(call, row, sse.customer_key(call.request.headers, secure=secure, prefix=sse.COPY_CUSTOMER))


def _opened_row(call: Call, row: ObjectRow, customer: CustomerKey | None) -> Opened | None:
    if not row.sse:
        if customer is not None:
            raise S3Error.of("InvalidRequest", _NOT_APPLICABLE)
        return None
    return _opened(call, row.sse, row.bucket_id, row.key, customer, _KEY_NEEDED, "")


def _opened(
    call: Call, data: bytes, bucket_id: int, key: bytes, customer: CustomerKey | None, needed: str, other: str
) -> Opened:
    """`needed`: what to say when the customer's key is missing; `other`: when it is the wrong one (else 403)."""
    envelope = _decoded(data)
    bound_to = envelope.bound_to(bucket_id, key)
    if envelope.scheme is not Scheme.SSE_C:
        if customer is not None:
            raise S3Error.of("InvalidRequest", _NOT_APPLICABLE)
        headers = _confirmed(call.gate, envelope, None, b"")
        if envelope.scheme is not Scheme.SSE_KMS:
            return Opened(envelope, bound_to, headers)
        _check_signature(call)
        return Opened(envelope, bound_to, headers, _call=call)
    if customer is None:
        raise S3Error.of("InvalidRequest", needed)
    try:
        secret = derivation.unwrap(customer.key, envelope.wrapped, bound_to)
    except Tampered:
        raise S3Error.of("InvalidRequest", other) if other else S3Error.of("AccessDenied", _WRONG_KEY) from None
    return Opened(envelope, bound_to, customer.answer(), secret)


# --- small things ---


def _customer_key(call: Call) -> CustomerKey | None:
    return sse.customer_key(call.request.headers, secure=_is_secure(call))


def _is_secure(call: Call) -> bool:
    return call.request.scheme == "https" or call.gate.settings.sse_c_over_http


def _confirmed(gate: Gate, envelope: Envelope, customer: CustomerKey | None, context: bytes) -> RawHeaders:
    if customer is not None:
        return customer.answer()
    if envelope.scheme is Scheme.SSE_S3:
        return sse.managed_answer(sse.AES256, "", False)
    return sse.managed_answer(sse.KMS, _kms(gate).arn(envelope.key_name), envelope.bucket_key, context)


def _decoded(data: bytes) -> Envelope:
    try:
        return Envelope.decode(data)
    except Tampered:
        raise S3Error.of("InternalError") from None


def _kms(gate: Gate) -> Kms:
    if gate.kms is None:
        raise S3Error.of("NotImplemented", _NO_KEEPER)
    return gate.kms


@contextmanager
def _refusals(gate: Gate) -> Iterator[None]:
    """What the keeper refuses, as S3 says it."""
    try:
        yield
    except KeyNotFound as error:
        name = error.key_id
        is_name = ":" in name or name.count("-") == 4
        shown = name if ":" in name else _kms(gate).arn(name)
        message = f"Key '{shown}' does not exist" if is_name else f"Invalid keyId '{name}'"
        raise S3Error.of("KMS.NotFoundException", message) from error
    except KeyDisabled as error:
        raise S3Error.of("KMS.DisabledException", f"{_kms(gate).arn(error.key_id)} is disabled.") from error
    except Tampered as error:
        raise S3Error.of("InternalError") from error


def _check_signature(call: Call) -> None:
    """SSE-KMS takes Signature V4, the only one with a scope."""
    if not call.auth.scope:
        raise invalid_argument("Authorization", "null", _NEEDS_SIGV4)


def _blocked(call: Call) -> S3Error:
    request = call.request
    resource = f"arn:aws:s3:::{request.bucket}/{request.key.decode('utf-8', 'replace')}"
    message = (
        f'User is not authorized to perform: {call.operation.action} on resource: "{resource}" because this bucket '
        "has blocked upload requests that specify Server Side Encryption with Customer provided keys (SSE-C). Please "
        "specify a different server-side encryption type"
    )
    return S3Error.of("AccessDenied", message)
