"""Runs `s3gate up` as a person would, and looks at what it left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.fix_postgres import scratch_directory
from tests.fix_store import boto3_session

ROOT = Path(__file__).resolve().parents[2]
READY_SECONDS = 30.0


def processes_with(text: str) -> list[int]:
    """The processes whose command line or environment names `text`: ours carry their data directory."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            seen = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            state = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            continue
        if text.encode() in seen and state != "Z":
            found.append(int(entry.name))
    return found


@dataclass
class Up:
    """A running `s3gate up`."""

    process: subprocess.Popen[bytes]
    data_dir: Path
    log: Path
    ready: dict[str, Any]

    @property
    def text(self) -> str:
        return self.log.read_text("utf-8", "replace")

    def children(self) -> dict[int, str]:
        """Pid and command line of what it started."""
        listed = subprocess.run(
            ["ps", "-o", "pid=,args=", "--ppid", str(self.process.pid)], capture_output=True, text=True, check=False
        )
        rows = (line.split(None, 1) for line in listed.stdout.splitlines())
        return {int(pid): command for pid, command in rows}

    def stop(self, how: int = signal.SIGINT) -> float:
        """Seconds until it was gone."""
        started = time.monotonic()
        self.process.send_signal(how)
        self.process.wait(10)
        return time.monotonic() - started

    def client(self) -> Any:
        from botocore.config import Config

        return boto3_session().client(
            "s3",
            endpoint_url=self.ready["endpoint"],
            region_name=self.ready["region"],
            aws_access_key_id=self.ready["access_key"],
            aws_secret_access_key=self.ready["secret_key"],
            verify=False,
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
        )


def environment() -> dict[str, str]:
    """Nothing of a developer's own settings."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("S3GATE_", "CHUNKD_"))}
    return {**clean, "PYTHONPATH": f"{ROOT}:{sysconfig.get_path('purelib')}"}


def command(data_dir: Path, *arguments: str, python: str = sys.executable) -> list[str]:
    return [python, "-m", "s3gate", "up", "--data-dir", str(data_dir), "--listen", "127.0.0.1:0", *arguments]


@contextmanager
def running(data_dir: Path, *arguments: str, prefix: Sequence[str] = (), python: str = sys.executable) -> Iterator[Up]:
    """Until the end of the block, or until the test stopped it."""
    ready_file = data_dir.with_name(data_dir.name + ".ready")
    log = data_dir.with_name(data_dir.name + ".log")
    ready_file.unlink(missing_ok=True)
    started = time.monotonic()
    with open(log, "ab") as output:
        process = subprocess.Popen(
            [*prefix, *command(data_dir, "--ready-file", str(ready_file), *arguments, python=python)],
            env=environment(),
            stdout=output,
            stderr=output,
            cwd=data_dir.parent,
        )
    try:
        while not ready_file.exists():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() - started < READY_SECONDS, log.read_text()
            time.sleep(0.01)
        ready = json.loads(ready_file.read_text())
        yield Up(process, data_dir, log, ready)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory for a data directory, gone afterwards."""
    with ExitStack() as stack:
        yield stack.enter_context(scratch_directory("s3gate-up-"))
