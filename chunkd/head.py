"""Reads the head of an HTTP/1.1 request: bytes in, a `Head` or a refusal out.

Stricter than HTTP asks for: what a gate and curl never send (bare line ends, folded lines, any header twice,
Transfer-Encoding) is refused, so that nothing can be read in two ways. It knows no socket and no shard.
"""

from __future__ import annotations

import re

MAX_HEADERS = 64

# request-line = method SP origin-form SP HTTP/1.1
_REQUEST_LINE = re.compile(r"([A-Z]{1,16}) (/[!-~]{0,2047}) HTTP/1\.1\Z")
# header-line = token ":" anything without control characters; CR, LF and NUL cannot hide in it
_HEADER_LINES = re.compile(r"(?:\r\n[!#-'*+\-.^-z|~0-9A-Za-z]+:[\t -~\x80-\xff]*)*\Z")
_DIGITS = re.compile(r"(?:0|[1-9][0-9]{0,14})\Z")


class HeadRefused(Exception):
    """The head cannot be accepted; the connection is closed after the answer."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Head:
    """Method, target (path and query as sent), headers by lower-case name, and the body's length."""

    __slots__ = ("headers", "keep_alive", "length", "method", "path", "query", "target")

    def __init__(self, method: str, target: str, headers: dict[str, str], length: int | None) -> None:
        self.method = method
        self.target = target
        self.path, _, self.query = target.partition("?")
        self.headers = headers
        self.length = length
        self.keep_alive = headers.get("connection", "").lower() != "close"

    def expects_continue(self) -> bool:
        """Whether the sender waits for a 100 before it sends the body."""
        return self.headers.get("expect", "").lower() == "100-continue"


def parse_head(raw: bytes) -> Head:
    """Parse a head without the empty line that ends it."""
    text = raw.decode("latin-1")
    line, separator, rest = text.partition("\r\n")
    request = _REQUEST_LINE.match(line)
    if request is None:
        raise _refuse_line(line)
    rest = separator + rest
    if _HEADER_LINES.match(rest) is None:
        raise HeadRefused(400, "malformed header")
    lines = rest.split("\r\n")
    if len(lines) > MAX_HEADERS + 1:
        raise HeadRefused(431, "too many headers")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip(" \t")
    if len(headers) != len(lines) - 1:
        raise HeadRefused(400, "a header twice")
    return Head(request[1], request[2], headers, _body_length(headers))


def _body_length(headers: dict[str, str]) -> int | None:
    if "transfer-encoding" in headers:
        raise HeadRefused(411, "a body needs a content-length")
    text = headers.get("content-length")
    if text is None:
        return None
    if _DIGITS.match(text) is None:
        raise HeadRefused(400, "malformed content-length")
    return int(text)


def _refuse_line(line: str) -> HeadRefused:
    if re.search(r" HTTP/\d\.\d\Z", line) and not line.endswith(" HTTP/1.1"):
        return HeadRefused(505, "only HTTP/1.1")
    if len(line) > 2048:
        return HeadRefused(414, "target too long")
    return HeadRefused(400, "malformed request line")
