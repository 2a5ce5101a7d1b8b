"""GetObjectAcl: whose the object's version is, and to whom it is granted."""

from __future__ import annotations

from s3gate.iam import acl
from s3gate.operations._acl import answer_acl
from s3gate.operations._reading import find_object
from s3gate.operations._replies import row_version
from s3gate.operations.exchange import Call, Response


async def get_object_acl(call: Call) -> Response:
    bucket, row = await find_object(call)
    return await answer_acl(call, bucket, acl.unpack(row.acl, bucket.owner), row_version(bucket, row))
