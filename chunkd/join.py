"""Membership: joins the cluster through a gate's internal port, then says every few seconds how the node is.

It tries for ever and every gate in turn, and gives up on one thing only: a cluster that says that this disk
is a copy or was rolled back. It knows the superblock's incarnation and nonce and the wire contract; no shard.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import Callable
from typing import Protocol
from urllib.parse import urlsplit

from awscrt.checksums import crc32c

from chunkd import wire

log = logging.getLogger("chunkd")

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 3.0
ATTEMPT_SECONDS = 10.0
MAX_ANSWER_BYTES = 64 * 1024
SAID_AGAIN_SECONDS = 30.0


_Message = wire.JoinRequest | wire.Heartbeat


class JoinRefused(Exception):
    """The cluster does not take this disk: a clone, rolled back, or of another cluster."""


class Unreachable(Exception):
    """No gate gave a usable answer this time."""


class Ledger(Protocol):
    """What the node remembers of its membership."""

    @property
    def node_id(self) -> bytes:
        """Never changes."""

    @property
    def incarnation(self) -> int:
        """0 before the first join."""

    @property
    def nonce(self) -> bytes:
        """Of the join that was begun and not yet answered; empty otherwise."""

    def begin(self) -> None:
        """Choose a nonce and remember it before the first question."""

    def finish(self, incarnation: int) -> None:
        """The join was answered: remember the incarnation, and that no join is under way."""


class Membership:
    """Keeps one node in its cluster."""

    def __init__(
        self,
        urls: tuple[str, ...],
        key: wire.ClusterKey,
        ledger: Ledger,
        *,
        describe: Callable[[], wire.JoinRequest],
        health: Callable[[], wire.Health],
        joined: Callable[[int], None],
        now: Callable[[], float],
    ) -> None:
        self._urls = list(urls)
        self._key = key.derive(wire.INTERNAL_PURPOSE)[0]
        self._ledger = ledger
        self._describe = describe
        self._health = health
        self._joined = joined
        self._now = now

    async def join(self) -> int:
        """Until a gate has answered. Raises JoinRefused."""
        if not self._ledger.nonce:
            # Kept until the answer is in the superblock: a retry after a crash must be known as a retry.
            self._ledger.begin()
        status, answer = await self._ask_until_answered(wire.JOIN_PATH, self._describe, wire.JoinAnswer.decode)
        if status == 409:
            raise JoinRefused(_reason(answer))
        incarnation = wire.JoinAnswer.decode(answer).incarnation
        self._ledger.finish(incarnation)
        self._joined(incarnation)
        return incarnation

    async def stay(self) -> None:
        """Heartbeats for ever, the first at once; joins again when told to. Raises JoinRefused."""
        while True:
            status, answer = await self._ask_until_answered(wire.HEARTBEAT_PATH, self._heartbeat, json.loads)
            if status == 409:
                log.warning("joining again: %s", _reason(answer))
                await self.join()
            await asyncio.sleep(wire.HEARTBEAT_SECONDS * random.uniform(0.9, 1.1))

    def _heartbeat(self) -> wire.Heartbeat:
        health = self._health()
        return wire.Heartbeat(
            node_id=health.node_id,
            incarnation=health.incarnation,
            free_bytes=health.free_bytes,
            used_bytes=health.used_bytes,
            capacity_bytes=health.capacity_bytes,
            state=health.state,
            queue=health.queue,
            fsync_seconds=health.fsync_seconds,
            io_errors=health.io_errors,
        )

    async def _ask_until_answered(
        self, target: str, message: Callable[[], _Message], understand: Callable[[bytes], object]
    ) -> tuple[int, bytes]:
        pause, said = FIRST_PAUSE_SECONDS, float("-inf")
        while True:
            try:
                return await self._ask(target, message(), understand)
            except Unreachable as error:
                if self._now() - said > SAID_AGAIN_SECONDS:
                    said = self._now()
                    log.warning("%s: %s; trying again", target, error)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(pause * 1.5, LONGEST_PAUSE_SECONDS)

    async def _ask(self, target: str, message: _Message, understand: Callable[[bytes], object]) -> tuple[int, bytes]:
        """One round over the gates, beginning with the one that answered last."""
        body, reasons = message.encode(), []
        for url in list(self._urls):
            try:
                async with asyncio.timeout(ATTEMPT_SECONDS):
                    status, answer = await post(url, target, body, self._sign(target, body, message.incarnation))
                if status == 200:
                    understand(answer)
                if status in (200, 409):
                    return status, answer
                reasons.append(f"{url} answered {status} ({_reason(answer)})")
            except (OSError, TimeoutError, ValueError, EOFError, RuntimeError) as error:
                # (A RuntimeError says that the connection is closed already: the gate is about to end.)
                reasons.append(f"{url}: {str(error) or type(error).__name__}")
            self._urls.append(self._urls.pop(0))
        raise Unreachable("; ".join(reasons))

    def _sign(self, target: str, body: bytes, incarnation: int) -> dict[str, str]:
        crc = wire.crc_text(crc32c(body))
        expiry = int(self._now()) + wire.SIGNATURE_SECONDS
        node_id = self._ledger.node_id.hex()
        signature = wire.sign(self._key, "POST", target, node_id, incarnation, expiry, len(body), crc)
        return {"authorization": signature, wire.CRC_HEADER: crc}


async def post(url: str, target: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
    """One request on a connection of its own. Raises OSError, EOFError or ValueError."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80, limit=MAX_ANSWER_BYTES)
    try:
        lines = [f"POST {target} HTTP/1.1", f"host: {parts.netloc}", "connection: close"]
        lines += ["content-type: application/json", f"content-length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode("ascii") + body)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
        words = head[0].split(" ")
        if len(words) < 2 or not words[0].startswith("http/1.") or not words[1].isdigit():
            raise ValueError("not an HTTP answer")
        fields = dict(line.split(":", 1) for line in head[1:] if ":" in line)
        length = int(fields.get("content-length", "-1"))
        if not 0 <= length <= MAX_ANSWER_BYTES:
            raise ValueError("an answer without a usable content-length")
        return int(words[1]), await reader.readexactly(length)
    except asyncio.LimitOverrunError as error:
        raise ValueError("an answer's head is too long") from error
    finally:
        writer.close()


def _reason(answer: bytes) -> str:
    try:
        data = json.loads(answer)
        return str(data["error"])[:500]
    except (ValueError, KeyError, TypeError):
        return answer[:200].decode("utf-8", "replace")
