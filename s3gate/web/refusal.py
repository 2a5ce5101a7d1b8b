"""Errors on their way out: request ids, and an S3Error as status, headers and document.

It knows neither sockets nor operations. The protocol (which refuses what is not HTTP) and the door use it.
"""

from __future__ import annotations

import base64
import secrets
from random import getrandbits
from typing import TYPE_CHECKING

from s3gate.s3.errors import S3Error
from s3gate.s3.xml_out import error_xml

if TYPE_CHECKING:
    from s3gate.operations.exchange import RawHeaders

HOST_ID = base64.b64encode(secrets.token_bytes(42)).decode("ascii")
"""x-amz-id-2: which process answered."""
HOST_ID_BYTES = HOST_ID.encode("ascii")
_XML = (b"content-type", b"application/xml")


def new_request_id() -> str:
    """Sixteen characters, as AWS has them. Unique is enough: nobody gains by guessing one."""
    return f"{getrandbits(64):016X}"


def render(error: S3Error, resource: str, request_id: str) -> tuple[int, RawHeaders, bytes]:
    """Status, headers (request ids excluded) and document of an error."""
    headers = [(name.encode("latin-1"), str(value).encode("latin-1")) for name, value in error.headers.items()]
    if error.status == 304:
        return error.status, headers, b""
    document = error_xml(error, resource, request_id, HOST_ID)
    headers.append(_XML)
    headers.append((b"content-length", b"%d" % len(document)))
    return error.status, headers, document


def refusal_bytes(code: str, message: str | None = None) -> tuple[int, bytes]:
    """Status, and the rest of a response that ends its connection: for what no operation ever sees."""
    request_id = new_request_id()
    status, headers, document = render(S3Error.of(code, message), "/", request_id)
    headers += [
        (b"x-amz-request-id", request_id.encode("ascii")),
        (b"x-amz-id-2", HOST_ID_BYTES),
        (b"connection", b"close"),
    ]
    lines = b"".join(b"%b: %b\r\n" % header for header in headers)
    return status, lines + b"\r\n" + document
