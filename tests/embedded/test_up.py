"""`s3gate up`: quick to start, keeps everything, leaves nothing running."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.programs import find_program
from tests.embedded.fix_up import Up, command, environment, home, processes_with, running
from tests.fix_postgres import scratch_directory
from tests.fix_store import boto3_session
from tests.fix_tls import make_certificate

__all__ = ["home"]

STOP_SECONDS = 5.0
AS_NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]


def test_both_starts_find_everything_and_say_how_long_they_took(home: Path) -> None:
    """How quick it is on a machine of its own stands in the README: a busy one must not fail a test."""
    boto3_session()  # reads its model before the clock starts
    cold, warm = stop_and_start_again(home / "data")
    print(f"first PUT accepted after {cold:.2f} s cold, {warm:.2f} s warm")


def stop_and_start_again(data_dir: Path) -> tuple[float, float]:
    """What was put survives; returns the seconds from each start to the first accepted PUT."""
    started = time.monotonic()
    with running(data_dir) as up:
        client = up.client()
        client.create_bucket(Bucket="kept")
        client.put_object(Bucket="kept", Key="small", Body=b"s" * 4096)
        cold = time.monotonic() - started
        client.put_object(Bucket="kept", Key="sealed", Body=b"s" * 4096, ServerSideEncryption="aws:kms")
        client.put_object(Bucket="kept", Key="large", Body=b"L" * (9 << 20))
        keys = up.ready["access_key"], up.ready["secret_key"]
        assert up.stop(signal.SIGINT) < STOP_SECONDS
        assert up.process.returncode == 0
    assert processes_with(str(data_dir)) == []
    started = time.monotonic()
    with running(data_dir) as up:
        assert (up.ready["access_key"], up.ready["secret_key"]) == keys
        client = up.client()
        client.put_object(Bucket="kept", Key="again", Body=b"x")
        warm = time.monotonic() - started
        assert client.get_object(Bucket="kept", Key="small")["Body"].read() == b"s" * 4096
        assert client.get_object(Bucket="kept", Key="sealed")["Body"].read() == b"s" * 4096
        assert client.get_object(Bucket="kept", Key="large")["Body"].read() == b"L" * (9 << 20)
    return cold, warm


def test_kill_9_leaves_no_process_and_no_loss(home: Path) -> None:
    data_dir = home / "data"
    with running(data_dir, "--gates", "2") as up:
        up.client().create_bucket(Bucket="bucket")
        up.client().put_object(Bucket="bucket", Key="k", Body=b"kept")
        assert len(up.children()) == 1 + 6 + 2 + 1
        up.process.kill()
        up.process.wait()
        deadline = time.monotonic() + STOP_SECONDS
        while (left := processes_with(str(data_dir))) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert left == []
    with running(data_dir) as up:
        assert up.client().get_object(Bucket="bucket", Key="k")["Body"].read() == b"kept"


def test_a_dead_child_is_running_again_at_once(home: Path) -> None:
    with running(home / "data") as up:
        client = up.client()
        client.create_bucket(Bucket="bucket")
        before = up.children()
        names = ("postgres", "chunkd serve", "s3gate serve", "s3gate work")
        victims = [next(pid for pid, text in before.items() if name in text) for name in names]
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                client.put_object(Bucket="bucket", Key="after", Body=b"x" * 1000)
                break
            except Exception:
                time.sleep(0.1)
        assert client.get_object(Bucket="bucket", Key="after")["Body"].read() == b"x" * 1000
        # Who came back before Postgres did may have ended once more, and is then started with a pause.
        while len(after := up.children()) < len(before) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert len(after) == len(before) and not set(victims) & set(after)
        for name in ("postgres", "node-1", "gate-1", "worker"):
            assert f"{name} ended (killed by SIGKILL)" in up.text
            assert f"its log is {home}/data/logs/{name}.log" in up.text


def test_a_second_up_is_refused(home: Path) -> None:
    data_dir = home / "data"
    with running(data_dir) as up:
        second = subprocess.run(
            command(data_dir), env=environment(), capture_output=True, text=True, check=False, timeout=20
        )
        assert second.returncode == 1
        assert f"{data_dir} is in use by another `s3gate up` (pid {up.process.pid})" in second.stderr
        assert "Traceback" not in second.stderr
        up.client().list_buckets()


@pytest.mark.parametrize("program", ["aws", "rclone", "s3cmd", "boto3"])
def test_the_lines_to_copy_work(shown: Up, program: str) -> None:
    if program != "boto3":
        find_program(f"/usr/bin/{program}", program)
    line = re.search(rf"^  {program} +(.+)$", shown.text, re.MULTILINE)
    assert line is not None
    text = line[1]
    if program == "boto3":
        text = shlex.join([sys.executable, "-c", f"import boto3; print({text}.list_buckets()['Buckets'])"])
    result = subprocess.run(
        ["sh", "-c", text],
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "RCLONE_CONFIG": "/dev/null", "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == 0 and "shown-bucket" in result.stdout, result.stdout + result.stderr


@pytest.fixture(scope="module")
def shown() -> Iterator[Up]:
    with scratch_directory("s3gate-up-") as directory, running(directory / "data") as up:
        up.client().create_bucket(Bucket="shown-bucket")
        yield up


def test_a_node_more_on_an_existing_directory(home: Path) -> None:
    data_dir = home / "data"
    with running(data_dir) as up:
        up.client().create_bucket(Bucket="bucket")
        up.client().put_object(Bucket="bucket", Key="k", Body=b"k" * (1 << 20))
    with running(data_dir, "--nodes", "7") as up:
        assert up.ready["nodes"] == 7
        assert sum("chunkd serve" in text for text in up.children().values()) == 7
        assert up.client().get_object(Bucket="bucket", Key="k")["Body"].read() == b"k" * (1 << 20)
    with running(data_dir, "--nodes", "6") as up:
        assert up.ready["nodes"] == 7
        assert "7 nodes keep shards in this directory" in up.text
    shutil.rmtree(data_dir / "nodes" / "3")
    with running(data_dir) as up:
        assert up.ready["nodes"] == 7, "the seventh keeps shards, too"
        assert "node-3 has no directory any more: it starts empty, what it kept is missing" in up.text


def test_a_node_more_while_it_runs(home: Path) -> None:
    """The line that `up` prints starts a chunkd that takes part within 5 s, without a restart of anything."""
    with running(home / "data") as up:
        up.client().create_bucket(Bucket="bucket")
        line = next(line.strip() for line in up.text.splitlines() if "chunkd serve" in line)
        command = shlex.split(line.replace(" DIR ", f" {home}/seventh "))
        started = time.monotonic()
        node = subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while nodes_up(up.ready["endpoint"]) < 7:
                assert time.monotonic() - started < 5.0 * (1.0 + os.getloadavg()[0])
                time.sleep(0.05)
            up.client().put_object(Bucket="bucket", Key="key", Body=bytes(1 << 20))
        finally:
            node.terminate()
            node.wait(10)


def nodes_up(endpoint: str) -> int:
    """As a gate sees it."""
    with urllib.request.urlopen(f"{endpoint}/-/ready", timeout=5) as answer:
        return int(json.load(answer)["nodes_up"])


def test_a_store_without_room_starts_and_says_so(home: Path) -> None:
    """It can be read, and emptied: the worker runs, which makes room."""
    with running(home / "data", prefix=["env", "CHUNKD_FREE_FLOOR_BYTES=900TiB"]) as up:
        deadline = time.monotonic() + 20
        while b"s3gate_nodes_full 6\n" not in metrics(up.ready["endpoint"]):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        client = up.client()
        client.create_bucket(Bucket="bucket")
        with pytest.raises(client.exceptions.ClientError) as refused:
            client.put_object(Bucket="bucket", Key="key", Body=b"x" * 1000)
        assert "have no room left" in str(refused.value)
        assert any("s3gate work" in text for text in up.children().values())


def metrics(endpoint: str) -> bytes:
    """The page of a gate."""
    with urllib.request.urlopen(f"{endpoint}/-/metrics", timeout=5) as answer:
        page: bytes = answer.read()
    return page


def test_an_administrator_looks_at_a_running_store(home: Path) -> None:
    data_dir = home / "data"
    admin = [sys.executable, "-m", "s3gate", "admin", "--data-dir", str(data_dir)]
    with running(data_dir) as up:
        up.client().create_bucket(Bucket="bucket")
        up.client().put_object(Bucket="bucket", Key="key", Body=bytes(1 << 20))
        for command in (["check"], ["nodes"], ["where", "bucket", "key"], ["keys"], ["rotate-keys"]):
            result = subprocess.run(
                [*admin, *command], env=environment(), capture_output=True, text=True, check=False, timeout=60
            )
            assert result.returncode == 0, result.stdout + result.stderr
    result = subprocess.run([*admin, "check"], env=environment(), capture_output=True, text=True, check=False)
    assert result.returncode == 2 and "no store runs in" in result.stderr


def test_it_serves_tls(home: Path) -> None:
    certificate = make_certificate(home)
    with running(home / "data", "--tls-cert", str(certificate.cert), "--tls-key", str(certificate.key)) as up:
        assert up.ready["endpoint"].startswith("https://")
        up.client().create_bucket(Bucket="bucket")


def test_secrets_and_sockets_are_for_the_owner_only(home: Path) -> None:
    data_dir = home / "a directory with spaces"
    with running(data_dir) as up:
        for name in ("root.key", "cluster.key", "kms.json", "store.json"):
            assert stat.S_IMODE((data_dir / name).stat().st_mode) == 0o600
        for word in ("aws --endpoint-url", "boto3.client", "rclone lsd", "s3cmd --host", "not a safety net"):
            assert word.lower() in up.text.lower()
        assert up.ready["access_key"] in up.text and up.ready["internal_url"] in up.text
    assert not (data_dir / "store.json").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--nodes", "5"], "at least 6"),
        (["--gates", "0"], "at least one"),
        (["--layout", "4+2"], "not built yet"),
        (["--listen", "nonsense"], "S3GATE_LISTEN"),
        (["--tls-cert", "/nonexistent"], "S3GATE_TLS_KEY"),
        (["--postgres-bin", "/nonexistent"], "was not found"),
    ],
)
def test_what_cannot_work_is_said_before_anything_starts(home: Path, arguments: list[str], message: str) -> None:
    result = subprocess.run(
        command(home / "data", *arguments), env=environment(), capture_output=True, text=True, check=False, timeout=20
    )
    assert result.returncode in (1, 2)
    assert message in result.stderr and "Traceback" not in result.stderr
    assert processes_with(str(home / "data")) == []


def test_what_only_an_operator_can_mend_is_said_at_once(home: Path) -> None:
    (home / "data").mkdir()
    (home / "data" / "kms.json").write_text("{}")
    result = subprocess.run(
        command(home / "data"), env=environment(), capture_output=True, text=True, check=False, timeout=60
    )
    assert result.returncode == 1
    assert f"gate-1 does not start; {home}/data/logs/gate-1.log ends:\n" in result.stderr
    assert result.stderr.count("S3GATE_KMS_KEYS_FILE") == 1, "it was tried again"
    assert processes_with(str(home / "data")) == []


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [("root.key", b"\xff", "holds no text"), ("nodes", b"", "File exists"), ("logs", b"", "File exists")],
)
def test_a_directory_with_something_else_in_it(home: Path, name: str, content: bytes, message: str) -> None:
    (home / "data").mkdir()
    (home / "data" / name).write_bytes(content)
    result = subprocess.run(
        command(home / "data"), env=environment(), capture_output=True, text=True, check=False, timeout=60
    )
    assert result.returncode == 1
    assert message in result.stderr and "Traceback" not in result.stderr


def readable_python() -> str | None:
    """A Python of our version that every user may run; the one of the tests may live in root's home."""
    for path in (sys.executable, f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"):
        real = os.path.realpath(path)
        if subprocess.run([*AS_NOBODY, "test", "-x", real], check=False).returncode == 0:
            return real
    return None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_an_ordinary_user_can_run_it(home: Path) -> None:
    python = readable_python()
    if python is None:
        pytest.skip("no Python here that other users may run")
    home.chmod(0o777)
    with running(home / "data", prefix=AS_NOBODY, python=python) as up:
        up.client().create_bucket(Bucket="bucket")
        up.client().put_object(Bucket="bucket", Key="key", Body=b"x")
        assert (home / "data" / "postgres").stat().st_uid == 65534
        assert up.stop(signal.SIGTERM) < STOP_SECONDS
    assert processes_with(str(home / "data")) == []
