"""The S3 door: from an ASGI request to an operation, and from its answer or error back to the wire.

    request id -> decode -> authenticate -> which operation -> may they -> perform -> answer

Authentication comes before the first `receive`, so a client that waits for 100-continue sends nothing that would
be refused (law 12: one authenticate(), before routing; the default is deny). The door knows no operation by name;
every error passes here on its way out and becomes S3's exactly once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from time import perf_counter
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.utils import ClientDisconnected

from s3gate.operations.body import Body
from s3gate.operations.exchange import Call, OperationFunction, Response
from s3gate.s3.authenticate import authenticate
from s3gate.s3.errors import S3Error
from s3gate.s3.operation import refusal, resolve
from s3gate.s3.request import Request
from s3gate.web.access_log import AccessLog, Entry
from s3gate.web.cycle import Broken
from s3gate.web.meters import Meters
from s3gate.web.refusal import HOST_ID_BYTES, new_request_id, render

if TYPE_CHECKING:
    from s3gate.gate import Gate
    from s3gate.operations.exchange import RawHeaders

log = logging.getLogger("s3gate.web")

CLASSIC_REGION = "us-east-1"
CLASSIC_ALIASES = frozenset(("US",))
"""What s3cmd signs with when nobody told it a region."""
NO_OPERATION = "none"
_BODILESS = frozenset((204, 304))


def utc_now() -> datetime:
    return datetime.now(UTC)


class Visit:
    """What is known of one request while it is under way, for the log and the counters."""

    __slots__ = ("access_key", "body", "bytes_out", "error", "operation", "request", "request_id", "status")

    def __init__(self) -> None:
        self.request_id = new_request_id()
        self.request: Request | None = None
        self.body: Body | None = None
        self.access_key = ""
        self.operation = NO_OPERATION
        self.error = ""
        self.status = 500
        self.bytes_out = 0


class Door:
    """The ASGI application of the S3 port."""

    def __init__(
        self,
        gate: Gate,
        functions: Mapping[str, OperationFunction],
        meters: Meters,
        access_log: AccessLog | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        settings = gate.settings
        self._gate = gate
        self._functions = functions
        self._meters = meters
        self._access_log = access_log
        self._now = now
        self._region = settings.region
        self._region_header = (b"x-amz-bucket-region", settings.region.encode("ascii"))
        self._aliases = CLASSIC_ALIASES if settings.region == CLASSIC_REGION else frozenset[str]()
        self._base_domains = settings.base_domains
        self._sigv2 = settings.sigv2

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request."""
        visit = Visit()
        now = self._now()
        started = perf_counter()
        self._meters.inflight += 1
        try:
            response = await self._answer(scope, receive, visit, now)
            await self._send(visit, response, send)
        finally:
            self._meters.inflight -= 1
            self._finish(visit, scope, now, perf_counter() - started)

    async def _answer(self, scope: Any, receive: Any, visit: Visit, now: datetime) -> Response:
        try:
            return await self._perform(scope, receive, visit, now)
        except S3Error as error:
            return self._refuse(scope, visit, error)
        except Exception:
            log.exception("request %s failed", visit.request_id)
            return self._refuse(scope, visit, S3Error.of("InternalError"))

    async def _perform(self, scope: Any, receive: Any, visit: Visit, now: datetime) -> Response:
        client = scope["client"]
        request = visit.request = Request.parse(
            scope["method"],
            scope["raw_path"],
            scope["query_string"],
            scope["headers"],
            scheme=scope["scheme"],
            remote=client[0] if client else "",
            base_domains=self._base_domains,
        )
        auth = authenticate(
            request,
            now,
            self._gate.credentials,
            self._region,
            region_aliases=self._aliases,
            sigv2_enabled=self._sigv2,
        )
        visit.access_key = auth.access_key
        operation = resolve(request.method, request.bucket != "", request.key != b"", request.query, request.headers)
        visit.operation = operation.name
        if not operation.built:
            raise refusal(operation)
        if auth.is_anonymous:
            raise S3Error.of("AccessDenied")
        body = visit.body = Body(receive, request.headers, auth)
        call = Call(self._gate, request, operation, auth, body, now, visit.request_id)
        return await self._functions[operation.name](call)

    def _refuse(self, scope: Any, visit: Visit, error: S3Error) -> Response:
        visit.error = error.code
        path = scope["raw_path"].decode("ascii", "replace")
        status, headers, document = render(error, path, visit.request_id)
        request = visit.request
        if request is not None and request.bucket and error.code != "NoSuchBucket":
            headers.append(self._region_header)
        return Response(status, headers, document)

    async def _send(self, visit: Visit, response: Response, send: Any) -> None:
        status, body = response.status, response.body
        visit.status = status
        headers: RawHeaders = [
            *response.headers,
            (b"x-amz-request-id", visit.request_id.encode("ascii")),
            (b"x-amz-id-2", HOST_ID_BYTES),
        ]
        whole = isinstance(body, bytes)
        if whole and status not in _BODILESS and not any(name == b"content-length" for name, _ in headers):
            headers.append((b"content-length", b"%d" % len(body)))  # type: ignore[arg-type]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        if whole:
            visit.bytes_out = len(body)  # type: ignore[arg-type]
            await send({"type": "http.response.body", "body": body})
        else:
            await self._stream(visit, body, send)

    async def _stream(self, visit: Visit, pieces: Any, send: Any) -> None:
        """The client knows the length: whatever fails now breaks the connection, never shortens (law 7)."""
        async with aclosing(pieces):
            try:
                async for piece in pieces:
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                    visit.bytes_out += len(piece)
            except ClientDisconnected:
                visit.error = "ClientDisconnected"
                raise
            except Exception as error:
                visit.error = "InternalError"
                log.exception("request %s broke off in the middle of its body", visit.request_id)
                raise Broken from error
        await send({"type": "http.response.body"})

    def _finish(self, visit: Visit, scope: Any, now: datetime, seconds: float) -> None:
        bytes_in = 0 if visit.body is None else visit.body.received
        self._meters.count(visit.operation, visit.status, seconds, bytes_in, visit.bytes_out)
        if self._access_log is None:
            return
        request = visit.request
        agent = b"" if request is None else request.headers.get_bytes(b"user-agent") or b""
        client = scope["client"]
        self._access_log.add(
            Entry(
                now,
                visit.request_id,
                client[0] if client else "",
                visit.access_key,
                scope["method"],
                scope["raw_path"],
                visit.operation,
                visit.status,
                visit.error,
                bytes_in,
                visit.bytes_out,
                seconds,
                agent,
            )
        )
