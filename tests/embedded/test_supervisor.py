"""Dead processes come back at once, hopeless ones more slowly, and stopping has an order and an end."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from s3gate.embedded import children
from s3gate.embedded.supervisor import RESTART_PAUSES_SECONDS, Process, Stopping, Supervisor, describe_status


def process(name: str, command: list[str], stage: int = 1) -> Process:
    return Process(name, lambda: children.start(command), stage)


def script(text: str) -> list[str]:
    return ["sh", "-c", text]


def after(seconds: float, act: Callable[[], object]) -> None:
    threading.Timer(seconds, act).start()


def test_a_killed_child_is_running_again_at_once() -> None:
    said: list[str] = []
    supervisor = Supervisor(said.append)
    with supervisor.signals():
        sleeper = process("sleeper", ["sleep", "600"])
        supervisor.start(sleeper)
        first = sleeper.child
        assert first is not None
        after(0.1, first.kill)
        after(0.6, lambda: os.kill(os.getpid(), signal.SIGTERM))
        supervisor.run()
        assert sleeper.running() and sleeper.child is not first
        supervisor.stop()
    assert not sleeper.running()
    assert said == ["sleeper ended (killed by SIGKILL); starting it again now"]


def test_a_child_that_keeps_dying_is_started_less_and_less_often() -> None:
    said: list[str] = []
    supervisor = Supervisor(said.append)
    with supervisor.signals():
        supervisor.start(process("broken", ["false"]))
        after(1.2, lambda: os.kill(os.getpid(), signal.SIGINT))
        supervisor.run()
        supervisor.stop()
    assert 3 <= len(said) <= len(RESTART_PAUSES_SECONDS)
    assert said[1].endswith("again in 0.1 s") and said[2].endswith("again in 0.5 s")


def test_a_child_that_cannot_be_forked_is_tried_again() -> None:
    attempts: list[int] = []

    def launch() -> object:
        attempts.append(1)
        if len(attempts) == 2:
            raise OSError("no memory")
        return children.start(["false"] if len(attempts) == 1 else ["sleep", "600"])

    supervisor = Supervisor(lambda text: None)
    with supervisor.signals():
        flaky = Process("flaky", launch, 1)  # type: ignore[arg-type]
        supervisor.start(flaky)
        after(0.6, lambda: os.kill(os.getpid(), signal.SIGTERM))
        supervisor.run()
        assert flaky.running() and len(attempts) == 3
        supervisor.stop()


def test_stages_stop_one_after_the_other(tmp_path: Path) -> None:
    log = tmp_path / "log"
    supervisor = Supervisor(lambda text: None)
    with supervisor.signals():
        for stage, name in ((2, "second"), (1, "first")):
            text = f"trap 'sleep 0.2; echo {name} >> {log}; exit 0' TERM; touch {tmp_path}/{name}; "
            supervisor.start(process(name, script(text + "while :; do sleep 0.02; done"), stage))
        while not ((tmp_path / "first").exists() and (tmp_path / "second").exists()):
            time.sleep(0.01)
        supervisor.stop()
    assert log.read_text().split() == ["first", "second"]


def test_the_deaf_are_killed_in_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("s3gate.embedded.supervisor.STOP_STAGE_SECONDS", 0.3)
    supervisor = Supervisor(lambda text: None)
    with supervisor.signals():
        deaf = process("deaf", script(f"trap '' TERM; touch {tmp_path}/up; while :; do sleep 0.02; done"))
        supervisor.start(deaf)
        while not (tmp_path / "up").exists():
            time.sleep(0.01)
        started = time.monotonic()
        supervisor.stop()
    assert not deaf.running() and time.monotonic() - started < 1.0


def test_a_stop_while_waiting_is_not_lost() -> None:
    supervisor = Supervisor(lambda text: None)
    with supervisor.signals():
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Stopping):
            supervisor.pause(5.0)


@pytest.mark.parametrize(
    ("status", "text"),
    [(0, "exit status 0"), (3, "exit status 3"), (-9, "killed by SIGKILL"), (-99, "killed by signal 99")],
)
def test_a_status_is_told_in_words(status: int, text: str) -> None:
    assert describe_status(status) == text
