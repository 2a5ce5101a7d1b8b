"""The answer to GetObjectAttributes as XML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from s3gate.s3.attributes import CHECKSUM, ETAG, OBJECT_PARTS, OBJECT_SIZE, STORAGE_CLASS, Wanted
from s3gate.s3.xml_out import checksum_value_xml, document, element


@dataclass(frozen=True, slots=True)
class PartsPage:
    """How many parts there are, and of those that have checksums one page: (number, size, checksum)."""

    total: int
    parts: Sequence[tuple[int, int, str]]
    truncated: bool
    listed: bool
    """False: the parts have no checksums of their own, and AWS says no more than how many there are."""


def object_attributes(
    asked: Wanted, etag: str, checksum: str, parts: PartsPage | None, storage_class: str, size: int
) -> bytes:
    """What was asked for and is there. The entity tag goes without quotes here, a composite checksum without count."""
    names = asked.names
    shown = []
    if ETAG in names:
        shown.append(element("ETag", etag))
    if CHECKSUM in names and checksum:
        kind, _, value = checksum.rpartition(":")
        shown += ["<Checksum>", checksum_value_xml(f"{kind}:{value.partition('-')[0]}"), "</Checksum>"]
    if OBJECT_PARTS in names and parts is not None:
        shown.append(_parts(asked, parts))
    if STORAGE_CLASS in names:
        shown.append(element("StorageClass", storage_class))
    if OBJECT_SIZE in names:
        shown.append(element("ObjectSize", str(size)))
    return document("GetObjectAttributesResponse", shown)


def _parts(asked: Wanted, page: PartsPage) -> str:
    shown = [f"<ObjectParts><PartsCount>{page.total}</PartsCount>"]
    if page.listed:
        last = page.parts[-1][0] if page.parts else 0
        shown.append(
            f"<PartNumberMarker>{asked.after}</PartNumberMarker>"
            f"<NextPartNumberMarker>{last}</NextPartNumberMarker><MaxParts>{asked.limit}</MaxParts>"
            f"<IsTruncated>{'true' if page.truncated else 'false'}</IsTruncated>"
        )
        shown += [
            f"<Part><PartNumber>{number}</PartNumber><Size>{size}</Size>"
            f"{checksum_value_xml(checksum, kind=False)}</Part>"
            for number, size, checksum in page.parts
        ]
    return "".join(shown) + "</ObjectParts>"
