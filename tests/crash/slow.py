"""A request whose body is sent by hand, so that a test can kill something in the middle of it."""

from __future__ import annotations

import http.client
import socket
from typing import Any
from urllib.parse import urlsplit

from tests.fix_store import Store

TIMEOUT_SECONDS = 30
RECEIVE_BYTES = 64 * 1024


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


class _Narrow(http.client.HTTPConnection):
    """A connection that takes little at a time, so that the other side has to wait for its reader."""

    def connect(self) -> None:
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        self.sock.settimeout(self.timeout)
        self.sock.connect((self.host, self.port))


class SlowRead:
    """A presigned GET whose body is taken by hand."""

    def __init__(self, store: Store, bucket: str, key: str, gate: int = 0) -> None:
        signer = store.client(gate, signature_version="s3v4")
        params = {"Bucket": bucket, "Key": key}
        url = urlsplit(signer.generate_presigned_url("get_object", Params=params))
        self._connection = _Narrow(url.netloc, timeout=TIMEOUT_SECONDS)
        self._connection.request("GET", f"{url.path}?{url.query}")
        self._answer = self._connection.getresponse()
        assert self._answer.status == 200

    def read(self, length: int | None = None) -> bytes:
        """So much of the body, or the rest; http.client.IncompleteRead when it breaks off."""
        data = self._answer.read(length)
        if length is None:
            self._connection.close()
        return data
