"""Asks a gate whether it would take a PUT now. Knows one path and one status, no S3."""

from __future__ import annotations

import http.client

READY_PATH = "/-/ready"
TIMEOUT_SECONDS = 2.0


def is_ready(address: tuple[str, int], *, tls: bool) -> bool:
    """True once the gate says so; a refused, slow or broken answer is a no."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address[0], address[0])
    connection = _connection(host, address[1], tls)
    try:
        connection.request("GET", READY_PATH)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _connection(host: str, port: int, tls: bool) -> http.client.HTTPConnection:
    if not tls:
        return http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
    import ssl

    # We ask a child of ours on a socket that we bound: whose name the certificate bears does not matter.
    context = ssl._create_unverified_context()
    return http.client.HTTPSConnection(host, port, timeout=TIMEOUT_SECONDS, context=context)
