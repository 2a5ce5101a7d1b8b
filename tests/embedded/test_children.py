"""A child never outlives whoever started it, whatever identity it took."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from s3gate.embedded import children

ROOT = Path(__file__).resolve().parent.parent.parent
NOBODY = 65534

# Starts a child with the identity in argv[1], prints its pid, and waits to be killed.
PARENT = """
import sys, time
from s3gate.embedded import children
child = children.start(["sleep", "600"], identity=sys.argv[1])
print(child.pid, flush=True)
time.sleep(600)
"""

IDENTITIES = ["same", f"userns:{NOBODY}", f"{NOBODY}:{NOBODY}"]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


def wait_until(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


@pytest.mark.parametrize(
    "identity", [pytest.param(name, marks=() if name == "same" else needs_root) for name in IDENTITIES]
)
def test_a_child_dies_with_a_parent_that_is_killed(identity: str) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, identity], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert wait_until(lambda: command_of(pid) == "sleep 600")
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert wait_until(lambda: command_of(pid) == "")


def test_a_child_whose_parent_is_already_gone_does_not_start(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    command = [sys.executable, "-I", "-S", str(children.LAUNCHER), "1", str(int(signal.SIGKILL)), "same"]
    assert subprocess.run([*command, "touch", str(mark)], check=False).returncode == 126
    assert not mark.exists()


def test_a_child_that_cannot_be_executed_says_so() -> None:
    command = children.launched(["/nonexistent/program"], identity="same", death_signal=signal.SIGKILL)
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 126
    assert "cannot start /nonexistent/program" in result.stderr


@needs_root
def test_root_in_a_user_namespace_is_somebody_else_and_owns_its_files(tmp_path: Path) -> None:
    command = ["sh", "-c", f"id -u; touch {tmp_path}/made"]
    launched = children.launched(command, identity=f"userns:{NOBODY}", death_signal=signal.SIGKILL)
    result = subprocess.run(launched, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == str(NOBODY)
    assert (tmp_path / "made").stat().st_uid == os.geteuid()


def test_a_child_has_default_signals_and_ignores_nothing_of_ours() -> None:
    child = subprocess.run(
        children.launched(["cat", "/proc/self/status"], identity="same", death_signal=signal.SIGKILL),
        capture_output=True,
        text=True,
        check=True,
    )
    status = dict(line.split(":\t", 1) for line in child.stdout.splitlines() if ":\t" in line)
    assert int(status["SigBlk"], 16) == 0
    assert not int(status["SigIgn"], 16) & (1 << (signal.SIGPIPE - 1))


def test_stop_insists(tmp_path: Path) -> None:
    script = "trap '' TERM; touch ready; while :; do sleep 0.02; done"
    deaf = children.start(["sh", "-c", script], directory=tmp_path)
    assert wait_until((tmp_path / "ready").exists)
    children.stop(deaf, signal.SIGTERM, 0.2)
    assert deaf.returncode == -signal.SIGKILL
