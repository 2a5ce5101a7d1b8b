"""How the keys of a provider are fetched: over TLS that is trusted or known by its thumbprint, and small.

Redirections are not followed.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from s3gate.iam_api.jwks import MOST_BYTES, ProviderKeys, fetch
from tests.fix_tls import make_certificate


class Handler(BaseHTTPRequestHandler):
    """Answers by the path."""

    def do_GET(self) -> None:
        """One request."""
        status, body = {"/good": (200, b"{}"), "/long": (200, b"x" * (MOST_BYTES + 1))}.get(self.path, (302, b""))
        self.send_response(status)
        self.send_header("location", "/good")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


@contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[str]:
    """A server; its host and port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_what_is_too_long_or_elsewhere_is_not_fetched() -> None:
    with serving() as place:
        assert fetch(f"http://{place}/good", ()) == b"{}"
        for path in ("long", "elsewhere"):
            with pytest.raises((ValueError, OSError, http.client.HTTPException)):
                fetch(f"http://{place}/{path}", ())


def test_a_certificate_is_believed_by_its_thumbprint(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.cert, certificate.key)
    shown = ssl.PEM_cert_to_DER_cert(certificate.cert.read_text())
    with serving(context) as place:
        assert fetch(f"https://{place}/good", [hashlib.sha1(shown).hexdigest()]) == b"{}"
        for thumbprints in ([], ["a" * 40]):
            with pytest.raises(ssl.SSLError):
                fetch(f"https://{place}/good", thumbprints)


async def test_what_one_account_believes_another_does_not() -> None:
    """Two accounts know one issuer, and one of them believes in a certificate of its own."""

    def fetched(url: str, thumbprints: Sequence[str]) -> bytes:
        key = {"kid": "k", "of": ",".join(thumbprints)}
        return json.dumps({"jwks_uri": "https://x.example/keys", "keys": [key]}).encode()

    keys = ProviderKeys(fetched, lambda: 1000.0)
    for thumbprints in (["a" * 40], [], ["a" * 40]):
        assert await keys.find("https://x.example", thumbprints, "k") == [{"kid": "k", "of": ",".join(thumbprints)}]
