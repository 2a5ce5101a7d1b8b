"""restic as a program: a repository is made, filled twice, checked to the last byte, thinned out and restored."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.clients.programs import Endpoint, Program, find_program, same_tree


@pytest.fixture
def restic(http: Endpoint, bucket: str, tmp_path: Path) -> Program:
    command = (find_program("restic"), "-r", f"s3:{http.url}/{bucket}/backups", "--cache-dir", str(tmp_path / "cache"))
    return Program(command, http.environment() | {"RESTIC_PASSWORD": "a word"})


def test_the_life_of_a_repository(restic: Program, tree: Path, tmp_path: Path) -> None:
    restic("init")
    restic("backup", tree)
    (tree / "plain.txt").write_text("changed")
    (tree / "deep" / "er" / "one-mebibyte").unlink()
    restic("backup", tree)
    assert len(json.loads(restic("snapshots", "--json"))) == 2
    restic("forget", "--keep-last", "1", "--prune", "--max-unused", "0")
    assert "no errors were found" in restic("check", "--read-data")
    restic("restore", "latest", "--target", tmp_path / "back")
    assert same_tree(tree, tmp_path / "back" / tree.relative_to("/"))
    assert restic("list", "locks") == ""
