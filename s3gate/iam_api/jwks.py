"""The keys of an OIDC provider, fetched from where its discovery document says, and kept for a while.

What is fetched is small, soon there or given up, never redirected, and never shown to anybody. A server whose
certificate the machine does not trust is believed if its certificate has one of the provider's thumbprints.
"""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import json
import ssl
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from s3gate.iam_api.errors import refusal
from s3gate.iam_api.providers import is_acceptable_url

FETCH_SECONDS: Final = 5.0
MOST_BYTES: Final = 256 << 10
KEPT_SECONDS: Final = 300.0
AGAIN_SECONDS: Final = 10.0
"""A token that names an unknown key may be signed by a new one; but not every such token is worth a look."""
MOST_PROVIDERS: Final = 200
LOADED_AT_ONCE: Final = 4
_DISCOVERY: Final = "/.well-known/openid-configuration"

Keys = list[dict[str, Any]]
Fetch = Callable[[str, Sequence[str]], bytes]


class ProviderKeys:
    """The keys of all providers."""

    def __init__(self, fetch: Fetch, clock: Callable[[], float]) -> None:
        self._fetch = fetch
        self._clock = clock
        self._kept: dict[tuple[str, tuple[str, ...]], tuple[float, Keys]] = {}
        self._busy = asyncio.Semaphore(LOADED_AT_ONCE)

    async def find(self, url: str, thumbprints: Sequence[str], key_id: str) -> Keys:
        """The provider's keys of this id; all of them when the token names none."""
        place = (url, tuple(thumbprints))  # what one account believes of a server is not what another does
        kept = self._kept.get(place)
        age = float("inf") if kept is None else self._clock() - kept[0]
        if kept is None or age > KEPT_SECONDS or (age > AGAIN_SECONDS and not _of_id(kept[1], key_id)):
            kept = (self._clock(), await self._load(url, thumbprints))
            if len(self._kept) >= MOST_PROVIDERS:
                self._kept.clear()
            self._kept[place] = kept
        return _of_id(kept[1], key_id)

    async def _load(self, url: str, thumbprints: Sequence[str]) -> Keys:
        try:
            async with self._busy:
                return await asyncio.to_thread(self._load_now, url, thumbprints)
        except (OSError, ValueError, TypeError, KeyError, http.client.HTTPException):
            raise refusal("IDPCommunicationError", "The identity provider's keys could not be retrieved.") from None

    def _load_now(self, url: str, thumbprints: Sequence[str]) -> Keys:
        about = json.loads(self._fetch(url.rstrip("/") + _DISCOVERY, thumbprints))
        place = about["jwks_uri"]
        if not is_acceptable_url(place):
            raise ValueError(place)
        keys = json.loads(self._fetch(place, thumbprints))["keys"]
        return [key for key in keys if isinstance(key, dict)]


def _of_id(keys: Keys, key_id: str) -> Keys:
    return [key for key in keys if not key_id or key.get("kid") == key_id]


def fetch(url: str, thumbprints: Collection[str]) -> bytes:
    """The body of a 200. OSError, ValueError or HTTPException for everything else."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    try:
        return _get(parts.scheme, parts.hostname, parts.port, parts.path, ())
    except ssl.SSLCertVerificationError:
        if not thumbprints:
            raise
        return _get(parts.scheme, parts.hostname, parts.port, parts.path, thumbprints)


def _get(scheme: str, host: str, port: int | None, path: str, thumbprints: Collection[str]) -> bytes:
    connection = http.client.HTTPConnection(host, port, timeout=FETCH_SECONDS)
    if scheme == "https":
        context = ssl.create_default_context()
        if thumbprints:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(host, port, timeout=FETCH_SECONDS, context=context)
    try:
        connection.connect()
        if thumbprints:
            _check_thumbprint(connection.sock, thumbprints)
        connection.request("GET", path or "/", headers={"Accept": "application/json"})
        answer = connection.getresponse()
        body = answer.read(MOST_BYTES + 1)
        if answer.status != 200 or len(body) > MOST_BYTES:
            raise ValueError(f"status {answer.status}, {len(body)} bytes")
        return body
    finally:
        connection.close()


def _check_thumbprint(sock: Any, thumbprints: Collection[str]) -> None:
    certificate = sock.getpeercert(binary_form=True)
    if certificate is None or hashlib.sha1(certificate).hexdigest() not in thumbprints:
        raise ssl.SSLError("the server's certificate has none of the provider's thumbprints")
