"""PutBucketOwnershipControls: who owns what others write here. ACLs that grant something cannot be disabled."""

from __future__ import annotations

from s3gate.iam import acl
from s3gate.iam.decide import OWNERSHIP
from s3gate.iam.public import check_ownership
from s3gate.operations._acl import access_of
from s3gate.operations._bucket import find_bucket
from s3gate.operations._configs import read_configuration
from s3gate.operations.exchange import Call, Response
from s3gate.s3 import xml_access, xml_out


async def put_bucket_ownership_controls(call: Call) -> Response:
    bucket = await find_bucket(call)
    ownership = xml_access.ownership(await read_configuration(call, xml_access.LIMIT_BYTES))
    check_ownership(ownership, access_of(bucket).acl or acl.private(bucket.owner))
    await call.gate.catalog.put_setting(bucket.name, OWNERSHIP, xml_out.ownership_controls(ownership))
    return Response()
