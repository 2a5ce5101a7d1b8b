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

from s3gate.operations._cors import headers_for_page
from s3gate.operations._failures import OF_LOWER_ROOMS, Denied, as_s3_error
from s3gate.operations.body import Body
from s3gate.operations.exchange import Call, OperationFunction, Response
from s3gate.s3.authenticate import authenticate
from s3gate.s3.credentials import Authentication, claimed_key, region_aliases
from s3gate.s3.errors import S3Error
from s3gate.s3.operation import Operation, refusal, resolve
from s3gate.s3.request import Request
from s3gate.web.access_log import AccessLog, Entry
from s3gate.web.audit_log import AuditLog
from s3gate.web.brakes import Brakes
from s3gate.web.cycle import Broken
from s3gate.web.iam_door import IamDoor, is_query
from s3gate.web.meters import Meters
from s3gate.web.refusal import HOST_ID_BYTES, render
from s3gate.web.visit import NO_OPERATION, Visit

if TYPE_CHECKING:
    from s3gate.gate import Gate
    from s3gate.identity.identity import Identity
    from s3gate.operations.exchange import RawHeaders

log = logging.getLogger("s3gate.web")

_NO_TLS: Mapping[str, Any] = {}
_BODILESS = frozenset((204, 304))
_OF_A_SECRET = frozenset(("SignatureDoesNotMatch", "InvalidToken"))


def utc_now() -> datetime:
    return datetime.now(UTC)


class Door:
    """The ASGI application of the S3 port."""

    def __init__(
        self,
        gate: Gate,
        functions: Mapping[str, OperationFunction],
        iam: IamDoor,
        meters: Meters,
        brakes: Brakes,
        access_log: AccessLog | None = None,
        audit_log: AuditLog | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        settings = gate.settings
        self._gate = gate
        self._functions = functions
        self._iam = iam
        self._meters = meters
        self._brakes = brakes
        self._access_log = access_log
        self._audit_log = audit_log
        self._now = now
        self._region = settings.region
        self._region_header = (b"x-amz-bucket-region", settings.region.encode("ascii"))
        self._aliases = region_aliases(settings.region)
        self._base_domains = settings.base_domains
        self._sigv2 = settings.sigv2

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request."""
        visit = Visit(self._now())
        started = perf_counter()
        self._meters.inflight += 1
        try:
            response = visit.response = await self._answer(scope, receive, visit)
            request = visit.request
            if request is not None and request.headers.get_bytes(b"origin") is not None:
                # What streams is an object that was found, be it a website's page of errors.
                failed = visit.error and isinstance(response.body, bytes)
                visit.for_page = await headers_for_page(self._gate, request, None if failed else visit.call)
            await self._send(visit, response, send)
        finally:
            self._meters.inflight -= 1
            self._finish(visit, scope, perf_counter() - started)

    async def _answer(self, scope: Any, receive: Any, visit: Visit) -> Response:
        try:
            return await self._perform(scope, receive, visit)
        except Denied as error:
            visit.denial = error.why
            return self._refuse(scope, visit, error)
        except S3Error as error:
            return self._refuse(scope, visit, await self._brakes.held(error, visit.request))
        except OF_LOWER_ROOMS as error:  # of looking up who signed: operations say their own
            assert visit.request is not None
            return self._refuse(scope, visit, as_s3_error(error, visit.request))
        except Exception:
            log.exception("request %s failed", visit.request_id)
            return self._refuse(scope, visit, S3Error.of("InternalError"))

    async def _perform(self, scope: Any, receive: Any, visit: Visit) -> Response:
        request = self._read(scope, visit, self._base_domains)
        if is_query(request):
            return await self._ask_iam(request, receive, visit)
        await self._authenticate(request, visit)
        operation = resolve(request.method, request.bucket != "", request.key != b"", request.query, request.headers)
        visit.operation = operation.name
        if not operation.built:
            raise refusal(operation)
        return await self._call(operation, request, receive, visit)

    async def _authenticate(self, request: Request, visit: Visit) -> None:
        """Who signed (law 12). The identity is what was found last: `authorize` sees whether that still holds."""
        # A preflight is nobody's, whatever link it is for.
        access_key, token = claimed_key(request) if request.method != "OPTIONS" else ("", "")
        identities = self._gate.identities
        known = identities.remembered(access_key) if access_key else None
        identity = await identities.find(access_key, token) if access_key and known is None else known
        try:
            visit.auth = self._verified(request, visit.now, access_key, identity)
        except S3Error as error:
            if known is None or error.code not in _OF_A_SECRET:
                raise
            identity = await identities.current(access_key, token)  # the key may have another secret by now
            if identity is known:
                raise
            visit.auth = self._verified(request, visit.now, access_key, identity)
        if not visit.auth.is_anonymous:
            visit.identity = identity

    def _verified(self, request: Request, now: datetime, access_key: str, identity: Identity | None) -> Authentication:
        credential = None if identity is None else identity.credential
        return authenticate(
            request,
            now,
            lambda name: credential if name == access_key else None,
            self._region,
            region_aliases=self._aliases,
            sigv2_enabled=self._sigv2,
        )

    async def _ask_iam(self, request: Request, receive: Any, visit: Visit) -> Response:
        answer = await self._iam.answer(request, receive, visit.now, visit.request_id)
        visit.operation, visit.identity, visit.error = answer.name or NO_OPERATION, answer.identity, answer.error
        visit.parameters = answer.parameters
        return answer.response

    @staticmethod
    def _read(scope: Any, visit: Visit, base_domains: tuple[str, ...]) -> Request:
        client = scope["client"]
        request = visit.request = Request.parse(
            scope["method"],
            scope["raw_path"],
            scope["query_string"],
            scope["headers"],
            scheme=scope["scheme"],
            remote=client[0] if client else "",
            tls_version=scope.get("extensions", _NO_TLS).get("tls", _NO_TLS).get("tls_version", 0),
            base_domains=base_domains,
        )
        return request

    async def _call(self, operation: Operation, request: Request, receive: Any, visit: Visit) -> Response:
        auth = visit.auth
        body = visit.body = Body(receive, request.headers, auth)
        call = visit.call = Call(
            self._gate, request, operation, auth, body, visit.now, visit.request_id, visit.identity
        )
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
            *visit.for_page,
            (b"x-amz-request-id", visit.request_id.encode("ascii")),
            (b"x-amz-id-2", HOST_ID_BYTES),
        ]
        if not isinstance(body, bytes):
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await self._stream(visit, body, send)
            return
        if status not in _BODILESS and not any(name == b"content-length" for name, _ in headers):
            headers.append((b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        visit.bytes_out = len(body)
        await send({"type": "http.response.body", "body": body})

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
            except OF_LOWER_ROOMS as error:
                visit.error = "InternalError"
                log.warning("request %s broke off in the middle of its body: %r", visit.request_id, error)
                raise Broken from error
            except Exception as error:
                visit.error = "InternalError"
                log.exception("request %s broke off in the middle of its body", visit.request_id)
                raise Broken from error
        await send({"type": "http.response.body"})

    def _finish(self, visit: Visit, scope: Any, seconds: float) -> None:
        bytes_in = 0 if visit.body is None else visit.body.received
        bytes_out = 0 if scope["method"] == "HEAD" else visit.bytes_out  # whose body is made and never sent
        self._meters.count(visit.operation, visit.status, seconds, bytes_in, bytes_out)
        if self._audit_log is not None:
            self._audit_log.note(visit, scope)
        if self._access_log is None:
            return
        request = visit.request
        agent = b"" if request is None else request.headers.get_bytes(b"user-agent") or b""
        client = scope["client"]
        self._access_log.add(
            Entry(
                visit.now,
                visit.request_id,
                client[0] if client else "",
                visit.access_key,
                scope["method"],
                scope["raw_path"],
                visit.operation,
                visit.status,
                visit.error,
                bytes_in,
                bytes_out,
                seconds,
                agent,
            )
        )
