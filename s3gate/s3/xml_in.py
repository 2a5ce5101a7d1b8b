"""XML that clients send: three documents, and the reading that all others share, with everything dangerous off.

Entities, DTDs, external references and huge trees are MalformedXML, never expanded and never fetched. The
documents are accepted with S3's namespace and without. Whatever the bytes are, nothing but an S3Error leaves.
Reading the body within the limits named here is the caller's part.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from lxml import etree

from s3gate.s3.algorithms import Algorithm
from s3gate.s3.dates import parse_http_date, parse_iso
from s3gate.s3.errors import S3Error
from s3gate.s3.ranges import MAX_PART_NUMBER
from s3gate.s3.tags import Tag, check_bucket_tags
from s3gate.s3.xml_out import NAMESPACE

CREATE_BUCKET_LIMIT_BYTES = 64 * 1024
DELETE_LIMIT_BYTES = 2 * 1024 * 1024
COMPLETE_LIMIT_BYTES = 4 * 1024 * 1024

DELETE_LIMIT_ENTRIES = 1000

_PREFIX = f"{{{NAMESPACE}}}"

# Everything that a Part may hold, with S3's namespace and without -> what it is (a checksum: its algorithm).
_PART_FIELDS = {
    prefix + name: meaning
    for prefix in ("", _PREFIX)
    for name, meaning in (
        ("PartNumber", "PartNumber"),
        ("ETag", "ETag"),
        *((f"Checksum{each.value}", each.value) for each in Algorithm),
    )
}


@dataclass(frozen=True, slots=True)
class BucketConfiguration:
    """What CreateBucketConfiguration asks for; "" and no tags where it says nothing."""

    location: str = ""
    tags: tuple[Tag, ...] = ()


@dataclass(frozen=True, slots=True)
class DeleteEntry:
    """One object of a Delete document, and what it must be like to be deleted."""

    key: bytes
    version_id: str | None = None
    etag: str | None = None
    size: int | None = None
    modified_at: datetime | None = None


@dataclass(slots=True)
class CompletedPart:
    """One part as the client lists it: `checksums` maps an algorithm's name to the base64 it claims.

    Not frozen only because ten thousand of them are made at once, and freezing triples what that costs.
    """

    part_number: int
    etag: str
    checksums: dict[str, str] = field(default_factory=dict)


def malformed() -> S3Error:
    """The one answer to a document that does not parse or does not fit the schema."""
    return S3Error.of("MalformedXML")


def create_bucket_configuration(data: bytes) -> BucketConfiguration:
    """An empty body is a configuration that says nothing."""
    if not data.strip():
        return BucketConfiguration()
    location = ""
    tags: list[Tag] = []
    for child in parse_root(data, "CreateBucketConfiguration"):
        name = local_name(child)
        if name == "LocationConstraint":
            location = text_of(child)
        elif name == "Tags":
            tags = tag_list(child)
        elif name in ("Location", "Bucket"):
            raise S3Error.of("NotImplemented", f"CreateBucketConfiguration with {name} is not implemented")
        else:
            raise malformed()
    check_bucket_tags(tags)
    return BucketConfiguration(location, tuple(tags))


def delete(data: bytes) -> tuple[list[DeleteEntry], bool]:
    """The entries and whether only failures are to be reported. One to a thousand entries, or MalformedXML."""
    entries: list[DeleteEntry] = []
    quiet = False
    for child in parse_root(data, "Delete"):
        name = local_name(child)
        if name == "Object":
            entries.append(_delete_entry(child))
        elif name == "Quiet":
            quiet = boolean(text_of(child))
        else:
            raise malformed()
    if not 1 <= len(entries) <= DELETE_LIMIT_ENTRIES:
        raise malformed()
    return entries, quiet


def tag_list(element: etree._Element) -> list[Tag]:
    """The tags below an element, whatever it is called; not judged yet."""
    return [_tag(child) for child in element]


def _tag(element: etree._Element) -> Tag:
    if local_name(element) != "Tag":
        raise malformed()
    fields: dict[str, str] = {}
    for child in element:
        name = local_name(child)
        if name in fields or len(child):
            raise malformed()
        fields[name] = child.text or ""
    if fields.keys() != {"Key", "Value"}:
        raise malformed()
    return fields["Key"], fields["Value"]


def _delete_entry(element: etree._Element) -> DeleteEntry:
    values: dict[str, str] = {}
    for child in element:
        values[local_name(child)] = child.text or ""
    key = values.pop("Key", "")
    version_id = values.pop("VersionId", None)
    etag = values.pop("ETag", None)
    size, modified = values.pop("Size", None), values.pop("LastModifiedTime", None)
    if not key or values:
        raise malformed()
    return DeleteEntry(
        _utf8(key),
        version_id,
        etag,
        None if size is None else _size(size.strip()),
        None if modified is None else _moment(modified.strip()),
    )


def _size(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise malformed()
    return int(text)


def _moment(text: str) -> datetime:
    """HTTP's form or ISO's: the model has the one, and SDKs send either."""
    moment = parse_http_date(text) or parse_iso(text)
    if moment is None:
        raise malformed()
    return moment


def complete_multipart_upload(data: bytes) -> list[CompletedPart]:
    """The parts in the order in which they were listed: one to ten thousand, or MalformedXML."""
    root = parse_root(data, "CompleteMultipartUpload")
    if not 1 <= len(root) <= MAX_PART_NUMBER:
        raise malformed()
    return [_completed_part(child) for child in root]


def _completed_part(element: etree._Element) -> CompletedPart:
    if local_name(element) != "Part":
        raise malformed()
    number: int | None = None
    etag = ""
    checksums: dict[str, str] = {}
    known = _PART_FIELDS
    for child in element:
        field_name = known.get(child.tag)
        text = (child.text or "").strip()
        if field_name == "PartNumber":
            number = integer(text)
        elif field_name == "ETag":
            etag = text
        elif field_name is not None:
            checksums[field_name] = text
        else:
            raise malformed()
    if number is None or not etag:
        raise malformed()
    return CompletedPart(number, etag, checksums)


def parse_root(data: bytes, expected: str) -> etree._Element:
    """The root element, which must be called `expected`; whatever else the bytes are is MalformedXML."""
    # A parser per document: lxml's parsers are not to be shared between threads, and building one is cheap.
    # The encoding is forced, so that no declaration can smuggle markup past in another one.
    parser = etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError):
        raise malformed() from None
    if root is None or root.getroottree().docinfo.internalDTD is not None or local_name(root) != expected:
        raise malformed()
    return root


def local_name(element: etree._Element) -> str:
    """The name without S3's namespace. Another namespace, or an entity in an element's place, is malformed."""
    tag = element.tag
    if not isinstance(tag, str):
        raise malformed()
    if tag[0] != "{":
        return tag
    if not tag.startswith(_PREFIX):
        raise malformed()
    return tag[len(_PREFIX) :]


def text_of(element: etree._Element) -> str:
    """What stands in the element, without the white space around it."""
    return (element.text or "").strip()


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise malformed() from None


def boolean(text: str) -> bool:
    """true or false, as XML Schema writes them, in any case."""
    if text.lower() not in ("true", "false", "1", "0"):
        raise malformed()
    return text.lower() in ("true", "1")


def integer(text: str) -> int:
    """A number of at most nine digits, which may be below zero."""
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= 9):
        raise malformed()
    return int(text)
