"""What lies on the disks: the shards that the nodes themselves list."""

from __future__ import annotations

import http.client
import json
import socket
import time
from pathlib import Path

import psycopg

from chunkd.wire import REQUEST_PURPOSE, ClusterKey, sign
from tests.fix_store import Store

VANISH_SECONDS = 30.0
SWEEP_SECONDS = 60.0


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("node", timeout=10)
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


def ask_node(store: Store, node: Path, method: str, target: str) -> str:
    """A signed request without a body to the node that listens there; the text of its answer."""
    key = ClusterKey.parse((store.home / "cluster.key").read_text()).derive(REQUEST_PURPOSE)[0]
    connection = _UnixConnection(node)
    connection.request("GET", "/health")
    health = json.loads(connection.getresponse().read())
    token = sign(key, method, target, health["node_id"], health["incarnation"], int(time.time()) + 60)
    connection.request(method, target, headers={"Authorization": token})
    answer = connection.getresponse()
    text = answer.read().decode()
    assert answer.status in (200, 204), text
    connection.close()
    return text


def live_shards(store: Store) -> list[str]:
    """The ids of all shards that are not in the trash, on all nodes."""
    lists = [ask_node(store, node, "GET", "/shards?state=live&limit=10000") for node in store.node_sockets()]
    return [line.split()[0] for text in lists for line in text.splitlines()]


def wait_until_empty(store: Store) -> None:
    """Until the worker has collected everything; fails with what is left."""
    deadline = time.monotonic() + VANISH_SECONDS
    while left := live_shards(store):
        assert time.monotonic() < deadline, f"{len(left)} shards are left: {left[:5]}\n{store.log_tails()}"
        time.sleep(0.3)


def wait_until_swept(store: Store) -> None:
    """Ends every gate's session, and waits until rows and shards are the same set: no orphan, no garbage.

    Leases of a collector that was killed are let run out at once.
    """
    assert store.worker is not None
    for gate in store.gates:
        gate.stop()
    store.worker.restart()
    with psycopg.connect(store.cluster.database_url, autocommit=True) as connection:
        connection.execute("UPDATE garbage SET leased_until = '-infinity'")
    deadline = time.monotonic() + SWEEP_SECONDS
    while True:
        report = json.loads(store.admin("check", "--deep", "--json").stdout)
        left = {name: found["count"] for name, found in report.items() if isinstance(found, dict) and found["count"]}
        if not left:
            return
        assert time.monotonic() < deadline, f"{left}\n{store.log_tails()}"
        time.sleep(0.5)
