"""A chunkd as a process: the command line, readiness, signals, kills, a mistaken directory, joining."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from awscrt.checksums import crc32c

from chunkd import wire
from chunkd.settings import Settings

KEY = wire.ClusterKey(b"c" * 16, b"s" * 32)


class Chunkd:
    """A running process."""

    def __init__(self, directory: Path, key_file: Path, *arguments: str) -> None:
        command = [sys.executable, "-m", "chunkd", "serve", "--data-dir", str(directory), "--listen", "127.0.0.1:0"]
        command += ["--cluster-key-file", str(key_file), "--free-floor-bytes", "1", *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.ready: dict[str, Any] = {}

    def wait_ready(self) -> Chunkd:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.stderr and self.process.stderr.read()
        self.ready = json.loads(line)
        return self

    def ask(self, method: str, target: str, body: bytes = b"") -> tuple[int, bytes]:
        crc = wire.crc_text(crc32c(body)) if body else wire.NO_CRC
        signature = wire.sign(
            KEY.derive(wire.REQUEST_PURPOSE)[0], method, target, self.ready["node_id"], self.ready["incarnation"],
            int(time.time()) + 60, len(body), crc,
        )  # fmt: skip
        headers = {"authorization": signature} | ({wire.CRC_HEADER: crc} if body else {})
        connection = http.client.HTTPConnection(self.ready["address"], timeout=10)
        connection.request(method, target, body or None, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(5)


class Runner:
    """Starts processes and ends those that a test leaves running."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "node"
        self.key_file = directory / "key"
        self.key_file.write_text(KEY.format())
        self.key_file.chmod(0o600)
        self.started: list[Chunkd] = []

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "chunkd", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=20)

    def init(self) -> str:
        made = self.run("init", "--data-dir", str(self.directory), "--cluster-key-file", str(self.key_file))
        assert made.returncode == 0, made.stderr
        return made.stdout.strip()

    def serve(self, *arguments: str) -> Chunkd:
        self.started.append(Chunkd(self.directory, self.key_file, *arguments))
        return self.started[-1]


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    made = Runner(tmp_path)
    yield made
    for chunkd in made.started:
        chunkd.process.kill()
        chunkd.process.communicate()


def path(number: int) -> str:
    return wire.shard_path(number.to_bytes(17, "big"))


def test_sigterm_ends_it_quickly_and_everything_is_there_again(runner: Runner) -> None:
    node_id = runner.init()
    first = runner.serve().wait_ready()
    assert first.ready["node_id"] == node_id
    assert first.ask("PUT", path(1), b"hello")[0] == 201
    began = time.monotonic()
    assert first.stop() == 0
    assert time.monotonic() - began < 3
    second = runner.serve("--expect-node-id", node_id).wait_ready()
    assert second.ask("GET", path(1)) == (200, b"hello")
    assert second.stop() == 0
    checked = runner.run("check", "--data-dir", str(runner.directory))
    assert (checked.returncode, "1 shards" in checked.stdout) == (0, True), checked.stdout


def test_kill_9_loses_nothing_that_was_acknowledged(runner: Runner) -> None:
    runner.init()
    acknowledged: list[int] = []
    number = 0
    for _ in range(3):
        node = runner.serve().wait_ready()
        killer = threading.Timer(0.3, node.process.kill)
        killer.start()
        try:
            while True:
                number += 1
                size = wire.SMALL_SHARD_BYTES + 1 if number % 10 == 0 else 1000
                if node.ask("PUT", path(number), number.to_bytes(8, "big") * (size // 8))[0] == 201:
                    acknowledged.append(number)
        except (OSError, http.client.HTTPException):
            node.process.wait(5)
    node = runner.serve().wait_ready()
    assert len(acknowledged) > 10
    for one in acknowledged:
        status, body = node.ask("GET", path(one))
        if one % 10 == 0:
            assert node.ask("HEAD", path(one))[0] == 200
        else:
            assert (status, body[:8]) == (200, one.to_bytes(8, "big"))
    node.stop()
    assert runner.run("check", "--data-dir", str(runner.directory)).returncode == 0
    rebuilt = runner.run("rebuild-index", "--data-dir", str(runner.directory))
    assert rebuilt.returncode == 0, rebuilt.stderr
    assert int(rebuilt.stdout.split()[0]) >= len(acknowledged)


def test_directories_that_are_not_a_store_are_refused(runner: Runner) -> None:
    missing = runner.serve()
    assert missing.process.wait(10) == 3
    runner.directory.mkdir()
    (runner.directory / "photo.jpg").write_bytes(b"x")
    for arguments in ((), ("--join", "http://127.0.0.1:1")):
        foreign = runner.serve(*arguments)
        assert foreign.process.wait(10) == 3
    (runner.directory / "photo.jpg").unlink()
    unmounted = runner.serve("--join", "http://127.0.0.1:1", "--expect-node-id", "ab" * 16)
    assert unmounted.process.wait(10) == 3
    assert unmounted.process.stderr is not None and "mounted" in unmounted.process.stderr.read()
    runner.init()
    other = runner.serve("--expect-node-id", "ab" * 16)
    assert other.process.wait(10) == 3


def test_a_directory_in_use_is_refused(runner: Runner) -> None:
    runner.init()
    runner.serve().wait_ready()
    assert runner.serve().process.wait(10) == 3


def test_keys(runner: Runner) -> None:
    runner.init()
    runner.key_file.chmod(0o644)
    open_to_all = runner.serve()
    assert open_to_all.process.wait(10) == 2
    runner.key_file.chmod(0o600)
    runner.key_file.write_text(wire.ClusterKey(b"x" * 16, b"s" * 32).format())
    other_cluster = runner.serve()
    assert other_cluster.process.wait(10) == 3


def test_a_unix_socket_beside_tcp(runner: Runner, tmp_path: Path) -> None:
    runner.init()
    place = tmp_path / "s"
    for _ in range(2):
        node = runner.serve("--socket", str(place)).wait_ready()
        assert node.ready["socket"] == str(place)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(place))
            client.sendall(b"GET /health HTTP/1.1\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 200 OK")
        assert place.stat().st_mode & 0o077 == 0
        node.process.kill()
        node.process.wait(5)


def test_what_sign_prints_works_with_curl(runner: Runner, tmp_path: Path) -> None:
    runner.init()
    node = runner.serve().wait_ready()
    body = tmp_path / "body"
    body.write_bytes(b"by hand")
    common = ("--data-dir", str(runner.directory), "--cluster-key-file", str(runner.key_file))
    signed = runner.run("sign", "PUT", path(1), "--body-file", str(body), *common)
    headers = dict(line.split(": ", 1) for line in signed.stdout.splitlines())
    connection = http.client.HTTPConnection(node.ready["address"], timeout=10)
    connection.request("PUT", path(1), body.read_bytes(), headers)
    assert connection.getresponse().status == 201
    assert node.ask("GET", path(1)) == (200, b"by hand")


PARENT = """
import os, subprocess, sys
child = subprocess.Popen([*sys.argv[1:], "--die-with-parent", str(os.getpid())], stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux sends a signal at the parent's death")
def test_it_dies_with_its_parent(runner: Runner) -> None:
    runner.init()
    command = [sys.executable, "-m", "chunkd", "serve", "--data-dir", str(runner.directory)]
    command += ["--listen", "127.0.0.1:0", "--cluster-key-file", str(runner.key_file)]
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None and parent.stdin is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.communicate()
    for _ in range(150):
        if not _lives(child):
            return
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    raise AssertionError("it outlived its parent")


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class FakeGate:
    """Takes joins and heartbeats on a port of its own; `known` is the incarnation it believes in."""

    def __init__(self) -> None:
        self.known, self.nonce, self.beats = 0, "", 0
        gate = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                message = json.loads(self.rfile.read(int(self.headers["content-length"])))
                status, answer = gate.answer(self.path, message)
                body = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, target: str, message: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if target == wire.HEARTBEAT_PATH:
            self.beats += 1
            return (200, {}) if message["incarnation"] == self.known else (409, {"error": "another"})
        if message["incarnation"] == self.known:
            self.known, self.nonce = self.known + 1, message["nonce"]
        elif (message["incarnation"] + 1, message["nonce"]) != (self.known, self.nonce):
            return 409, {"error": "cloned"}
        return 200, {"incarnation": self.known}


@pytest.fixture
def gate() -> Iterator[FakeGate]:
    made = FakeGate()
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_joining(runner: Runner, gate: FakeGate) -> None:
    join = ("--join", f"http://127.0.0.1:1,{gate.url}")
    node = runner.serve(*join).wait_ready()
    assert node.ready["incarnation"] == 1 == gate.known
    assert node.ask("PUT", path(1), b"hello")[0] == 201
    node.process.kill()
    node.process.wait(5)
    again = runner.serve(*join).wait_ready()
    assert again.ready["incarnation"] == 2 and again.ready["node_id"] == node.ready["node_id"]
    assert again.ask("GET", path(1)) == (200, b"hello")
    assert again.stop() == 0
    gate.known = 7
    cloned = runner.serve(*join)
    assert cloned.process.wait(10) == 4
    assert cloned.process.stderr is not None and "refuses this node: cloned" in cloned.process.stderr.read()


def test_a_read_only_node_joins_again_and_again_and_after_it_was_cleared(runner: Runner, gate: FakeGate) -> None:
    join = ("--join", gate.url)
    node = runner.serve(*join).wait_ready()
    assert node.ask("PUT", path(1), b"hello")[0] == 201
    node.stop()
    (runner.directory / "read-only").write_text("fdatasync failed\n")
    for _ in range(2):
        node = runner.serve(*join).wait_ready()
        assert node.ready["incarnation"] == 2
        assert node.ask("GET", path(1)) == (200, b"hello")
        assert node.ask("PUT", path(2), b"hello")[0] == 503
        assert json.loads(node.ask("GET", "/health")[1])["state"] == "read-only"
        node.stop()
    cleared = runner.run("clear-read-only", "--data-dir", str(runner.directory))
    assert cleared.returncode == 0 and "fdatasync failed" in cleared.stdout
    node = runner.serve(*join).wait_ready()
    assert node.ask("PUT", path(2), b"hello")[0] == 201
    node.stop()
    assert runner.serve(*join).wait_ready().ready["incarnation"] == gate.known


@pytest.mark.parametrize(
    ("advertised", "address"),
    [
        ("", "127.0.0.1:9100"),
        ("node-1", "node-1:9100"),
        ("node-1:80", "node-1:80"),
        ("fd00::1", "[fd00::1]:9100"),
        ("[fd00::1]", "[fd00::1]:9100"),
        ("[fd00::1]:80", "[fd00::1]:80"),
    ],
)
def test_what_gates_are_told_to_call(tmp_path: Path, advertised: str, address: str) -> None:
    given = {"data_dir": str(tmp_path), "cluster_key": KEY.format(), "advertise": advertised}
    assert Settings.read(given, {}).advertised(9100) == address


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--socket", "/nonexistent/socket"], "--socket (CHUNKD_SOCKET) is '/nonexistent/socket': No such file"),
        (["--trash-seconds", "soon"], "expected seconds, more than zero"),
        (["--die-with-parent", "mine"], "expected a process id"),
    ],
)
def test_settings_that_cannot_work(runner: Runner, arguments: list[str], message: str) -> None:
    runner.init()
    node = runner.serve(*arguments)
    assert node.process.wait(20) == 2
    assert node.process.stderr is not None
    assert message in node.process.stderr.read()
