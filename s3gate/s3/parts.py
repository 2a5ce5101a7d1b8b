"""The arithmetic of a multipart upload: which parts a Complete may take, and what the whole is called.

Pure: a list that a client sent meets the parts that are there. This file knows neither XML nor rows; a part
is whatever has a number, a size, an entity tag and a checksum in the stored form `ALGORITHM:TYPE:value`.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from typing import Protocol, TypeVar

from s3gate.s3.algorithms import Algorithm, combine, composite
from s3gate.s3.errors import S3Error, invalid_argument
from s3gate.s3.ranges import MAX_PART_NUMBER
from s3gate.s3.xml_in import CompletedPart

MIB = 1 << 20
MIN_PART_BYTES = 5 * MIB
"""Every part but the last one has at least this much; it is judged at Complete and not before."""

COMPOSITE, FULL_OBJECT = "COMPOSITE", "FULL_OBJECT"


class StoredPart(Protocol):
    """A part that was uploaded."""

    @property
    def part_number(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def etag(self) -> str: ...
    @property
    def checksum(self) -> str: ...


P = TypeVar("P", bound=StoredPart)


def choose(
    listed: Sequence[CompletedPart], stored: Sequence[P], checksum_kind: str = "", upload_id: str = ""
) -> list[P]:
    """The parts that make the object, in order.

    `checksum_kind` is "ALGORITHM:TYPE" of the upload if its creator chose one: then a composite upload's list
    must repeat every part's checksum. `upload_id` is for the refusals, which name it.
    """
    _check_order(listed, upload_id, consecutive=checksum_kind.endswith(COMPOSITE))
    by_number = {part.part_number: part for part in stored}
    chosen = []
    for claim in listed:
        part = by_number.get(claim.part_number)
        if part is None or part.etag != bare_etag(claim.etag) or not _checksums_match(claim, part):
            raise S3Error.of(
                "InvalidPart", UploadId=upload_id, PartNumber=str(claim.part_number), ETag=bare_etag(claim.etag)
            )
        chosen.append(part)
    _check_repeated(listed, checksum_kind)
    for part in chosen[:-1]:
        if part.size < MIN_PART_BYTES:
            raise S3Error.of(
                "EntityTooSmall",
                ProposedSize=str(part.size),
                MinSizeAllowed=str(MIN_PART_BYTES),
                PartNumber=str(part.part_number),
                ETag=part.etag,
            )
    return chosen


def bare_etag(text: str) -> str:
    """Clients send entity tags with quotes and without."""
    return text[1:-1] if len(text) >= 2 and text[0] == text[-1] == '"' else text


def multipart_etag(parts: Sequence[StoredPart]) -> str:
    """The MD5 of the parts' MD5s, and how many there were."""
    digests = b"".join([bytes.fromhex(part.etag) for part in parts])
    return f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(parts)}"


def object_checksum(algorithm: Algorithm, kind: str, parts: Sequence[StoredPart]) -> str:
    """The whole's checksum in its stored form, from those of the parts and without reading a byte.

    "" when the parts do not all carry this algorithm's checksum.
    """
    name, digests = algorithm.value, []
    for part in parts:
        algorithm_name, _, rest = part.checksum.partition(":")
        if algorithm_name != name:
            return ""
        digests.append(base64.b64decode(rest.rpartition(":")[2]))
    if kind == COMPOSITE:
        return f"{name}:{COMPOSITE}:{composite(algorithm, digests)}"
    whole = combine(algorithm, zip(digests, (part.size for part in parts), strict=True))
    return f"{name}:{FULL_OBJECT}:{base64.b64encode(whole).decode()}"


def request_digest(listed: Sequence[CompletedPart]) -> bytes:
    """What a retry of a Complete has in common with the first attempt: the same parts, however they are quoted."""
    lines = "\n".join([f"{part.part_number} {bare_etag(part.etag)}" for part in listed])
    return hashlib.sha256(lines.encode("utf-8", "replace")).digest()


def _check_order(listed: Sequence[CompletedPart], upload_id: str, *, consecutive: bool) -> None:
    """`consecutive`: none may be missing, as AWS has it of parts whose checksums make the object's.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompletedPart.html
    """
    previous = 0
    for claim in listed:
        number = claim.part_number
        if number <= previous or (consecutive and number != previous + 1):
            if number < 1:
                raise invalid_argument("PartNumber", str(number), "PartNumber must be >= 1")
            raise S3Error.of("InvalidPartOrder", UploadId=upload_id)
        previous = number
    if previous > MAX_PART_NUMBER:
        raise invalid_argument("PartNumber", str(previous), f"PartNumber must be <= {MAX_PART_NUMBER}")


def _checksums_match(claim: CompletedPart, part: StoredPart) -> bool:
    if not claim.checksums:
        return True
    algorithm, _, value = part.checksum.partition(":")
    stored = value.rpartition(":")[2]
    # Another algorithm than the one we keep cannot be judged, and what cannot be judged is not the part.
    return all(name == algorithm and sent == stored for name, sent in claim.checksums.items())


def _check_repeated(listed: Sequence[CompletedPart], checksum_kind: str) -> None:
    algorithm, _, kind = checksum_kind.partition(":")
    if kind != COMPOSITE:
        return
    for claim in listed:
        if algorithm not in claim.checksums:
            raise S3Error.of(
                "InvalidRequest",
                f"The upload was created using a {algorithm.lower()} checksum. The complete request must "
                f"include the checksum for each part. It was missing for part {claim.part_number} in the request.",
            )
