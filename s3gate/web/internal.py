"""The internal port: chunkds join here and say every few seconds how they are.

Every message is signed with the cluster's key over its path, length and checksum (chunkd/wire.py). This file
knows the messages and their answers; what joining means is the catalog's business, and which groups follow from
a new node is decided by whoever gave us `after_join`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from awscrt.checksums import crc32c

from chunkd import wire
from s3gate.catalog.errors import CatalogError, NodeRefused

log = logging.getLogger("s3gate.web")


class Roster(Protocol):
    """The catalog, as far as nodes are concerned."""

    async def join_node(self, request: wire.JoinRequest) -> int:
        """The node's incarnation from now on. Raises NodeRefused."""

    async def heartbeat_node(self, beat: wire.Heartbeat) -> bool:
        """False when the node has to join again."""


class Internal:
    """The ASGI application of the internal port."""

    def __init__(
        self,
        roster: Roster,
        keys: Sequence[wire.SigningKey],
        now: Callable[[], float],
        after_join: Callable[[], Awaitable[None]],
    ) -> None:
        self._roster = roster
        self._keys = keys
        self._now = now
        self._after_join = after_join

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One message."""
        status, answer = await self._answer(scope, receive)
        document = json.dumps(answer).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(document))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": document})

    async def _answer(self, scope: Any, receive: Any) -> tuple[int, dict[str, Any]]:
        path = scope["raw_path"].decode("ascii")
        if path not in (wire.JOIN_PATH, wire.HEARTBEAT_PATH):
            return 404, {"error": "no such path"}
        if scope["method"] != "POST":
            return 405, {"error": "POST, please"}
        body = await _read(receive)
        if body is None:
            return 413, {"error": f"more than {wire.MAX_INTERNAL_BODY_BYTES} bytes"}
        try:
            join = path == wire.JOIN_PATH
            message = wire.JoinRequest.decode(body) if join else wire.Heartbeat.decode(body)
        except wire.WireError as error:
            return 400, {"error": str(error)}
        reason = self._refusal(path, dict(scope["headers"]), body, message)
        if reason is not None:
            return 401, {"error": reason}
        try:
            return await self._perform(message)
        except NodeRefused as error:
            log.warning("node %s may not join: %s", message.node_id, error)
            return 409, {"error": str(error)}
        except CatalogError as error:
            return 503, {"error": f"the catalog is away: {error}"}

    def _refusal(
        self, path: str, headers: dict[bytes, bytes], body: bytes, message: wire.JoinRequest | wire.Heartbeat
    ) -> str | None:
        crc = headers.get(wire.CRC_HEADER.encode(), b"").decode("latin-1")
        if crc != wire.crc_text(crc32c(body)):
            return "the checksum of the body is missing or wrong"
        authorization = headers.get(b"authorization")
        return wire.verify(
            self._keys,
            None if authorization is None else authorization.decode("latin-1"),
            "POST",
            path,
            message.node_id,
            message.incarnation,
            self._now(),
            len(body),
            crc,
        )

    async def _perform(self, message: wire.JoinRequest | wire.Heartbeat) -> tuple[int, dict[str, Any]]:
        if isinstance(message, wire.JoinRequest):
            incarnation = await self._roster.join_node(message)
            await self._after_join()
            return 200, {"incarnation": incarnation}
        if await self._roster.heartbeat_node(message):
            return 200, {}
        return 409, {"error": "unknown node or another incarnation: join again"}


async def _read(receive: Any) -> bytes | None:
    """The body, or None when it is too long or was cut off."""
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        piece: bytes = message["body"]
        body += piece
        if len(body) > wire.MAX_INTERNAL_BODY_BYTES:
            return None
        if not message["more_body"]:
            return body
