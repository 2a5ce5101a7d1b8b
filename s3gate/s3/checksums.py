"""The checksums of a request and of an object: what the headers expect of a body, and the form that is kept.

It reads no body and computes nothing: the hashers are in `algorithms`.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from dataclasses import dataclass

from s3gate.s3.algorithms import DEFAULT, Algorithm, ChecksumType
from s3gate.s3.credentials import PayloadMode
from s3gate.s3.errors import S3Error
from s3gate.s3.request import Headers

SDK_ALGORITHM = "x-amz-sdk-checksum-algorithm"
ALGORITHM_HEADER = "x-amz-checksum-algorithm"
TYPE_HEADER = "x-amz-checksum-type"
TRAILER_HEADER = "x-amz-trailer"
MD5_BYTES = 16

_NOT_VALUES = frozenset((b"x-amz-checksum-algorithm", b"x-amz-checksum-mode", b"x-amz-checksum-type"))

_BY_HEADER = {algorithm.header: algorithm for algorithm in Algorithm}
_BY_NAME = {algorithm.value: algorithm for algorithm in Algorithm}


@dataclass(frozen=True, slots=True)
class Checksum:
    """A checksum as it is kept with an object. `value` is base64, and "-N" follows it when composite."""

    algorithm: Algorithm
    type: ChecksumType
    value: str

    @classmethod
    def full(cls, algorithm: Algorithm, digest: bytes) -> Checksum:
        """The checksum over all bytes."""
        return cls(algorithm, ChecksumType.FULL_OBJECT, b64encode(digest).decode())

    def text(self) -> str:
        """The form in which it is stored."""
        return f"{self.algorithm.value}:{self.type.value}:{self.value}"


@dataclass(frozen=True, slots=True)
class Expected:
    """What a request says its body hashes to.

    `digest` came in a header; `trailer` names the trailer that will bring it. Both None: the client sent
    none, and `algorithm` is the default.
    """

    algorithm: Algorithm
    digest: bytes | None = None
    trailer: str | None = None
    md5: bytes | None = None

    @property
    def is_given(self) -> bool:
        """The client sent a checksum of some kind, as DeleteObjects demands."""
        return self.digest is not None or self.trailer is not None or self.md5 is not None


def parse_request(headers: Headers, mode: PayloadMode) -> Expected:
    """Reads Content-MD5, x-amz-checksum-*, x-amz-trailer and x-amz-sdk-checksum-algorithm."""
    sent = [name for name in headers.names() if name.startswith(b"x-amz-checksum-") and name not in _NOT_VALUES]
    trailer = _trailer(headers, mode)
    if len(sent) > 1:
        raise _invalid("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
    if sent and trailer is not None:
        raise _invalid("Expecting a single x-amz-checksum- header")
    algorithm, digest = None, None
    if sent:
        name = sent[0].decode("latin-1")
        algorithm = _algorithm_of(name)
        digest = parse_value(algorithm, headers.get(name) or "")
    elif trailer is not None:
        algorithm = _algorithm_of(trailer)
    declared = headers.get(SDK_ALGORITHM)
    if declared is not None:
        if algorithm is None:
            raise _invalid(
                f"{SDK_ALGORITHM} specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found."
            )
        if parse_algorithm(declared, SDK_ALGORITHM) is not algorithm:
            raise _invalid(f"Value for {SDK_ALGORITHM} header is invalid.")
    return Expected(algorithm or DEFAULT, digest, trailer, parse_md5(headers))


def parse_algorithm(name: str, header: str = ALGORITHM_HEADER) -> Algorithm:
    """The algorithm that a header names, in whatever case."""
    algorithm = _BY_NAME.get(name.upper())
    if algorithm is not None:
        return algorithm
    if header == ALGORITHM_HEADER:
        raise _invalid(
            "Checksum algorithm provided is unsupported. Please try again with any of the valid types: "
            f"[{', '.join(sorted(_BY_NAME))}]"
        )
    raise _invalid(f"Value for {header} header is invalid.")


def parse_type(value: str | None, algorithm: Algorithm) -> ChecksumType:
    """What x-amz-checksum-type asks for, or the algorithm's own default; not every pair exists."""
    if value is None:
        return ChecksumType.FULL_OBJECT if algorithm is Algorithm.CRC64NVME else ChecksumType.COMPOSITE
    try:
        kind = ChecksumType(value.upper())
    except ValueError:
        raise _invalid(f"Value for {TYPE_HEADER} header is invalid.") from None
    full = kind is ChecksumType.FULL_OBJECT
    if (full and not algorithm.is_crc) or (not full and algorithm is Algorithm.CRC64NVME):
        name = algorithm.value.lower()
        raise _invalid(f"The {kind.value} checksum type cannot be used with the {name} checksum algorithm.")
    return kind


def parse_value(algorithm: Algorithm, text: str, name: str | None = None) -> bytes:
    """The digest of a checksum value; InvalidRequest unless it is base64 of the right length."""
    digest = _from_base64(text)
    if digest is None or len(digest) != algorithm.digest_bytes:
        raise _invalid(f"Value for {name or algorithm.header} header is invalid.")
    return digest


def parse_object_checksum(headers: Headers) -> tuple[Algorithm, str] | None:
    """Of CompleteMultipartUpload: the checksum that the whole object must get, "-N" kept if it was given."""
    sent = [(algorithm, headers.get(algorithm.header)) for algorithm in Algorithm]
    given = [(algorithm, text) for algorithm, text in sent if text is not None]
    if len(given) > 1:
        raise _invalid("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
    if not given:
        return None
    algorithm, text = given[0]
    value, dash, count = text.partition("-")
    parse_value(algorithm, value)
    if dash and not (count.isascii() and count.isdecimal()):
        raise _invalid(f"Value for {algorithm.header} header is invalid.")
    return algorithm, text


def parse_md5(headers: Headers) -> bytes | None:
    """The digest that Content-MD5 names; InvalidDigest unless it is one."""
    text = headers.get("content-md5")
    if text is None:
        return None
    digest = _from_base64(text)
    if digest is None or len(digest) != MD5_BYTES:
        raise S3Error.of("InvalidDigest", **{"Content-MD5": text})
    return digest


def mismatch(algorithm: Algorithm) -> S3Error:
    """The refusal of a body whose checksum is another one."""
    message = f"The {algorithm.value} you specified did not match the calculated checksum."
    return S3Error.of("BadDigest", message)


def md5_mismatch(expected: bytes, calculated: bytes) -> S3Error:
    """The refusal of a body whose MD5 is another one: S3 says what it was told in hex, and what it found in base64."""
    return S3Error.of(
        "BadDigest",
        ExpectedDigest=expected.hex(),
        CalculatedDigest=b64encode(calculated).decode(),
    )


def _trailer(headers: Headers, mode: PayloadMode) -> str | None:
    """The one trailer that is announced."""
    text = headers.get(TRAILER_HEADER)
    if text is None:
        return None
    if not mode.has_trailer:
        raise _invalid(f"The {TRAILER_HEADER} header needs a payload with a trailer.")
    name = text.lower()
    if name not in _BY_HEADER:
        raise _invalid(f"The value specified in the {TRAILER_HEADER} header is not supported")
    return name


def _algorithm_of(header: str) -> Algorithm:
    algorithm = _BY_HEADER.get(header)
    if algorithm is not None:
        return algorithm
    raise _invalid("The algorithm type you specified in x-amz-checksum- header is invalid.")


def _from_base64(text: str) -> bytes | None:
    try:
        return b64decode(text, validate=True)
    except (NotBase64, ValueError):
        return None


def _invalid(message: str) -> S3Error:
    return S3Error.of("InvalidRequest", message)
