"""What goes into an operation and what comes out of it.

The door builds a `Call`, an operation answers with a `Response`. Neither knows Starlette, sockets or SQL:
request ids, dates and connection handling are the door's business.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from s3gate.catalog.rows import BucketRow
    from s3gate.gate import Gate
    from s3gate.identity.identity import Identity
    from s3gate.operations.body import Body
    from s3gate.s3.credentials import Authentication
    from s3gate.s3.errors import S3Error
    from s3gate.s3.operation import Operation
    from s3gate.s3.request import Request

RawHeaders = list[tuple[bytes, bytes]]
"""Response headers as ASGI wants them: lower-case names, latin-1 values."""


@dataclass(slots=True)
class Call:
    """One authenticated request on its way through one operation."""

    gate: Gate
    request: Request
    operation: Operation
    auth: Authentication
    body: Body
    now: datetime
    request_id: str
    identity: Identity | None = None
    """Whom the access key stands for; None: nobody signed."""
    bucket: BucketRow | None = None
    """The bucket, as the request was let into it."""
    said: Mapping[str, tuple[str, ...]] | None = None
    """What the body turned out to want, for policies: keys of conditions. None: it has not been read."""
    removed: Sequence[Removal] = ()
    """Of an operation on many objects, for the audit trail."""


@dataclass(slots=True)
class Response:
    """What an operation answers.

    `body` is either all of the bytes (content-length is then their length, set by the door unless the
    operation has set one, as HEAD does) or an iterator of pieces, whose content-length the operation has set.
    """

    status: int = 200
    headers: RawHeaders = field(default_factory=list)
    body: bytes | AsyncIterator[bytes | bytearray | memoryview] = b""


class Removal(NamedTuple):
    """What became of one of many: `error` is None where it was removed."""

    key: bytes
    version_id: str
    error: S3Error | None


OperationFunction = Callable[[Call], Awaitable[Response]]
