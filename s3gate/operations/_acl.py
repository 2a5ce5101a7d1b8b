"""The ACLs that requests ask for: whose what they make becomes, to whom it is granted, and that those exist.

The rules are in `s3gate/iam/public.py`; here they meet the bucket's settings and the accounts there are.
"""

from __future__ import annotations

from s3gate.catalog.rows import BucketRow, Traits
from s3gate.iam import acl as acls
from s3gate.iam.acl import Acl
from s3gate.iam.decide import ACL, BucketAccess, bucket_access
from s3gate.iam.public import acl_of_new_object, check_acls_enabled, check_public_acl
from s3gate.operations._access import bearer_of
from s3gate.operations._replies import xml
from s3gate.operations.exchange import Call, RawHeaders, Response
from s3gate.s3 import xml_acl
from s3gate.s3.errors import S3Error
from s3gate.s3.xml_out import Owner


def access_of(bucket: BucketRow) -> BucketAccess:
    """What the bucket's settings say of who may do what."""
    return bucket_access(bucket.name, bucket.owner, bucket.settings)


def owner_of(bucket: BucketRow, kept: bytes) -> str:
    """Whose an object or an upload of the bucket is that has this ACL."""
    return bucket.owner if access_of(bucket).enforced else acls.owner_of(kept, bucket.owner)


async def shown(call: Call, canonical_id: str, number: int) -> Owner:
    """The account as documents show it, as of this number of the identities."""
    return Owner(canonical_id, (await call.gate.identities.display_names(number)).get(canonical_id, ""))


async def with_acl(call: Call, bucket: BucketRow, traits: Traits) -> Traits:
    """The traits of an object that is made now, with its owner and what its headers grant."""
    access, headers = access_of(bucket), call.request.headers
    if access.enforced and not acls.asks(headers):
        return traits
    found = acl_of_new_object(
        headers,
        writer=bearer_of(call).principal.canonical_id,
        bucket_owner=bucket.owner,
        ownership=access.ownership,
        block=access.block,
    )
    kept = acls.pack(await settled(call, found), bucket.owner)
    return traits._replace(acl=kept) if kept else traits


async def asked_acl(call: Call, bucket: BucketRow, owner: str, *, on_bucket: bool) -> bytes:
    """What PutBucketAcl and PutObjectAcl put, as it is kept: named by headers, or said by the body."""
    access, headers = access_of(bucket), call.request.headers
    check_acls_enabled(access.ownership)
    found = acls.of_headers(headers, owner, bucket.owner, on_bucket=on_bucket)
    data = await _body(call)
    if found is not None and data:
        raise S3Error.of("UnexpectedContent")
    culprits = acls.IN_HEADERS
    if found is None:
        found, culprits = _said(data, owner), acls.IN_BODY
    check_public_acl(found, access.block)
    return acls.pack(await settled(call, found, culprits), bucket.owner)


async def keep_acl(call: Call, bucket: BucketRow, kept: bytes) -> None:
    """Make this the bucket's own ACL."""
    if kept:
        await call.gate.catalog.put_setting(bucket.name, ACL, kept)
    else:
        await call.gate.catalog.delete_setting(bucket.name, ACL)


async def _body(call: Call) -> bytes:
    call.body.want_md5 = False
    return await call.body.read(xml_acl.LIMIT_BYTES)


def _said(data: bytes, owner: str) -> Acl:
    """An ACL says whose it is, and cannot give that away."""
    if not data:
        raise S3Error.of("MissingSecurityHeader", MissingHeaderName=acls.CANNED_HEADER)
    said_owner, grants = xml_acl.access_control_policy(data)
    if said_owner != owner:
        raise S3Error.of("AccessDenied")
    named = [acls.Grant(acls.grantee(each.kind, each.grantee), each.permission) for each in grants]
    return acls.with_grants(owner, named)


async def settled(call: Call, found: Acl, culprits: acls.Culprits = acls.IN_HEADERS) -> Acl:
    """The ACL with its accounts looked up, where it names others than its owner's."""
    ids, emails = acls.accounts_named(found)
    if not emails and ids <= {found.owner}:
        return found
    rows = (await call.gate.identities.accounts()).values()
    by_email = {row.email.lower(): row.canonical_id for row in rows if row.email}
    known = {row.canonical_id for row in rows}
    return acls.settled(found, known.__contains__, lambda email: by_email.get(email.lower()), culprits)


async def answer_acl(call: Call, bucket: BucketRow, found: Acl, headers: RawHeaders) -> Response:
    """The document; where ACLs are disabled, everything is the bucket owner's."""
    acl = acls.private(bucket.owner) if access_of(bucket).enforced else found
    number = bucket.identity_number
    grants = [
        (grantee if ":" in grantee else await shown(call, grantee, number), permission)
        for grantee, permission in acl.grants
    ]
    return xml(xml_acl.acl(await shown(call, acl.owner, number), grants), headers)
