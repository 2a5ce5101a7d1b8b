"""HTTP as a hostile client speaks it: uvicorn's httptools protocol with limits.

On top of its parser (the strictest tried against request smuggling) come: limits of the header section,
exactly one Host, deadlines and least rates, a cap of connections, and answers that arrive although a body was
left unread. What is refused here is refused in S3's words. This file knows no operation.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, ClassVar

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.protocols.utils import get_local_addr, get_remote_addr, is_ssl
from uvicorn.server import ServerState

from s3gate.web.cycle import Application, Cycle
from s3gate.web.limits import Limits
from s3gate.web.porter import Porter, nobody_waits
from s3gate.web.refusal import refusal_bytes

_VERSIONS = frozenset(("1.0", "1.1"))  # the parser would also take 0.9 and 2.0
_NOTED = frozenset((b"host", b"expect", b"content-length", b"transfer-encoding"))


TLS_VERSIONS = {"TLSv1.2": 0x0303, "TLSv1.3": 0x0304}


def make_protocol(limits: Limits, waited_seconds: Callable[[], float] = nobody_waits) -> type[GateProtocol]:
    """The protocol class of one listener, for `uvicorn.Config(http=...)`."""
    return type("ListenerProtocol", (GateProtocol,), {"porter": Porter(limits, waited_seconds)})


def _extensions(transport: asyncio.Transport) -> dict[str, Any]:
    """Of the version of TLS, as ASGI's extension has it: a policy may ask for it."""
    ssl_object = transport.get_extra_info("ssl_object")
    version = None if ssl_object is None else TLS_VERSIONS.get(ssl_object.version())
    return {} if version is None else {"tls": {"tls_version": version}}


class Refused(Exception):
    """Raised inside the parser's callbacks; `GateProtocol.fault` says what to answer."""


class _BodyAlone:
    """Callbacks of a parser for the body of a request whose head was parsed by another one."""

    def __init__(self, protocol: GateProtocol) -> None:
        self._protocol = protocol
        self.on_body = protocol.on_body

    def on_message_complete(self) -> None:
        """The body is over; what follows it nobody reads."""
        self._protocol.deaf = True
        self._protocol.on_message_complete()


class GateProtocol(HttpToolsProtocol):
    """One connection."""

    porter: ClassVar[Porter]

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.application: Application = config.loaded_app
        self.queued: deque[Cycle] = deque()
        self.current: Cycle | None = None
        self.address = ""
        self.fault: tuple[str, str | None] = ("BadRequest", None)
        # Where the connection is: in a header section (a new connection owes one), or past it.
        self.in_head = True
        self.deaf = False
        self.since = self.loop.time()
        # Bytes since the last one that belonged to a body or completed something.
        self.quiet_bytes = 0
        self.hosts = 0
        self.content_length: int | None = None
        self.chunked = False
        # A request that wants to upgrade has a body: the parser does not look for one there.
        self.body_left_out = False
        self.written = 0
        self._window = (self.since, 0)

    # --- the connection ---

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client came in."""
        self.transport = transport
        self.flow = FlowControl(transport)
        self.connections.add(self)
        self.server = get_local_addr(transport)
        self.client = get_remote_addr(transport)
        self.scheme = "https" if is_ssl(transport) else "http"
        self.extensions = _extensions(transport)
        self.address = self.client[0] if self.client else ""
        if not self.porter.admit(self, self.address):
            self._refuse("SlowDown", "Too many connections.")
            transport.close()  # nobody sweeps it

    def connection_lost(self, exc: Exception | None) -> None:
        """The client went away, or we closed."""
        self.connections.discard(self)
        self.porter.leave(self, self.address)
        self.queued.clear()
        cycle = self.current
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.wake()
        self.flow.resume_writing()
        self.parser = None  # type: ignore[assignment]

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """A client may close its sending side after a request and still read the answer (not under TLS)."""
        cycle = self.current
        if self.deaf or self.scheme == "https" or cycle is None or cycle.response_complete or cycle.more_body:
            return None
        cycle.keep_alive = False
        return True

    def data_received(self, data: bytes) -> None:
        """Feeds the parser; what follows is done in its callbacks."""
        if self.deaf:
            return
        self.quiet_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._ignore_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._refuse(*self.fault)
        else:
            if self.quiet_bytes > self.porter.limits.hard_head_bytes:
                self._refuse("RequestHeaderSectionTooLarge")

    def _ignore_upgrade(self, rest: bytes) -> None:
        """We never upgrade: the request is answered as if it had not asked (Java's client asks with every first one).

        Whatever comes on this connection behind it and its body is not HTTP as we were told.
        """
        self.cycle.keep_alive = False
        if not self.body_left_out:
            self.deaf = True
            return
        self.body_left_out = False
        framing = b"transfer-encoding: chunked" if self.chunked else b"content-length: %d" % (self.content_length or 0)
        self.parser = httptools.HttpRequestParser(_BodyAlone(self))
        self.parser.feed_data(b"PUT / HTTP/1.1\r\nconnection: close\r\n%b\r\n\r\n" % framing)
        self.data_received(rest)

    def shutdown(self) -> None:
        """The server stops: idle connections end now, others after their response."""
        cycle = self.current
        if cycle is None or cycle.response_complete:
            self.transport.close()
        else:
            cycle.keep_alive = False

    def _refuse(self, code: str, message: str | None = None) -> None:
        """Answers what no operation will see, and ends the connection."""
        cycle = self.current
        self.deaf = True
        if cycle is not None and not cycle.response_complete:
            if cycle.more_body:  # the fault is in its own body
                cycle.disconnected = True
                cycle.wake()
                if cycle.response_started:
                    self.transport.abort()
                    return
            else:  # an earlier request is still being answered: nothing may be written into that
                cycle.keep_alive = False
                return
        status, rest = refusal_bytes(code, message)
        lines = self.porter.default_lines(self.server_state.default_headers)
        self.transport.write(b"".join((STATUS_LINE[status], lines, rest)))
        self._linger()

    def _linger(self) -> None:
        """Closes our side and drops what still comes: a plain close might lose the answer."""
        self.deaf = True
        self.since = self.loop.time()
        self.flow.resume_reading()
        if self.scheme == "http" and not self.transport.is_closing():
            self.transport.write_eof()

    # --- the parser's callbacks ---

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self.hosts = 0
        self.content_length = None
        self.chunked = False
        self.in_head = True
        self.since = self.loop.time()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; trailers of a chunked body come here too and are dropped: they are not signed."""
        if not self.in_head:
            return
        name = name.lower()
        self.headers.append((name, value))
        if name in _NOTED:
            if name == b"host":
                self.hosts += 1
            elif name == b"expect":
                self.expect_100_continue = value.lower() == b"100-continue"
            elif name == b"content-length":
                self.content_length = int(value)
            elif value.lower() == b"chunked":
                self.chunked = True
            else:  # the parser would let the application begin before it objects
                self._fault("NotImplemented", "The only Transfer-Encoding is chunked.")

    def on_headers_complete(self) -> None:
        """The header section is complete: checks it and starts the application."""
        self._check_head()
        self.in_head = False
        self.quiet_bytes = 0
        parser = self.parser
        version = parser.get_http_version()
        if version not in _VERSIONS:
            self._fault("BadRequest", "The HTTP version is neither 1.0 nor 1.1.")
        path, _, query = self._target().partition(b"?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": version,
            "method": parser.get_method().decode("ascii"),
            "scheme": self.scheme,
            "path": path.decode("ascii"),  # not decoded further: S3 reads raw_path, our own paths are plain
            "raw_path": path,
            "query_string": query,
            "root_path": "",
            "headers": self.headers,
            "client": self.client,
            "server": self.server,
            "extensions": self.extensions,
        }
        keep_alive = version != "1.0" and parser.should_keep_alive()
        self.body_left_out = parser.should_upgrade() and (self.chunked or bool(self.content_length))
        cycle = Cycle(self, scope, keep_alive, self.expect_100_continue, self.content_length)
        earlier = self.current
        if earlier is None or earlier.response_complete:
            self._run(cycle)
        else:  # pipelined
            self.flow.pause_reading()
            self.queued.append(cycle)
        self.cycle = cycle  # type: ignore[assignment]

    def on_body(self, body: bytes) -> None:
        """A piece of the body of the request that was parsed last."""
        self.quiet_bytes = 0
        cycle: Cycle = self.cycle  # type: ignore[assignment]
        if not cycle.response_complete:
            cycle.feed(body)

    def on_message_complete(self) -> None:
        """The end of a request."""
        self.quiet_bytes = 0
        if self.body_left_out:
            return
        cycle: Cycle = self.cycle  # type: ignore[assignment]
        cycle.more_body = False
        cycle.wake()

    def _check_head(self) -> None:
        limits = self.porter.limits
        headers = self.headers
        if self.quiet_bytes > limits.head_bytes:  # the section is at most that long: only now count exactly
            size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in headers)
            if size > limits.head_bytes:
                self._fault("RequestHeaderSectionTooLarge")
        if len(headers) > limits.header_count:
            self._fault("RequestHeaderSectionTooLarge", f"More than {limits.header_count} headers.")
        if self.hosts != 1:
            self._fault("InvalidRequest", "A request has exactly one Host header.")

    def _target(self) -> bytes:
        """Path and query as sent. Absolute forms lose their origin: what is signed is the Host header."""
        url = self.url
        if not url.isascii() or b"#" in url:
            self._fault("InvalidURI")
        if url[:1] == b"/":
            return url
        try:
            parsed = httptools.parse_url(url)
        except httptools.HttpParserError:
            self._fault("InvalidURI")
        path: bytes = parsed.path or b"/"
        return path if parsed.query is None else path + b"?" + parsed.query

    def _fault(self, code: str, message: str | None = None) -> None:
        self.fault = (code, message)
        raise Refused(code)

    def _run(self, cycle: Cycle) -> None:
        self.current = cycle
        self._window = (self.loop.time(), 0)
        task = self.loop.create_task(cycle.run(self.application))
        cycle.task = task
        self.tasks.add(task)

    def on_response_complete(self) -> None:
        """A response is written: on to the next request, or to the end."""
        self.server_state.total_requests += 1
        cycle = self.current
        transport = self.transport
        self.since = self.loop.time()
        if cycle is None or transport.is_closing():
            return
        if not cycle.keep_alive:
            if cycle.more_body:
                self._linger()
            else:
                transport.close()
            return
        cycle.chunks.clear()
        if self.queued:
            self._run(self.queued.popleft())
        if not self.queued:  # else what is pipelined would grow by a read for every response
            self.flow.resume_reading()

    # --- deadlines: called by the porter ---

    def check_deadlines(self, now: float) -> None:
        """Ends what lasts too long: a header section, an idle connection, a crawling body or reader."""
        limits = self.porter.limits
        cycle = self.current
        unsent = self.transport.get_write_buffer_size()
        lasted = now - self.since
        if unsent:
            rate, seconds = limits.download_bytes_per_second, limits.download_window_seconds
            if self._crawls(now, self.written - unsent, rate, seconds):
                self.transport.abort()
        elif self.deaf and (cycle is None or cycle.response_complete or cycle.disconnected):
            if lasted > limits.linger_seconds:
                self.transport.close()
        elif cycle is not None and not cycle.response_complete:
            if not cycle.waits_for_body:
                self._window = (now, cycle.received)
            elif self._crawls(now, cycle.received, limits.body_bytes_per_second, limits.body_window_seconds):
                cycle.slow = True
                cycle.wake()
        elif self.in_head and (self.quiet_bytes or cycle is not None):
            if lasted > limits.head_seconds:
                self._refuse("RequestTimeout")
        elif lasted > (limits.idle_seconds if cycle is not None and not cycle.more_body else limits.head_seconds):
            self.transport.close()

    def _crawls(self, now: float, done: int, rate: int, seconds: float) -> bool:
        """Whether less than the least rate was done in a window that is over; starts the next window."""
        if self.porter.crowded:
            rate, seconds = self.porter.limits.crowded_bytes_per_second, self.porter.limits.crowded_window_seconds
        start, before = self._window
        if now - start < seconds and done - before < rate * seconds:
            return False
        crawls = done - before < rate * seconds
        self._window = (now, done)
        return crawls
