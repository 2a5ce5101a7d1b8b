"""A request as S3 reads it: which bucket, which key, which headers and query, decoded once and strictly.

This file knows neither routing nor signatures, and it never normalises: a key is opaque bytes, `a//b` and
`a/../b` are themselves, and the raw path is kept because the signature is made over it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from s3gate.s3.errors import S3Error

RawHeaders = Sequence[tuple[bytes, bytes]]

_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


class Headers:
    """The header section: names in lower case, values as received.

    A header that was sent several times reads as its values joined by a comma, which is what the signature
    covers: nobody sees another value than the one that was signed.
    """

    __slots__ = ("_values", "raw")

    def __init__(self, raw: RawHeaders) -> None:
        self.raw = raw
        values = dict(raw)
        if len(values) != len(raw):
            values = {}
            for name, value in raw:
                earlier = values.get(name)
                values[name] = value if earlier is None else earlier.rstrip() + b"," + value.lstrip()
        self._values = values

    def get(self, name: str) -> str | None:
        """The value of the header, or None. `name` is in lower case."""
        value = self._values.get(name.encode("ascii"))
        return None if value is None else value.strip().decode("latin-1")

    def get_bytes(self, name: bytes) -> bytes | None:
        """The value as received, for the hot path."""
        return self._values.get(name)

    def all(self, name: str) -> list[str]:
        """Every value that was sent under the name, in order."""
        wanted = name.encode("ascii")
        return [value.strip().decode("latin-1") for sent, value in self.raw if sent == wanted]

    def names(self) -> Iterator[bytes]:
        """The names, each once."""
        return iter(self._values)

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Each name once, with its values joined."""
        return iter(self._values.items())

    def __contains__(self, name: str) -> bool:
        return name.encode("ascii") in self._values

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        """Every header as it was sent, duplicates included."""
        return iter(self.raw)

    def __len__(self) -> int:
        return len(self.raw)


class Query:
    """The query string: pairs in order, decoded ("+" is a space), and the raw bytes."""

    __slots__ = ("_values", "pairs", "raw")

    def __init__(self, raw: bytes, pairs: Sequence[tuple[str, str]]) -> None:
        self.raw = raw
        self.pairs = pairs
        self._values: dict[str, str] = dict(reversed(pairs))

    @classmethod
    def parse(cls, raw: bytes) -> Query:
        """Raises InvalidURI on a broken escape and on what is not UTF-8."""
        if not raw:
            return _EMPTY_QUERY
        pairs = []
        for field in raw.split(b"&"):
            if field:
                name, _, value = field.partition(b"=")
                pairs.append((_decode_query(name), _decode_query(value)))
        return cls(raw, pairs)

    def get(self, name: str) -> str | None:
        """The first value of the parameter ("" if it came without one), or None."""
        return self._values.get(name)

    def all(self, name: str) -> list[str]:
        """Every value of the parameter, in order."""
        return [value for sent, value in self.pairs if sent == name]

    def names(self) -> Iterator[str]:
        """The names, each once."""
        return iter(self._values)

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self.pairs)

    def __len__(self) -> int:
        return len(self.pairs)


_EMPTY_QUERY = Query(b"", ())


@dataclass(slots=True)
class Request:
    """One request. `bucket` is "" at service level; `key` is b"" where no object is named."""

    method: str
    raw_path: bytes
    query: Query
    headers: Headers
    bucket: str
    key: bytes
    host: str
    scheme: str
    remote: str
    tls_version: int = 0
    """The number that TLS itself has for it; 0 without TLS."""

    @classmethod
    def parse(
        cls,
        method: str,
        raw_path: bytes,
        query_string: bytes,
        raw_headers: RawHeaders,
        *,
        scheme: str = "http",
        remote: str = "",
        tls_version: int = 0,
        base_domains: Sequence[str] = (),
    ) -> Request:
        """The request that an ASGI scope describes. Raises InvalidURI."""
        headers = Headers(raw_headers)
        host = headers.get("host") or ""
        bucket, key = split_path(raw_path, host, base_domains)
        return cls(method, raw_path, Query.parse(query_string), headers, bucket, key, host, scheme, remote, tls_version)

    @property
    def bucket_in_host(self) -> bool:
        """Whether the host named the bucket: then the path is the key and nothing else."""
        return self.bucket != "" and decode_path(self.raw_path[1:]) == self.key


def split_path(raw_path: bytes, host: str, base_domains: Sequence[str]) -> tuple[str, bytes]:
    """(bucket, key): from the host name under a base domain, else from the path. Raises InvalidURI.

    `/bucket` and `/bucket/` are the same; after that every byte of the key counts.
    """
    if not raw_path.startswith(b"/"):
        raise S3Error.of("InvalidURI")
    bucket = bucket_of_host(host, base_domains) if base_domains else ""
    if bucket:
        return bucket, decode_path(raw_path[1:])
    if raw_path == b"//":  # what S3 Browser asks for when it means the list of buckets
        return "", b""
    first, _, rest = raw_path[1:].partition(b"/")
    return decode_path(first).decode(), decode_path(rest)


def decode_path(raw: bytes) -> bytes:
    """A part of a path without its percent escapes ("+" stays itself): UTF-8, or InvalidURI."""
    decoded = raw
    if b"%" in raw:
        if _BROKEN_ESCAPE.search(raw) is not None:
            raise S3Error.of("InvalidURI")
        decoded = unquote_to_bytes(raw)
    if not decoded.isascii():
        try:
            decoded.decode()
        except UnicodeDecodeError:
            raise S3Error.of("InvalidURI") from None
    return decoded


def _decode_query(raw: bytes) -> str:
    return decode_path(raw.replace(b"+", b" ")).decode()


def bucket_of_host(host: str, base_domains: Sequence[str]) -> str:
    """The bucket that a host name below one of the domains names; "" for any other host."""
    name = host.lower()
    if not name.endswith("]"):  # a bare IPv6 address has colons and no port
        name, _, port = name.rpartition(":") if ":" in name else (name, "", "")
        if port and not port.isdecimal():
            return ""
    for domain in base_domains:
        suffix = "." + domain.lower()
        if name.endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)]
    return ""
