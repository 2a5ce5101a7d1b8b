"""What lies on the disks: the shards that the nodes themselves list."""

from __future__ import annotations

import http.client
import json
import socket
import time
from pathlib import Path

from chunkd.wire import REQUEST_PURPOSE, ClusterKey, sign
from tests.fix_store import Store

VANISH_SECONDS = 30.0


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("node", timeout=10)
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


def live_shards(store: Store) -> list[str]:
    """The ids of all shards that are not in the trash, on all nodes."""
    signing_key = ClusterKey.parse((store.home / "cluster.key").read_text()).derive(REQUEST_PURPOSE)[0]
    found = []
    for path in store.node_sockets():
        connection = _UnixConnection(path)
        connection.request("GET", "/health")
        health = json.loads(connection.getresponse().read())
        target = "/shards?state=live&limit=10000"
        expiry = int(time.time()) + 60
        token = sign(signing_key, "GET", target, health["node_id"], health["incarnation"], expiry)
        connection.request("GET", target, headers={"Authorization": token})
        answer = connection.getresponse()
        text = answer.read().decode()
        assert answer.status == 200, text
        found += [line.split()[0] for line in text.splitlines()]
        connection.close()
    return found


def wait_until_empty(store: Store) -> None:
    """Until the worker has collected everything; fails with what is left."""
    deadline = time.monotonic() + VANISH_SECONDS
    while left := live_shards(store):
        assert time.monotonic() < deadline, f"{len(left)} shards are left: {left[:5]}\n{store.log_tails()}"
        time.sleep(0.3)
