"""Starting a child that cannot outlive us.

Every process that `s3gate up` or a test starts goes through `start`: `launch.py` makes the kernel end it when
the starter ends, however that happens. This file knows processes and nothing about what they do.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

LAUNCHER = Path(__file__).with_name("launch.py")
SAME_IDENTITY = "same"
FAST_SHUTDOWN = signal.SIGINT  # to Postgres: end sessions, checkpoint, stop


def launched(command: Sequence[str], *, identity: str, death_signal: int) -> list[str]:
    """`command` behind the launcher."""
    prefix = [sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()), str(int(death_signal)), identity]
    return [*prefix, *command]


def start(
    command: Sequence[str],
    *,
    environ: Mapping[str, str] | None = None,
    log: IO[bytes] | int | None = None,
    identity: str = SAME_IDENTITY,
    death_signal: int = signal.SIGKILL,
    descriptors: Sequence[int] = (),
    directory: Path | None = None,
) -> subprocess.Popen[bytes]:
    """A child in a session of its own, so that ctrl-C reaches us and we decide the order of stopping.

    The kernel sends `death_signal` when the *thread* that forked ends, hence the check.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("children are started from the main thread: they die with the thread that forks")
    return subprocess.Popen(
        launched(command, identity=identity, death_signal=death_signal),
        env=dict(environ) if environ is not None else None,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        pass_fds=tuple(descriptors),
        cwd=directory,
        start_new_session=True,
    )


def stop(child: subprocess.Popen[bytes], how: int, seconds: float) -> None:
    """Ask, wait, and then insist."""
    if child.poll() is not None:
        return
    child.send_signal(how)
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
