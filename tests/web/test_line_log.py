"""Lines on their way to a file: rotation, several writers, what is lost."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from s3gate.web import line_log
from s3gate.web.line_log import LineLog, LogFile


def lines_of(path: Path) -> list[str]:
    """Of all files of a log, the oldest first."""
    older = sorted(path.parent.glob(f"{path.name}.*"), key=lambda each: -int(each.suffix[1:]))
    return [line for each in (*older, path) if each.exists() for line in each.read_text().splitlines()]


def test_a_full_file_is_moved_away_and_only_so_many_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "log"
    file = LogFile(path, most_bytes=20, kept=2)
    for number in range(9):
        file.write(f"line {number:03}\n")  # two of them fit
    assert lines_of(path) == [f"line {number:03}" for number in range(4, 9)]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["log", "log.1", "log.2"]


def test_a_batch_that_never_fits_is_written_all_the_same(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "log", most_bytes=10, kept=1)
    file.write("a" * 50 + "\n")
    file.write("b" * 50 + "\n")
    assert (tmp_path / "log").read_text() == "b" * 50 + "\n"


def test_none_kept(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "log", most_bytes=10, kept=0)
    file.write("a" * 8 + "\n")
    file.write("b" * 8 + "\n")
    assert [each.name for each in tmp_path.iterdir()] == ["log"]
    assert (tmp_path / "log").read_text() == "b" * 8 + "\n"


def test_what_is_private_is_private(tmp_path: Path) -> None:
    LogFile(tmp_path / "log", mode=0o600).write("x\n")
    assert stat.S_IMODE((tmp_path / "log").stat().st_mode) == 0o600


def test_a_pipe_is_never_moved(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(path.read_text()))
    reader.start()
    LogFile(path, most_bytes=1, kept=3).write("one\ntwo\n")
    reader.join(10)
    assert read == ["one\ntwo\n"]
    assert [each.name for each in tmp_path.iterdir()] == ["pipe"]


WRITER = """
import sys
from pathlib import Path
from s3gate.web.line_log import LogFile
file = LogFile(Path(sys.argv[1]), most_bytes=4000, kept=1000)
for number in range(200):
    file.write(f"{sys.argv[2]} {number:04} {'x' * 60}\\n" * 2)
"""


def test_several_processes_lose_no_line_of_each_other(tmp_path: Path) -> None:
    path = tmp_path / "log"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), name]) for name in "abc"]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    found = lines_of(path)
    assert all(each.stat().st_size <= 4000 for each in tmp_path.iterdir())
    for name in "abc":
        own = [line for line in found if line.startswith(name)]
        assert own == [f"{name} {number:04} {'x' * 60}" for number in range(200) for _ in range(2)]


def test_a_file_that_another_process_has_filled_by_then_is_moved_away_too(tmp_path: Path) -> None:
    class Hurried(LogFile):
        """Another process is quicker to write into each new file but the last."""

        def _shift(self) -> None:
            super()._shift()
            if others:
                LogFile(self._path, most_bytes=10, kept=5).write(others.pop(0) * 8 + "\n")

    others = ["b", "c"]
    path = tmp_path / "log"
    file = Hurried(path, most_bytes=10, kept=5)
    for letter in "ad":
        file.write(letter * 8 + "\n")
    assert path.read_text() == "d" * 8 + "\n"
    assert all(each.stat().st_size <= 10 for each in tmp_path.iterdir()) and len(list(tmp_path.iterdir())) == 4


async def test_what_is_lost_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(line_log, "FLUSH_SECONDS", 0.01)
    target = tmp_path / "missing" / "log"
    log: LineLog[str] = LineLog(LogFile(target), str, queued_lines=2)
    writer = asyncio.create_task(log.run())
    for _ in range(5):
        log.add("x")
    await asyncio.sleep(0.1)
    assert log.lost == 5
    assert [record.levelname for record in caplog.records] == ["ERROR"], "said once"
    target.parent.mkdir()
    log.add("y")
    await asyncio.sleep(0.1)
    writer.cancel()
    await asyncio.wait([writer])
    assert target.read_text().splitlines()[-1] in ("y", '{"dropped": 5}')
    assert sorted(target.read_text().splitlines()) == ["y", '{"dropped": 5}']
    assert log.lost == 5
