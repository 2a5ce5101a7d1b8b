"""An OIDC provider: an HTTP server with a discovery document and keys, and tokens signed with them."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256


def encode(data: bytes) -> str:
    """As tokens have it."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value: int) -> str:
    """As keys have it."""
    return encode(value.to_bytes((value.bit_length() + 7) // 8))


class Provider:
    """One provider with a key of each kind."""

    def __init__(self, port: int) -> None:
        self.issuer = f"http://127.0.0.1:{port}/realms/one"
        self.rsa = rsa.generate_private_key(65537, 2048)
        self.ec = ec.generate_private_key(ec.SECP256R1())
        self.asked = 0

    def keys(self) -> list[dict[str, str]]:
        """What /keys shows."""
        of_rsa, of_ec = self.rsa.public_key().public_numbers(), self.ec.public_key().public_numbers()
        return [
            {"kty": "RSA", "kid": "r", "use": "sig", "n": number(of_rsa.n), "e": number(of_rsa.e)},
            {"kty": "EC", "kid": "e", "crv": "P-256", "x": number(of_ec.x), "y": number(of_ec.y)},
        ]

    def token(self, algorithm: str = "RS256", kid: str | None = None, **claims: Any) -> str:
        """A good one, but for these claims."""
        said = {"iss": self.issuer, "sub": "subject-1", "aud": "client-1", "exp": time.time() + 600, **claims}
        header = {"alg": algorithm, "kid": kid or ("r" if algorithm == "RS256" else "e")}
        text = f"{encode(json.dumps(header).encode())}.{encode(json.dumps(said).encode())}"
        if algorithm == "RS256":
            signature = self.rsa.sign(text.encode(), padding.PKCS1v15(), SHA256())
        else:
            r, s = decode_dss_signature(self.ec.sign(text.encode(), ec.ECDSA(SHA256())))
            signature = r.to_bytes(32) + s.to_bytes(32)
        return f"{text}.{encode(signature)}"


@contextmanager
def serving() -> Iterator[Provider]:
    """A provider that answers."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = {
                "/realms/one/.well-known/openid-configuration": {"jwks_uri": provider.issuer + "/keys"},
                "/realms/one/keys": {"keys": provider.keys()},
            }.get(self.path)
            provider.asked += 1
            self.send_response(200 if found else 404)
            self.end_headers()
            self.wfile.write(json.dumps(found).encode())

        def log_message(self, *_: Any) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider = Provider(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
