"""Keeps processes running: starts them, restarts the dead at once, stops them in order.

It waits for signals and deaths in one place, the main thread (children die with the thread that forked them).
It knows names, commands and order, and nothing of what the processes do.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
RESTART_PAUSES_SECONDS = (0.0, 0.1, 0.5, 1.0, 2.0, 5.0)
STEADY_SECONDS = 10.0
STOP_STAGE_SECONDS = 2.0
IDLE_SECONDS = 3600.0


class Stopping(Exception):
    """Somebody asked us to stop while we were waiting for something."""


@dataclass(slots=True, eq=False)
class Process:
    """One that should run. `stage` orders the stopping: lower stages first, a stage at a time."""

    name: str
    launch: Callable[[], subprocess.Popen[bytes]]
    stage: int
    stop_signal: int = signal.SIGTERM
    log: str = ""
    hopeless: frozenset[int] = frozenset()
    """Exit statuses by which it says that starting it again will not help."""
    is_hopeless: bool = False
    child: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    quick_deaths: int = 0
    due_at: float = 0.0

    def running(self) -> bool:
        return self.child is not None and self.child.poll() is None


@dataclass(slots=True)
class Supervisor:
    """The processes and what happens to them. `say` tells the person who watches."""

    say: Callable[[str], None]
    processes: list[Process] = field(default_factory=list)
    _wake: int = -1
    _stop_requests: int = 0

    @contextmanager
    def signals(self) -> Iterator[None]:
        """While inside: deaths and stop signals wake us up, and nothing is interrupted half-way."""
        self._wake, wake_writer = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(wake_writer, False)
        old_writer = signal.set_wakeup_fd(wake_writer, warn_on_full_buffer=False)
        old_handlers = [(number, signal.signal(number, self._on_stop)) for number in STOP_SIGNALS]
        old_handlers.append((signal.SIGCHLD, signal.signal(signal.SIGCHLD, lambda number, frame: None)))
        try:
            yield
        finally:
            signal.set_wakeup_fd(old_writer)
            for number, handler in old_handlers:
                signal.signal(number, handler)
            os.close(self._wake)
            os.close(wake_writer)

    def _on_stop(self, number: int, frame: FrameType | None) -> None:
        self._stop_requests += 1

    def pause(self, seconds: float) -> None:
        """Wait for a signal, a death or the time to pass; raises Stopping if a stop was asked for."""
        self._wait(seconds)
        if self._stop_requests:
            raise Stopping

    def _wait(self, seconds: float) -> None:
        readable, _, _ = select.select([self._wake], [], [], max(0.0, seconds))
        if readable:
            os.read(self._wake, 4096)

    def start(self, process: Process) -> None:
        """Run it and keep it running."""
        process.started_at = time.monotonic()
        process.child = process.launch()
        self.processes.append(process)

    def _restart(self, process: Process, now: float) -> None:
        process.started_at = now
        try:
            process.child = process.launch()
        except (OSError, RuntimeError) as error:
            self._note_failure(process, now, str(error))

    def tend(self) -> float:
        """Notice deaths, restart what is due; returns the seconds until the next restart is due."""
        now = time.monotonic()
        pause = IDLE_SECONDS
        for process in self.processes:
            if process.running():
                continue
            if process.child is not None:
                process.is_hopeless = process.child.returncode in process.hopeless
                self._note_failure(process, now, describe_status(process.child.returncode))
            if process.due_at <= now:
                self._restart(process, now)
            if process.child is None:
                pause = min(pause, process.due_at - now)
        return pause

    def _note_failure(self, process: Process, now: float, reason: str) -> None:
        lived = now - process.started_at
        process.quick_deaths = 0 if lived >= STEADY_SECONDS else process.quick_deaths + 1
        delay = RESTART_PAUSES_SECONDS[max(0, min(process.quick_deaths, len(RESTART_PAUSES_SECONDS)) - 1)]
        when = f"again in {delay:g} s" if delay else "again now"
        log = f"; its log is {process.log}" if process.log else ""
        self.say(f"{process.name} ended ({reason}); starting it {when}{log}")
        process.child = None
        process.due_at = now + delay

    def run(self) -> None:
        """Until somebody asks us to stop."""
        while not self._stop_requests:
            self._wait(self.tend())

    def stop(self) -> None:
        """Stop everything, stage by stage; SIGKILL for who takes too long, or for all on a second request."""
        patience = self._stop_requests
        for stage in sorted({process.stage for process in self.processes}):
            children = [process for process in self.processes if process.stage == stage and process.running()]
            self._signal(children, None)
            deadline = time.monotonic() + STOP_STAGE_SECONDS
            while any(process.running() for process in children):
                left = deadline - time.monotonic()
                if left <= 0 or self._stop_requests > patience + 1:
                    self._signal(children, signal.SIGKILL)
                    left = STOP_STAGE_SECONDS
                self._wait(min(left, 0.2))

    def _signal(self, processes: Sequence[Process], number: int | None) -> None:
        for process in processes:
            if process.child is not None:
                process.child.send_signal(process.stop_signal if number is None else number)


def describe_status(status: int | None) -> str:
    """An exit status as a person reads it."""
    if status is None:
        return "still running"
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"
