"""CreateMultipartUpload: a row that parts can be sent to, from any gate."""

from __future__ import annotations

from s3gate.catalog.errors import BucketChanged
from s3gate.catalog.rows import BucketRow, UploadRow
from s3gate.operations._acl import with_acl
from s3gate.operations._bucket import find_bucket
from s3gate.operations._commit import commit_again
from s3gate.operations._encryption import Sealing, confirmed, sealed_writing, with_envelope
from s3gate.operations._expiry import abortion_of_upload
from s3gate.operations._replies import xml
from s3gate.operations._traits import asked_traits
from s3gate.operations._uploads import with_initiator
from s3gate.operations.exchange import Call, RawHeaders, Response
from s3gate.s3 import headers as object_headers
from s3gate.s3 import xml_out
from s3gate.s3.checksums import ALGORITHM_HEADER, TYPE_HEADER, parse_algorithm, parse_type
from s3gate.s3.conditions import refuse_conditions
from s3gate.s3.errors import S3Error
from s3gate.s3.request import Headers


async def create_multipart_upload(call: Call) -> Response:
    """The object's headers, tags and lock are decided here; its parts and conditions come with Complete."""
    request = call.request
    headers = object_headers.stored(request.headers)
    refuse_conditions(request.headers)
    algorithm, kind = _checksum_kind(request.headers)
    bucket = await find_bucket(call)
    group_id = call.gate.store.pick_group(request.bucket, request.key)

    async def attempt(found: BucketRow) -> tuple[UploadRow, Sealing | None]:
        sealing = await sealed_writing(call, found)
        traits = await with_acl(call, found, asked_traits(call, found))
        upload = await call.gate.catalog.create_upload(
            found,
            request.key,
            headers=with_initiator(call, found, headers),
            checksum_algorithm=algorithm,
            checksum_type=kind,
            group_id=group_id,
            traits=with_envelope(traits, sealing),
        )
        return upload, sealing

    try:
        upload, sealing = await attempt(bucket)
    except BucketChanged:
        bucket, (upload, sealing) = await commit_again(call, attempt)
    echoed: RawHeaders = [*confirmed(sealing), *abortion_of_upload(call, bucket, upload)]
    if algorithm:
        echoed += [
            (ALGORITHM_HEADER.encode(), algorithm.encode()),
            (TYPE_HEADER.encode(), kind.encode()),
        ]
    return xml(xml_out.initiate_multipart_upload(request.bucket, request.key, upload.upload_id.hex()), echoed)


def _checksum_kind(headers: Headers) -> tuple[str, str]:
    """What the client chose, or two empty strings: then every part has the default, and so has the whole."""
    name, kind = headers.get(ALGORITHM_HEADER), headers.get(TYPE_HEADER)
    if name is None:
        if kind is not None:
            message = f"The {TYPE_HEADER} header can only be used with the {ALGORITHM_HEADER} header."
            raise S3Error.of("InvalidRequest", message)
        return "", ""
    algorithm = parse_algorithm(name)
    return algorithm.value, parse_type(kind, algorithm).value
