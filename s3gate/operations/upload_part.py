"""UploadPart: one part of an upload, written like an object and committed beside its siblings."""

from __future__ import annotations

from s3gate.operations._encryption import confirmed, sealed_part
from s3gate.operations._parts import part_row
from s3gate.operations._replies import checksum_headers, etag_header
from s3gate.operations._traits import check_digest_of_locked
from s3gate.operations._uploads import check_part_algorithm, find_upload
from s3gate.operations._writing import body_length, write_body
from s3gate.operations.exchange import Call, Response
from s3gate.s3 import ranges
from s3gate.s3.algorithms import Algorithm
from s3gate.s3.conditions import refuse_conditions


async def upload_part(call: Call) -> Response:
    """A part that is sent again replaces the earlier one; the earlier bytes become garbage in the commit."""
    gate, request = call.gate, call.request
    number = ranges.part_number(request.query.get("partNumber") or "")
    refuse_conditions(request.headers)
    length = body_length(call)
    upload = await find_upload(call)
    brings_checksum = check_part_algorithm(call, upload)
    check_digest_of_locked(call, upload.traits, "Put Part")
    if upload.checksum_algorithm:
        call.body.default_algorithm = Algorithm(upload.checksum_algorithm)
    sealing = await sealed_part(call, upload)
    written, digests = await write_body(call, length, upload.group_id or None, sealing)
    part = part_row(upload, number, written, length, digests, sealing, call.now)
    await gate.catalog.put_part(upload, part)
    answer = [etag_header(part.etag), *confirmed(sealing)]
    if brings_checksum:  # of one that was only computed, ListParts tells and this answer does not, as AWS documents
        answer += checksum_headers(digests.checksum)[:1]
    return Response(headers=answer)
