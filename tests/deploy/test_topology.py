"""The topology of compose.yaml as plain processes: one Postgres, two gates, a worker, seven chunkds."""

from __future__ import annotations

import hashlib
import random
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.programs import find_program
from tests.fix_process import free_port
from tests.fix_store import MakeStore, Store, is_ready

ROOT = Path(__file__).resolve().parents[2]
MIB = 1 << 20


@pytest.fixture(scope="module")
def topology(make_module_store: MakeStore) -> Store:
    return make_module_store(nodes=7, gates=2, own_postgres=True, node_settings={"host": "compose"})


def test_what_one_gate_began_the_other_finishes(topology: Store) -> None:
    first, second = topology.client(0), topology.client(1)
    first.create_bucket(Bucket="shared")
    upload = first.create_multipart_upload(Bucket="shared", Key="big")["UploadId"]
    bodies = [random.Random(number).randbytes(5 * MIB + number) for number in range(3)]
    parts = []
    for number, body in enumerate(bodies, 1):
        client = (first, second)[number % 2]
        etag = client.upload_part(Bucket="shared", Key="big", UploadId=upload, PartNumber=number, Body=body)["ETag"]
        parts.append({"PartNumber": number, "ETag": etag})
    second.complete_multipart_upload(Bucket="shared", Key="big", UploadId=upload, MultipartUpload={"Parts": parts})
    found = first.get_object(Bucket="shared", Key="big")["Body"].read()
    assert hashlib.sha256(found).digest() == hashlib.sha256(b"".join(bodies)).digest()
    topology.check()


def test_one_dead_node_of_seven_and_a_dead_gate_stop_nobody(topology: Store) -> None:
    topology.client(0).create_bucket(Bucket="alive")
    topology.nodes[6].kill()
    topology.gates[0].kill()
    client = topology.client(1)
    deadline = time.monotonic() + 10
    for number in range(20):
        client.put_object(Bucket="alive", Key=f"k{number}", Body=bytes(100_000))
    assert time.monotonic() < deadline
    topology.nodes[6].start()
    topology.gates[0].start()
    topology.wait_ready()
    client = topology.client(0)
    for number in range(20):
        assert len(client.get_object(Bucket="alive", Key=f"k{number}")["Body"].read()) == 100_000
    topology.check()


@pytest.fixture
def balancer(topology: Store, tmp_path: Path) -> Iterator[str]:
    """haproxy with our configuration, pointed at the gates of the topology."""
    program = find_program("haproxy", "/usr/sbin/haproxy")
    text = (ROOT / "deploy" / "haproxy.cfg").read_text()
    port = free_port()
    text = text.replace("bind :9000", f"bind 127.0.0.1:{port}")
    for number, gate in enumerate(topology.gates, 1):
        text = re.sub(rf"server gate-{number} \S+", f"server gate-{number} 127.0.0.1:{gate.port}", text)
    config = tmp_path / "haproxy.cfg"
    config.write_text(text)
    process = subprocess.Popen([program, "-db", "-f", str(config)])
    try:
        deadline = time.monotonic() + 10
        while not is_ready(port):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def test_the_balancer_hides_a_gate_that_dies(topology: Store, balancer: str) -> None:
    client = topology.client(endpoint=balancer)
    client.create_bucket(Bucket="behind")
    body = random.Random(1).randbytes(8 * MIB)
    client.put_object(Bucket="behind", Key="k", Body=body)
    topology.gates[1].kill()
    try:
        for _ in range(10):
            assert client.get_object(Bucket="behind", Key="k")["Body"].read() == body
    finally:
        topology.gates[1].start()
        topology.wait_ready()


def test_the_balancer_streams_bodies(topology: Store, balancer: str) -> None:
    """A head and half of a body reach the gate before the rest is sent: nothing waits for the whole."""
    host, port = balancer.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(b"PUT /behind/x HTTP/1.1\r\nHost: s3\r\nContent-Length: 1000000\r\n\r\n" + bytes(1000))
        assert connection.recv(12).startswith(b"HTTP/1.1 403")
