"""A bucket as a website: which key a path means, and where a request is sent instead.

Pure decisions over a configuration. Whether an object exists, may be read or fails is the caller's to find out; it
comes back with the status of the error. This file knows neither XML nor HTML.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import quote

MOVED, FOUND = 301, 302

# What a configuration writes into a key is part of a URL already: "#!/" is how old one-page applications are reached.
_URL_CHARACTERS = "/#?!=&:;,@+$*'()~%[]"


class Redirect(NamedTuple):
    """Where to, each part only if it is to be another one. At most one of `prefix` and `key` is given."""

    protocol: str | None = None
    host: str | None = None
    prefix: str | None = None
    key: str | None = None
    status: int = MOVED


class Rule(NamedTuple):
    """A redirect for the keys that begin with `prefix`; with `error`, only once that status was found."""

    redirect: Redirect
    prefix: str = ""
    error: int | None = None


class Website(NamedTuple):
    """A configuration. `everything` stands alone."""

    index_suffix: str = ""
    error_key: str | None = None
    everything: Redirect | None = None
    rules: Sequence[Rule] = ()


class Asked(NamedTuple):
    """What the browser asked for: the key is the path as it was sent, without its first slash and decoded."""

    scheme: str
    host: str
    key: bytes
    query: bytes = b""


Answer = tuple[int, str]
"""(status, Location)."""


def before(site: Website, asked: Asked) -> Answer | None:
    """A redirect that needs no look at the object."""
    if site.everything is not None:
        where = _url(site.everything, asked, quote(asked.key, safe=_URL_CHARACTERS.replace("#", "").replace("?", "")))
        return site.everything.status, where + (f"?{asked.query.decode('latin-1')}" if asked.query else "")
    return _first(site.rules, asked, None)


def after(site: Website, asked: Asked, status: int) -> Answer | None:
    """A redirect for a request that ended with this error."""
    return _first(site.rules, asked, status)


def key_of(site: Website, asked: Asked) -> bytes:
    """The object that the path means: a path that ends with a slash means its index document."""
    return asked.key if asked.key and not asked.key.endswith(b"/") else asked.key + site.index_suffix.encode()


def folder_index(site: Website, asked: Asked) -> bytes | None:
    """The index document that would be there, had the path ended with a slash; None when it did."""
    return None if not asked.key or asked.key.endswith(b"/") else asked.key + b"/" + site.index_suffix.encode()


def to_folder(asked: Asked) -> Answer:
    """The same path with its slash."""
    return FOUND, f"/{quote(asked.key, safe='/')}/"


def _first(rules: Sequence[Rule], asked: Asked, error: int | None) -> Answer | None:
    for rule in rules:
        if rule.error == error and asked.key.startswith(rule.prefix.encode()):
            return rule.redirect.status, _url(rule.redirect, asked, _new_key(rule, asked.key))
    return None


def _new_key(rule: Rule, key: bytes) -> str:
    redirect = rule.redirect
    if redirect.key is not None:
        return quote(redirect.key, safe=_URL_CHARACTERS)
    if redirect.prefix is None:
        return quote(key, safe="/")
    return quote(redirect.prefix, safe=_URL_CHARACTERS) + quote(key[len(rule.prefix.encode()) :], safe="/")


def _url(redirect: Redirect, asked: Asked, path: str) -> str:
    return f"{redirect.protocol or asked.scheme}://{redirect.host or asked.host}/{path}"
