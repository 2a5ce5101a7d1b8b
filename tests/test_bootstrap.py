"""scripts/bootstrap in a tree of its own, with nothing to install: which Python it takes, and whose pip."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The script, the question it asks each Python, and an empty lock."""
    tree = tmp_path / "a tree"
    (tree / "requirements").mkdir(parents=True)
    shutil.copytree(ROOT / "scripts", tree / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("s3gate", "chunkd"):
        (tree / name).mkdir()
    for kind in ("runtime", "dev"):
        (tree / "requirements" / f"{kind}.txt").write_text("# nothing\n")
    return tree


def python(tree: Path, name: str, pace: str, *, pip: bool = True) -> Path:
    """A Python that says of itself what it is told to, and of which can be seen whether it made the environment."""
    path = tree.parent / name
    refuse = "" if pip else 'if [ "$2" = pip ] || [ "$2" = ensurepip ]; then exit 1; fi\n'
    path.write_text(
        f'#!/bin/sh\nif [ "$1" = scripts/pace.py ]; then {pace}; exit; fi\n{refuse}'
        f'if [ "$2" = venv ]; then touch "{path}.taken"; fi\nexec "{sys.executable}" "$@"\n'
    )
    path.chmod(0o755)
    return path


def bootstrap(tree: Path, *pythons: Path, kind: str = "runtime") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHON": " ".join(map(str, pythons))}
    return subprocess.run(
        [tree / "scripts/bootstrap", kind], env=environment, capture_output=True, text=True, timeout=60
    )


def taken(*pythons: Path) -> list[bool]:
    return [path.with_name(f"{path.name}.taken").exists() for path in pythons]


@pytest.mark.parametrize(("first", "second", "expected"), [("300", "200", 1), ("200", "300", 0), ("200", "190", 0)])
def test_the_fastest_python_by_a_tenth_is_taken(tree: Path, first: str, second: str, expected: int) -> None:
    pythons = python(tree, "first", f"echo {first}"), python(tree, "second", f"echo {second}")
    done = bootstrap(tree, *pythons)
    assert done.returncode == 0, done.stderr
    assert taken(*pythons) == [expected == 0, expected == 1]
    assert (tree / ".venv/bin/s3gate").exists()


def test_a_python_that_is_too_old_or_absent_is_passed_over(tree: Path) -> None:
    absent, old = tree.parent / "absent", python(tree, "old", "false")
    good = python(tree, "good", "echo 100")
    done = bootstrap(tree, absent, old, good)
    assert done.returncode == 0, done.stderr
    assert taken(old, good) == [False, True]
    shutil.rmtree(tree / ".venv")
    alone = bootstrap(tree, old)
    assert alone.returncode == 1 and "needs Python 3.11 or later" in alone.stderr


def test_a_python_without_pip_is_served_by_another(tree: Path) -> None:
    bare, other = python(tree, "bare", "echo 100", pip=False), python(tree, "other", "echo 900")
    done = bootstrap(tree, bare, other)
    assert done.returncode == 0, done.stderr
    assert taken(bare, other) == [True, False]


def test_pace_is_a_number(tree: Path) -> None:
    said = subprocess.run([sys.executable, "scripts/pace.py"], cwd=tree, capture_output=True, text=True, check=True)
    assert int(said.stdout) > 0
