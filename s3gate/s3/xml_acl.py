"""AccessControlPolicy: the document that says an ACL, read and written.

It knows the names that the document has for things, and hands over owner, grantees and permissions as they stand
there; which of them exist is not its business.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from lxml import etree

from s3gate.s3.errors import S3Error
from s3gate.s3.xml_in import local_name, parse_root, text_of
from s3gate.s3.xml_out import Owner, account_xml, document, element, escape, owner_xml

LIMIT_BYTES = 64 * 1024
PERMISSIONS = frozenset(("FULL_CONTROL", "READ", "WRITE", "READ_ACP", "WRITE_ACP"))

_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_TYPE = f"{{{_XSI}}}type"
_NAMED_BY = {"CanonicalUser": "ID", "Group": "URI", "AmazonCustomerByEmail": "EmailAddress"}
_KINDS = {"CanonicalUser": "id", "Group": "uri", "AmazonCustomerByEmail": "emailaddress"}
_DISPLAY_NAME = "DisplayName"


class SaidGrant(NamedTuple):
    """`kind` is id, uri or emailaddress."""

    kind: str
    grantee: str
    permission: str


def access_control_policy(data: bytes) -> tuple[str, list[SaidGrant]]:
    """The owner's canonical id and the grants. Raises MalformedACLError."""
    try:
        root = parse_root(data, "AccessControlPolicy")
        children = {local_name(child): child for child in root}
        if len(children) != len(root) or children.keys() != {"Owner", "AccessControlList"}:
            raise _malformed()
        owner = _fields(children["Owner"])
        if not owner.get("ID") or owner.keys() - {"ID", _DISPLAY_NAME}:
            raise _malformed()
        return owner["ID"], [_grant(child) for child in children["AccessControlList"]]
    except S3Error as error:
        raise (_malformed() if error.code == "MalformedXML" else error) from None


def _grant(found: etree._Element) -> SaidGrant:
    if local_name(found) != "Grant":
        raise _malformed()
    children = {local_name(child): child for child in found}
    if len(children) != len(found) or children.keys() != {"Grantee", "Permission"}:
        raise _malformed()
    permission = text_of(children["Permission"])
    if permission not in PERMISSIONS:
        raise _malformed()
    grantee = children["Grantee"]
    kind = grantee.get(_TYPE, "").rpartition(":")[2]
    fields = _fields(grantee)
    if kind not in _KINDS or not fields.get(_NAMED_BY[kind]) or fields.keys() - {_NAMED_BY[kind], _DISPLAY_NAME}:
        raise _malformed()
    return SaidGrant(_KINDS[kind], fields[_NAMED_BY[kind]], permission)


def _fields(found: etree._Element) -> dict[str, str]:
    fields = {local_name(child): text_of(child) for child in found if not len(child)}
    if len(fields) != len(found):
        raise _malformed()
    return fields


def _malformed() -> S3Error:
    return S3Error.of("MalformedACLError")


def acl(owner: Owner, grants: Iterable[tuple[Owner | str, str]]) -> bytes:
    """The document of an owner and of (grantee, permission): a grantee is an account, or a group's URI."""
    items = "".join(
        f"<Grant>{_grantee(grantee)}{element('Permission', permission)}</Grant>" for grantee, permission in grants
    )
    return document("AccessControlPolicy", (owner_xml(owner), f"<AccessControlList>{items}</AccessControlList>"))


def _grantee(grantee: Owner | str) -> str:
    kind, inner = "CanonicalUser", ""
    if isinstance(grantee, str):
        kind, inner = "Group", f"<URI>{escape(grantee)}</URI>"
    else:
        inner = account_xml(grantee)
    return f'<Grantee xmlns:xsi="{_XSI}" xsi:type="{kind}">{inner}</Grantee>'
