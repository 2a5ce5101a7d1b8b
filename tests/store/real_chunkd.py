"""Real chunkds as processes, and the smallest of clusters for them to join: one that says 1, 2, 3 …"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from chunkd import wire
from s3gate.geometry.placement import NodeView
from tests.store.fake_chunkd import KEY

READY_SECONDS = 20.0


class Cluster:
    """Answers joins and heartbeats, and remembers where the nodes are."""

    def __init__(self) -> None:
        self.joined: dict[str, wire.JoinRequest] = {}
        self.incarnations: dict[str, int] = {}
        self.url = ""
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                length = int(head.split("content-length: ")[1].split("\r\n")[0])
                body = json.loads(await reader.readexactly(length))
                said = json.dumps(self._answer(head, body)).encode()
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(said) + said)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.transport.abort()

    def _answer(self, head: str, body: dict[str, object]) -> dict[str, int]:
        if wire.JOIN_PATH not in head:
            return {}
        joining = wire.JoinRequest.decode(body)
        self.joined[joining.node_id] = joining
        self.incarnations[joining.node_id] = joining.incarnation + 1
        return {"incarnation": joining.incarnation + 1}

    def views(self) -> list[NodeView]:
        """The rows that a catalog would have."""
        return [
            NodeView(
                bytes.fromhex(node_id),
                self.incarnations[node_id],
                one.address,
                one.socket,
                one.host,
                capacity_bytes=one.capacity_bytes,
            )
            for node_id, one in sorted(self.joined.items())
        ]


class RealChunkd:
    """One process and its directory."""

    def __init__(self, directory: Path, number: int, url: str, unix: bool) -> None:
        self.directory = directory / f"node-{number}"
        self.directory.mkdir()
        self.socket = str(directory / f"{number}.sock") if unix else ""
        self._url = url
        self._key = directory / "key"
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        environment = {
            **os.environ,
            "CHUNKD_DATA_DIR": str(self.directory),
            "CHUNKD_LISTEN": "127.0.0.1:0",
            "CHUNKD_SOCKET": self.socket,
            "CHUNKD_JOIN": self._url,
            "CHUNKD_CLUSTER_KEY_FILE": str(self._key),
            "CHUNKD_FREE_FLOOR_BYTES": "1MiB",
        }
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "chunkd", "serve", env=environment, stdout=asyncio.subprocess.PIPE
        )
        assert self._process.stdout is not None
        async with asyncio.timeout(READY_SECONDS):
            line = await self._process.stdout.readline()
        assert b"ready" in line, line

    async def kill(self) -> None:
        """As a crash does it."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGKILL)
            await self._process.wait()


@asynccontextmanager
async def real_nodes(directory: Path, count: int, *, unix: bool) -> AsyncIterator[tuple[Cluster, list[RealChunkd]]]:
    """Running nodes that have joined."""
    key = directory / "key"
    key.write_text(KEY.format() + "\n")
    key.chmod(0o600)
    cluster = Cluster()
    await cluster.start()
    nodes = [RealChunkd(directory, number, cluster.url, unix) for number in range(count)]
    try:
        await asyncio.gather(*[node.start() for node in nodes])
        yield cluster, nodes
    finally:
        for node in nodes:
            await node.kill()
        await cluster.stop()
