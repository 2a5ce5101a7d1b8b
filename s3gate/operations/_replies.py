"""The answers that many operations have in common."""

from __future__ import annotations

from s3gate.operations.exchange import RawHeaders, Response

_XML = (b"content-type", b"application/xml")


def xml(document: bytes, headers: RawHeaders | None = None) -> Response:
    """A document as the body of a success."""
    return Response(headers=[_XML] if headers is None else [_XML, *headers], body=document)


def etag_header(etag: str) -> tuple[bytes, bytes]:
    """Rows hold entity tags bare; the wire has them quoted."""
    return b"etag", b'"%b"' % etag.encode()


def checksum_headers(checksum: str) -> RawHeaders:
    """`CRC32:FULL_OBJECT:value` as the two headers of a response; nothing for ""."""
    if not checksum:
        return []
    algorithm, kind, value = checksum.encode().split(b":", 2)
    return [(b"x-amz-checksum-" + algorithm.lower(), value), (b"x-amz-checksum-type", kind)]
