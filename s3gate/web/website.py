"""The website door: a bucket's objects as pages, for browsers that know no S3.

    host -> bucket and its configuration -> redirect, or the object -> or where else to look -> or a page of the error

Nobody signs here: what is served is what GetObject answers to anonymous requests, asked through the same door. Which
key a path means and where a rule leads is decided in `s3/website.py`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from s3gate.operations._website import find_website
from s3gate.operations.exchange import Response
from s3gate.s3 import website
from s3gate.s3.errors import S3Error
from s3gate.s3.headers import REDIRECT
from s3gate.s3.operation import OPERATIONS
from s3gate.s3.request import Headers, Query, bucket_of_host
from s3gate.s3.website import Asked, Website
from s3gate.s3.xml_website import error_page
from s3gate.web.door import Door
from s3gate.web.refusal import HOST_ID
from s3gate.web.visit import Visit

if TYPE_CHECKING:
    from s3gate.operations.exchange import RawHeaders
    from s3gate.s3.request import Request
    from s3gate.web.cycle import Application

_OPERATIONS = {"GET": OPERATIONS["GetObject"], "HEAD": OPERATIONS["HeadObject"]}
_NO_HEADERS = Headers(())
_HTML = (b"content-type", b"text/html; charset=utf-8")
_NOT_THERE = frozenset(("NoSuchKey", "AccessDenied"))
"""Who may not list a bucket is not told whether a key exists."""


def by_host(domains: tuple[str, ...], site: Application, rest: Application) -> Application:
    """Hosts below these domains are websites, all others are not."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        host = next((value for name, value in scope["headers"] if name == b"host"), b"")
        await (site if bucket_of_host(host.decode("latin-1"), domains) else rest)(scope, receive, send)

    return app


class WebsiteDoor(Door):
    """The ASGI application of the hosts that are websites."""

    async def _perform(self, scope: Any, receive: Any, visit: Visit) -> Response:
        request = self._read(scope, visit, self._gate.settings.website_domains)
        if request.method not in _OPERATIONS:
            error = S3Error.of("MethodNotAllowed", Method=request.method, ResourceType="OBJECT")
            raise error.with_headers(allow=", ".join(_OPERATIONS))
        site = await find_website(self._gate, request)
        asked = Asked(request.scheme, request.host, request.key, request.query.raw)
        moved = website.before(site, asked)
        if moved is not None:
            return _redirect(*moved)
        try:
            return await self._page(website.key_of(site, asked), request.headers, receive, visit)
        except S3Error as error:
            if error.status < 400:
                raise
            return await self._instead(site, asked, error, receive, visit)

    async def _page(self, key: bytes, headers: Headers, receive: Any, visit: Visit) -> Response:
        """The object; or where its own redirect leads."""
        response = await self._object(key, headers, receive, visit)
        for name, value in response.headers:
            if name == REDIRECT:
                await _drop(response)
                return _redirect(website.MOVED, value.decode("latin-1"))
        return response

    async def _object(self, key: bytes, headers: Headers, receive: Any, visit: Visit) -> Response:
        request = _bare(visit.request, key, headers)
        operation = _OPERATIONS[request.method]
        visit.operation = operation.name
        return await self._call(operation, request, receive, visit)

    async def _instead(self, site: Website, asked: Asked, error: S3Error, receive: Any, visit: Visit) -> Response:
        """What is answered in place of an object that cannot be: another place, or the site's page of errors."""
        index = website.folder_index(site, asked)
        if index is not None and error.code in _NOT_THERE and await self._exists(index, receive, visit):
            return _redirect(*website.to_folder(asked))
        moved = website.after(site, asked, error.status)
        if moved is not None:
            return _redirect(*moved)
        if site.error_key is None:
            raise error
        visit.error = error.code
        try:
            response = await self._object(site.error_key.encode(), _NO_HEADERS, receive, visit)
        except S3Error as second:
            return _error_response(error, visit, second)
        return Response(error.status, [*response.headers, *_error_headers(error)], response.body)

    async def _exists(self, key: bytes, receive: Any, visit: Visit) -> bool:
        head = _bare(visit.request, key, _NO_HEADERS)
        try:
            await self._call(_OPERATIONS["HEAD"], head, receive, visit)
        except S3Error:
            return False
        return True

    def _refuse(self, scope: Any, visit: Visit, error: S3Error) -> Response:
        visit.error = error.code
        return _error_response(error, visit, None)


def _bare(request: Request | None, key: bytes, headers: Headers) -> Request:
    """For this key, without parameters: those of a website's path mean nothing to S3."""
    assert request is not None
    return replace(request, key=key, headers=headers, query=Query.parse(b""))


def _redirect(status: int, location: str) -> Response:
    return Response(status, [(b"location", location.encode("latin-1"))])


async def _drop(response: Response) -> None:
    """The bytes of an object that will not be sent: what was read ahead is given back."""
    close = getattr(response.body, "aclose", None)
    if close is not None:
        await close()


def _error_response(error: S3Error, visit: Visit, second: S3Error | None) -> Response:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in error.headers.items()]
    if error.status == 304:
        return Response(304, headers)
    facts = [*_facts(error), ("RequestId", visit.request_id), ("HostId", HOST_ID)]
    page = error_page(error.status, facts, None if second is None else _facts(second))
    return Response(error.status, [*headers, _HTML, *_error_headers(error)], page)


def _facts(error: S3Error) -> list[tuple[str, str]]:
    return [("Code", error.code), ("Message", error.message), *error.extra.items()]


def _error_headers(error: S3Error) -> RawHeaders:
    """The same for programs: HEAD has no page."""
    facts = [("code", error.code), ("message", error.message)]
    facts += [(f"detail-{name}", value) for name, value in error.extra.items()]
    return [
        (f"x-amz-error-{name}".lower().encode(), value.encode("ascii", "xmlcharrefreplace"))
        for name, value in facts
        if value.isprintable()
    ]
