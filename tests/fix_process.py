"""One process of a store under test: started, killed, stopped, paused, measured."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import IO

from s3gate.embedded import children

STOP_SECONDS = 5.0
PORTS = range(20_000, 32_000)  # below the ports that the kernel gives to outgoing connections


def free_port() -> int:
    """A port that nobody listens on now and that no outgoing connection will be given."""
    while True:
        port = random.choice(PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


class Process:
    """One process of the store. `kill` is kill -9; `start` brings it back with the same command."""

    def __init__(self, name: str, log: Path, launch: Callable[[IO[bytes]], subprocess.Popen[bytes]]) -> None:
        self.name = name
        self.log = log
        self.stop_signal: int = signal.SIGTERM
        self.child: subprocess.Popen[bytes] | None = None
        self._launch = launch

    @property
    def pid(self) -> int:
        assert self.child is not None, f"{self.name} was not started"
        return self.child.pid

    @property
    def running(self) -> bool:
        return self.child is not None and self.child.poll() is None

    def start(self) -> None:
        assert not self.running, f"{self.name} runs already"
        with open(self.log, "ab") as log:
            self.child = self._launch(log)

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        if self.child is not None:
            self.child.kill()
            self.child.wait()

    def stop(self) -> None:
        """As an operator would."""
        if self.child is not None:
            children.stop(self.child, self.stop_signal, STOP_SECONDS)

    def restart(self) -> None:
        """kill -9 and start again."""
        self.kill()
        self.start()

    def pause(self) -> None:
        """SIGSTOP: it holds its connections and does nothing."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def peak_bytes(self) -> int:
        """The most memory it ever held."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("the kernel tells no VmHWM")

    def cpu_seconds(self) -> float:
        """Of this process, user and system."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def log_text(self) -> str:
        return self.log.read_text("utf-8", "replace") if self.log.exists() else ""
