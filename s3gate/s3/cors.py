"""Cross-origin rules: which origin may do what, and the headers by which a browser is told.

A preflight and an actual request are judged by the same rules, the first that fits decides. This file knows
neither buckets nor XML, and grants nothing: a browser is told what its page may see, access is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from s3gate.s3.errors import S3Error
from s3gate.s3.headers import Pairs
from s3gate.s3.request import Headers

REQUESTED_HEADERS_LIMIT = 100
"""A preflight for more headers than this is not granted."""
METHODS = ("GET", "PUT", "HEAD", "POST", "DELETE")

_VARY = (b"vary", b"Origin, Access-Control-Request-Headers, Access-Control-Request-Method")
_NOT_ENABLED = "CORSResponse: CORS is not enabled for this bucket."
_NOT_ALLOWED = (
    "CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, request "
    "method / Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the "
    "resource's CORS spec."
)


class CorsRule(NamedTuple):
    """One rule. Origins and headers may hold one `*` each; `allowed_headers` are in lower case."""

    methods: tuple[str, ...]
    origins: tuple[str, ...]
    allowed_headers: tuple[str, ...] = ()
    expose_headers: tuple[str, ...] = ()
    max_age_seconds: int | None = None


def preflight(rules: Sequence[CorsRule] | None, headers: Headers, resource_type: str) -> Pairs:
    """The headers by which a preflight is granted; BadRequest or AccessForbidden. None: there is no such bucket."""
    origin = headers.get("origin")
    if not origin:
        raise S3Error.of("BadRequest", "Insufficient information. Origin request header needed.")
    method = headers.get("access-control-request-method")
    if method not in METHODS:
        raise S3Error.of("BadRequest", f"Invalid Access-Control-Request-Method: {'null' if method is None else method}")
    if not rules:
        message = "CORSResponse: Bucket not found" if rules is None else _NOT_ENABLED
        raise S3Error.of("AccessForbidden", message, Method=method, ResourceType=resource_type)
    granted = _granted(rules, origin, method, _requested(headers))
    if not granted:
        raise S3Error.of("AccessForbidden", _NOT_ALLOWED, Method=method, ResourceType=resource_type)
    return granted


def actual(rules: Sequence[CorsRule], headers: Headers, method: str) -> Pairs:
    """What is added to the answer of a request that has an Origin: nothing when no rule fits."""
    asked = headers.get("access-control-request-method")
    return _granted(rules, headers.get("origin") or "", asked or method, _requested(headers))


def _granted(rules: Sequence[CorsRule], origin: str, method: str, requested: Sequence[str]) -> Pairs:
    if len(requested) > REQUESTED_HEADERS_LIMIT:
        return []
    for rule in rules:
        pattern = next((each for each in rule.origins if _fits(each, origin)), None)
        if pattern is None or method not in rule.methods:
            continue
        if all(any(_fits(each, name) for each in rule.allowed_headers) for name in requested):
            return _headers(rule, pattern, origin, requested)
    return []


def _headers(rule: CorsRule, pattern: str, origin: str, requested: Sequence[str]) -> Pairs:
    """A rule for everybody says so, and then lets no credentials through; any other names the one who asked."""
    found: Pairs = [(b"access-control-allow-origin", b"*" if pattern == "*" else origin.encode("latin-1"))]
    found.append((b"access-control-allow-methods", ", ".join(rule.methods).encode()))
    if requested:
        found.append((b"access-control-allow-headers", ", ".join(requested).encode("latin-1")))
    if rule.expose_headers:
        found.append((b"access-control-expose-headers", ", ".join(rule.expose_headers).encode()))
    if rule.max_age_seconds is not None:
        found.append((b"access-control-max-age", b"%d" % rule.max_age_seconds))
    if pattern != "*":
        found.append((b"access-control-allow-credentials", b"true"))
    found.append(_VARY)
    return found


def _requested(headers: Headers) -> list[str]:
    text = headers.get("access-control-request-headers") or ""
    return [name.strip().lower() for name in text.split(",") if name.strip()]


def _fits(pattern: str, text: str) -> bool:
    """Whether the text is the pattern, in which one `*` stands for any run of characters."""
    prefix, star, suffix = pattern.partition("*")
    if not star:
        return text == pattern
    return len(text) >= len(prefix) + len(suffix) and text.startswith(prefix) and text.endswith(suffix)
