"""One run of a chunkd: opens the store, listens, joins, serves until told to stop, closes.

The only file that ties the rooms of this package together; it decides nothing about shards or requests.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import logging
import os
import signal
import time
from pathlib import Path

from chunkd import wire
from chunkd.app import App
from chunkd.errors import StoreRefused
from chunkd.join import Membership
from chunkd.ledger import EngineLedger
from chunkd.limits import Limits
from chunkd.metrics import Metrics
from chunkd.server import Server
from chunkd.settings import Settings, SettingsError
from chunkd.shards import Shards
from chunkd.superblock import ALLOWED_IN_NEW, SUPERBLOCK, initialise

log = logging.getLogger("chunkd")

DRAIN_SECONDS = 1.5
"""What requests under way get at the end; the engine needs the rest of the three seconds."""
BACKGROUND_PAUSE_SECONDS = 5.0


def open_store(settings: Settings) -> Shards:
    """Open the directory; an empty one becomes a new node when there is a cluster to join."""
    directory = settings.data_dir
    if settings.expect_node_id and not (directory / SUPERBLOCK).exists():
        raise StoreRefused(f"{directory} holds no node, {settings.expect_node_id} is expected: is it mounted?")
    if settings.join and _is_empty(directory):
        initialise(directory, cluster_id=settings.key.cluster_id)
    limits = dataclasses.replace(
        Limits(),
        trash_seconds=settings.trash_seconds,
        free_floor_bytes=settings.free_floor_bytes,
        free_short_bytes=2 * settings.free_floor_bytes,
        scrub_seconds=settings.scrub_seconds,
    )
    shards = Shards.open(directory, limits=limits, now=time.time)
    superblock = shards.superblock
    if superblock.cluster_id != settings.key.cluster_id:
        raise StoreRefused(f"{directory} belongs to cluster {superblock.cluster_id.hex()}, the key is of another")
    if settings.expect_node_id not in ("", superblock.node_id.hex()):
        raise StoreRefused(f"{directory} holds node {superblock.node_id.hex()}, not the one that is expected")
    return shards


def _is_empty(directory: Path) -> bool:
    try:
        return ALLOWED_IN_NEW.issuperset(os.listdir(directory))
    except FileNotFoundError:
        return True


class Daemon:
    """What runs, and what ends it: a signal, or a cluster that refuses this disk."""

    def __init__(self, settings: Settings, shards: Shards) -> None:
        self._settings = settings
        self._shards = shards
        self._app = App(shards, settings.key.derive(wire.REQUEST_PURPOSE), Metrics(), time.time)
        self._ledger = EngineLedger(shards)
        self._address = ""

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT. Raises JoinRefused."""
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        server = Server(self._app, loop)
        background = asyncio.create_task(self._background())
        membership = asyncio.create_task(self._belong(server))
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait((stopped, membership), return_when=asyncio.FIRST_COMPLETED)
            if membership.done():
                membership.result()
        finally:
            for task in (stopped, membership):
                await _cancel(task)
            await server.stop(DRAIN_SECONDS)
            await _cancel(background)
            await self._shards.close()

    async def _belong(self, server: Server) -> None:
        settings = self._settings
        port = await server.listen_tcp(settings.listen_host, settings.listen_port)
        self._address = settings.advertised(port)
        if settings.socket:
            try:
                await server.listen_unix(settings.socket)
            except OSError as error:
                raise SettingsError(f"--socket (CHUNKD_SOCKET) is {settings.socket!r}: {error.strerror}") from None
            os.chmod(settings.socket, 0o600)
        if not settings.join:
            self._app.joined_as(self._shards.superblock.incarnation)
            self._say_ready()
            await asyncio.Event().wait()
        membership = Membership(
            settings.join,
            settings.key,
            self._ledger,
            describe=self._describe,
            health=self._app.health,
            joined=self._app.joined_as,
            now=time.time,
        )
        await membership.join()
        self._say_ready()
        await membership.stay()

    def _describe(self) -> wire.JoinRequest:
        ledger, health = self._ledger, self._app.health()
        return wire.JoinRequest(
            node_id=ledger.node_id.hex(),
            incarnation=ledger.incarnation,
            nonce=ledger.nonce.hex(),
            address=self._address,
            socket=os.path.abspath(self._settings.socket) if self._settings.socket else "",
            host=self._settings.host,
            zone=self._settings.zone,
            device=f"{self._settings.host}/{health.device}",
            capacity_bytes=health.capacity_bytes,
            free_bytes=health.free_bytes,
        )

    def _say_ready(self) -> None:
        line = {
            "event": "ready",
            "address": self._address,
            "socket": self._settings.socket,
            "node_id": self._shards.superblock.node_id.hex(),
            "incarnation": self._app.incarnation,
        }
        print(json.dumps(line), flush=True)

    async def _background(self) -> None:
        """The engine's own work; an error in it is said and it is taken up again (law 10)."""
        while True:
            try:
                await self._shards.run_background()
                return
            except Exception as error:
                log.error("background work: %s: %s", type(error).__name__, error)
            await asyncio.sleep(BACKGROUND_PAUSE_SECONDS)


async def _cancel(task: asyncio.Task[object]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, Exception):
        await task
