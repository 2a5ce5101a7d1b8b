"""A request whose body is sent by hand, so that a test can kill something in the middle of it."""

from __future__ import annotations

import http.client
from typing import Any
from urllib.parse import urlsplit

from tests.fix_store import Store

TIMEOUT_SECONDS = 30


class SlowRequest:
    """A presigned PUT: the head goes out at once, the body piece by piece, the answer comes when it is asked for."""

    def __init__(self, store: Store, method: str, params: dict[str, Any], length: int, gate: int = 0) -> None:
        signer = store.client(gate, signature_version="s3v4")
        url = urlsplit(signer.generate_presigned_url(method, Params=params))
        self._connection = http.client.HTTPConnection(url.netloc, timeout=TIMEOUT_SECONDS)
        self._connection.putrequest("PUT", f"{url.path}?{url.query}", skip_accept_encoding=True)
        self._connection.putheader("Content-Length", str(length))
        self._connection.endheaders()

    def send(self, data: bytes) -> None:
        """Part of the body; a connection that broke is noticed by `answer`."""
        try:
            self._connection.send(data)
        except OSError:
            self._connection.close()

    def answer(self) -> tuple[int, dict[str, str]] | None:
        """Status and headers, or None when the connection broke before them."""
        try:
            answer = self._connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            self._connection.close()
        return answer.status, dict(answer.getheaders())

    def vanish(self) -> None:
        """The client is gone in the middle of its body."""
        self._connection.close()
