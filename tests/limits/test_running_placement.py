"""Where shards come to lie on running stores, and what a write does when a node is added, lost or back again."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from s3gate.store.limits import KEPT_ROWS
from tests.fix_store import MakeStore, Store

BUCKET = "placement"
MIB = 1 << 20
ROW_BYTES = 3 * MIB
NODES = 6
NEW_NODE_SECONDS = 5.0
DEAD_NODE_SECONDS = 2.0
WRITE_WAIT_SECONDS = 6.0
SLACK_SECONDS = 4.0
"""What a busy machine may add to a wait."""
SIZES = (10, 100_000, 400_000, 5 * MIB, KEPT_ROWS * ROW_BYTES)
"""No longer than what is kept until it is durable: no failure of one node is theirs."""
STRIPED = SIZES[2:]
"""Those that need all six nodes."""


@pytest.fixture
def bucket(store: Store) -> str:
    name = f"{BUCKET}-{uuid4().hex[:12]}"
    store.client().create_bucket(Bucket=name)
    return name


def where(store: Store, bucket: str, key: str) -> list[dict[str, Any]]:
    """The segments of an object, of all parts in order, as `admin where` tells them."""
    result = store.admin("where", bucket, key, "--json")
    assert result.returncode == 0, result.stderr
    return [segment for part in json.loads(result.stdout)["parts"] for segment in part["segments"]]


def assert_six_equal_shards(segment: dict[str, Any]) -> None:
    shards = segment["shards"]
    rows = -(-segment["length"] // ROW_BYTES)
    lengths = [shard["length"] for shard in shards]
    assert len({shard["node_id"] for shard in shards}) == NODES
    assert sum(lengths) == segment["length"]
    assert max(lengths) - min(lengths) <= rows
    assert {shard["found"] for shard in shards} == {"live"}


@pytest.mark.parametrize("size", [6 * 64 * 1024, 400_000, 5 * MIB])
def test_an_object_lies_in_six_equal_shards_on_six_nodes(store: Store, bucket: str, size: int) -> None:
    store.client().put_object(Bucket=bucket, Key="k", Body=Random(size).randbytes(size))
    segments = where(store, bucket, "k")
    assert len(segments) == 1
    assert_six_equal_shards(segments[0])


def test_each_part_lies_in_six_equal_shards(store: Store, bucket: str) -> None:
    client = store.client()
    upload = {"Bucket": bucket, "Key": "k"}
    upload["UploadId"] = client.create_multipart_upload(**upload)["UploadId"]
    parts = []
    for number, size in enumerate([5 * MIB, 7 * MIB + 1, 400_001], 1):
        etag = client.upload_part(**upload, PartNumber=number, Body=bytes(size))["ETag"]
        parts.append({"PartNumber": number, "ETag": etag})
    client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    segments = where(store, bucket, "k")
    assert [segment["length"] for segment in segments] == [5 * MIB, 7 * MIB + 1, 400_001]
    for segment in segments:
        assert_six_equal_shards(segment)


def test_first_pieces_of_small_objects_go_to_every_node(store: Store, bucket: str) -> None:
    """One-piece objects change node every few milliseconds: none of the six is spared."""
    client = store.client()
    before = [health(path)["shards"] for path in store.node_sockets()]
    deadline = time.monotonic() + 20
    while True:
        client.put_object(Bucket=bucket, Key="small", Body=b"x")
        now = [health(path)["shards"] for path in store.node_sockets()]
        if all(later > earlier for earlier, later in zip(before, now, strict=True)):
            return
        assert time.monotonic() < deadline, (before, now)


# --- nodes come and go ---


def health(path: Path) -> dict[str, Any]:
    """What a node says of itself on its unix socket."""
    connection = http.client.HTTPConnection("node", timeout=5)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(5)
    try:
        connection.sock.connect(str(path))
        connection.request("GET", "/health")
        found: dict[str, Any] = json.loads(connection.getresponse().read())
        return found
    finally:
        connection.close()


class Uploads:
    """Writers that put objects until they are told to stop, and remember how long each one took."""

    def __init__(self, store: Store, writers: int = 2) -> None:
        self.seconds: list[float] = []
        self.failures: list[Exception] = []
        self.written: dict[str, int] = {}
        self._store = store
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(writers)]

    def _run(self, writer: int) -> None:
        client = self._store.client()
        chances = Random(writer)
        while not self._stop.is_set():
            size = chances.choice(SIZES)
            key = f"{writer}/{chances.randrange(50)}"
            started = time.monotonic()
            try:
                client.put_object(Bucket=BUCKET, Key=key, Body=bytes(size))
            except Exception as error:
                self.failures.append(error)
            else:
                self.written[key] = size
            self.seconds.append(time.monotonic() - started)

    @contextmanager
    def running(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join()

    def assert_all_succeeded(self) -> None:
        """Every PUT was acknowledged, and what it wrote is there."""
        assert not self.failures, self.failures[:3]
        client = self._store.client()
        for key, size in self.written.items():
            assert client.get_object(Bucket=BUCKET, Key=key)["Body"].read() == bytes(size)
        self._store.check()


def test_a_new_node_takes_writes_within_seconds_and_nothing_restarts(make_store: MakeStore) -> None:
    store = make_store(gates=2)
    store.client().create_bucket(Bucket=BUCKET)
    processes = {process.name: process.pid for process in store.processes() if process.child is not None}
    uploads = Uploads(store)
    with uploads.running():
        time.sleep(0.5)
        started = time.monotonic()
        store.add_node()
        while not takes_writes(store.node_sockets()[-1]):
            lasted = time.monotonic() - started
            assert lasted < NEW_NODE_SECONDS, store.admin("nodes").stdout + store.log_tails()
            time.sleep(0.05)
    print(f"\nthe seventh node had a shard after {time.monotonic() - started:.1f} s")
    uploads.assert_all_succeeded()
    for process in store.processes():
        assert process.running
        assert processes.get(process.name, process.pid) == process.pid


def takes_writes(path: Path) -> bool:
    """Whether a node has a shard; one that does not listen yet has none."""
    try:
        return bool(health(path)["shards"])
    except OSError:
        return False


def test_one_dead_node_of_seven_makes_no_write_wait(make_store: MakeStore) -> None:
    store = make_store(nodes=7)
    store.client().create_bucket(Bucket=BUCKET)
    uploads = Uploads(store)
    with uploads.running():
        time.sleep(1)
        store.nodes[2].kill()
        before = len(uploads.seconds)
        time.sleep(3)
    print(f"\n{len(uploads.seconds) - before} writes without the node, the slowest {max(uploads.seconds):.2f} s")
    store.nodes[2].start()
    store.wait_ready()
    assert len(uploads.seconds) - before > 10
    assert max(uploads.seconds) < DEAD_NODE_SECONDS
    uploads.assert_all_succeeded()


@pytest.fixture(scope="module")
def six(make_module_store: MakeStore) -> Store:
    """Six nodes, so that every write needs each of them."""
    store = make_module_store(gate_settings={"write_wait_seconds": str(WRITE_WAIT_SECONDS)})
    store.client().create_bucket(Bucket=BUCKET)
    return store


def test_of_six_nodes_writes_wait_for_the_one_that_comes_back(six: Store) -> None:
    node = six.nodes[4]
    node.kill()
    with ThreadPoolExecutor(len(STRIPED)) as pool:
        puts = [pool.submit(put, six, size) for size in STRIPED]
        time.sleep(1)
        assert not any(one.done() for one in puts)
        node.start()
        for one in puts:
            one.result()
    for size in STRIPED:
        assert six.client().get_object(Bucket=BUCKET, Key=f"{size}")["Body"].read() == bytes(size)
    six.wait_ready()
    six.check()


def test_of_six_nodes_writes_wait_no_longer_than_they_may(six: Store) -> None:
    client = six.client()
    for size in STRIPED:
        client.delete_object(Bucket=BUCKET, Key=f"{size}")
    six.nodes[1].kill()
    started = time.monotonic()
    with ThreadPoolExecutor(len(STRIPED)) as pool:
        failures = [one.exception() for one in [pool.submit(put, six, size) for size in STRIPED]]
    lasted = time.monotonic() - started
    six.nodes[1].start()
    six.wait_ready()
    for failure in failures:
        assert isinstance(failure, ClientError)
        assert failure.response["Error"]["Code"] == "ServiceUnavailable"
        assert failure.response["ResponseMetadata"]["HTTPStatusCode"] == 503
        assert failure.response["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "1"
    assert WRITE_WAIT_SECONDS - 0.5 < lasted < WRITE_WAIT_SECONDS + SLACK_SECONDS
    assert "Contents" not in client.list_objects_v2(Bucket=BUCKET)
    for size in STRIPED:
        put(six, size)
    six.check()


def put(store: Store, size: int) -> None:
    store.client().put_object(Bucket=BUCKET, Key=f"{size}", Body=bytes(size))
