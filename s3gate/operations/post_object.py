"""PostObject: a browser's form. Its fields say what PutObject's headers would, its policy who lets it, and what.

The fields come first and are judged before a byte of the file is taken. The file's length is known only at its end,
so it is spooled; then it goes the way of every other object.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace

from s3gate.operations._access import ask_said
from s3gate.operations._replies import url_of, xml
from s3gate.operations._spool import Spool, opened_spool
from s3gate.operations._storing import store_object
from s3gate.operations._writing import SINGLE_WRITE_LIMIT_BYTES
from s3gate.operations.body import Body
from s3gate.operations.exchange import Call, RawHeaders, Response
from s3gate.s3 import post_form, post_policy
from s3gate.s3.credentials import region_aliases
from s3gate.s3.errors import S3Error, invalid_argument
from s3gate.s3.form_data import FIELDS_LIMIT_BYTES, FormData, boundary_of
from s3gate.s3.names import check_key
from s3gate.s3.post_policy import Policy
from s3gate.s3.request import Headers, Query
from s3gate.s3.tags import pack
from s3gate.s3.unbuilt import refuse_unbuilt
from s3gate.s3.xml_out import post_response
from s3gate.s3.xml_tagging import object_tags

Pieces = AsyncIterator[bytes | memoryview]


async def post_object(call: Call) -> Response:
    if not call.auth.is_anonymous:
        message = "A form is signed by its fields, not by the request's headers or query."
        raise invalid_argument("Authorization", "", message)
    call.body.want_md5 = False
    parser = FormData(boundary_of(call.request.headers.get("content-type")))
    most = call.body.required_length(SINGLE_WRITE_LIMIT_BYTES + FIELDS_LIMIT_BYTES)
    async with aclosing(call.body.pieces()) as pieces:
        found = await _receive_fields(parser, pieces)
        fields = post_form.read_fields(parser.fields, parser.file_name or "")
        key = post_form.key_of(fields)
        policy = await _admit(call, fields)
        if parser.file_name is None:
            raise post_form.no_file()
        put = _as_put(call, fields, key)
        await ask_said(put, {})
        async with opened_spool(call.gate, most) as spool:
            await _receive_file(parser, found, pieces, spool, policy)
            stored = await store_object(_with_file(put, spool))
    return _answer(call, fields, key, stored.headers)


async def _receive_fields(parser: FormData, pieces: Pieces) -> list[bytes]:
    """Until the file begins, or the form ends without one. Returns what is there of the file."""
    async for piece in pieces:
        found = parser.feed(bytes(piece))
        if parser.file_name is not None:
            return found
    parser.finish()
    return []


async def _receive_file(
    parser: FormData, found: list[bytes], pieces: Pieces, spool: Spool, policy: Policy | None
) -> None:
    """All of it, and the rest of the form."""
    await _add(found, spool, policy)
    async for piece in pieces:
        await _add(parser.feed(bytes(piece)), spool, policy)
    parser.finish()
    _check_length(policy, spool.size, complete=True)
    await spool.complete()


async def _add(found: list[bytes], spool: Spool, policy: Policy | None) -> None:
    for data in found:
        await spool.add(data)
    _check_length(policy, spool.size)


async def _admit(call: Call, fields: dict[str, str]) -> Policy | None:
    """Who signed the form, and whether it keeps to the policy that was signed. Nobody: there is no policy either."""
    gate, settings = call.gate, call.gate.settings
    access_key, token = post_form.claimed_key(fields)
    identity = await gate.identities.current(access_key, token) if access_key else None
    credential = None if identity is None else identity.credential
    call.auth = post_form.authenticate(
        fields,
        lambda key: credential if key == access_key else None,
        settings.region,
        region_aliases=region_aliases(settings.region),
        sigv2_enabled=settings.sigv2,
    )
    if call.auth.is_anonymous:
        return None
    call.identity = identity
    policy = post_policy.parse(fields["policy"])
    policy.check(fields, call.request.bucket, call.now)
    return policy


def _check_length(policy: Policy | None, size: int, *, complete: bool = False) -> None:
    if policy is not None:
        policy.check_length(size, complete=complete)
    if size > SINGLE_WRITE_LIMIT_BYTES:
        raise S3Error.of("EntityTooLarge", ProposedSize=str(size), MaxSizeAllowed=str(SINGLE_WRITE_LIMIT_BYTES))


def _as_put(call: Call, fields: dict[str, str], key: bytes) -> Call:
    """The PutObject that says the same, as yet without its body."""
    check_key(key)
    given = post_form.headers_of(fields)
    if "tagging" in fields:
        if "x-amz-tagging" in fields:
            raise invalid_argument("tagging", fields["tagging"], "Only one of tagging and x-amz-tagging may be given.")
        given.append((b"x-amz-tagging", pack(object_tags(fields["tagging"].encode()))))
    headers = Headers(given)
    refuse_unbuilt(headers, call.operation.name)
    return replace(call, request=replace(call.request, key=key, headers=headers, query=Query.parse(b"")))


def _with_file(put: Call, spool: Spool) -> Call:
    headers = Headers([*put.request.headers, (b"content-length", b"%d" % spool.size)])
    body = Body(spool.receive, headers, put.auth)
    return replace(put, gate=spool.gate, request=replace(put.request, headers=headers), body=body)


def _answer(call: Call, fields: dict[str, str], key: bytes, headers: RawHeaders) -> Response:
    """What the form asked for: to be sent elsewhere, a document, or nothing but a status."""
    request = call.request
    etag = dict(headers)[b"etag"].decode().strip('"')
    elsewhere = post_form.redirect_of(fields, request.bucket, key, etag)
    if elsewhere is not None:
        return Response(303, [*headers, (b"location", elsewhere)])
    where = url_of(request, key)
    headers = [*headers, (b"location", where.encode("latin-1"))]
    status = post_form.success_status(fields)
    if status != 201:
        return Response(status, headers)
    answer = xml(post_response(where, request.bucket, key, etag), headers)
    answer.status = status
    return answer
