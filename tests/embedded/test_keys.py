"""Keys are made once, kept privately, and appear whole or not at all."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from chunkd.wire import ClusterKey
from s3gate.embedded.keys import KeyFileError, keep, new_cluster_key, new_root_keys, root_keys
from s3gate.embedded.running import Running, RunningError, store_file
from s3gate.files import write_secret


def test_a_key_is_made_once_for_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "key"
    text = keep(path, new_cluster_key)
    assert keep(path, new_cluster_key) == text
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["key"]


def test_a_half_written_key_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "key.new").write_text("half")
    assert keep(tmp_path / "key", lambda: "whole") == "whole"


def test_the_cluster_key_is_what_a_chunkd_reads() -> None:
    first, second = ClusterKey.parse(new_cluster_key()), ClusterKey.parse(new_cluster_key())
    assert first.cluster_id != second.cluster_id


def test_root_keys_have_the_lengths_of_aws() -> None:
    keys = new_root_keys()
    assert len(keys.access_key) == 20 and len(keys.secret_key) == 40


def test_given_root_keys_win_and_are_not_kept(tmp_path: Path) -> None:
    environ = {"S3GATE_ROOT_ACCESS_KEY": "given", "S3GATE_ROOT_SECRET_KEY": "secret"}
    path = tmp_path / "root.key"
    assert root_keys(path, environ) == ("given", "secret")
    assert not path.exists()
    made = root_keys(path, {})
    assert root_keys(path, {}) == made != ("given", "secret")


def test_a_spoilt_root_key_file_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "root.key"
    path.write_text("only one line\n")
    with pytest.raises(KeyFileError, match=r"root\.key"):
        root_keys(path, {})
    assert path.read_text() == "only one line\n"


def test_a_running_store_is_read_back(tmp_path: Path) -> None:
    files = ("/key", "/kms")
    running = Running("http://h:1", "http://h:2", "r", "ak", "sk", 6, 1, str(tmp_path), "postgresql://", *files, 7)
    write_secret(store_file(tmp_path), running.as_json())
    assert Running.read(tmp_path) == running
    assert stat.S_IMODE(store_file(tmp_path).stat().st_mode) == 0o600
    store_file(tmp_path).write_text("{}")
    with pytest.raises(RunningError, match="no store runs"):
        Running.read(tmp_path)
