"""`s3gate up --identities FILE`: accounts and keys are there when it says that it takes requests."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from s3gate.crypto.keyfile import KeyFile
from tests.embedded.fix_up import Up, command, environment, home, running

__all__ = ["home"]


def ask(up: Up, *arguments: str) -> Any:
    """What `s3gate admin` answers."""
    whole = [sys.executable, "-m", "s3gate", "admin", "--data-dir", str(up.data_dir), *arguments]
    return json.loads(subprocess.run(whole, env=environment(), capture_output=True, check=True).stdout)


def test_a_store_with_identities(home: Path) -> None:
    file = home / "identities.json"
    account = {"id": "222222222222", "users": [{"name": "alice", "keys": [{"access_key": "ALICE"}]}]}
    file.write_text(json.dumps({"accounts": [{**account, "kms_keys": ["testkey-1"]}]}))
    for turn in range(2):
        with running(home / "data", "--identities", str(file)) as up:
            keys = ask(up, "key", "list", "--account", "222222222222", "alice")["AccessKeyMetadata"]
            assert [key["AccessKeyId"] for key in keys] == ["ALICE"]
            assert ("made user alice" in up.text) and up.text.count("made user alice") == 1, turn
            assert "testkey-1" in KeyFile.read(up.data_dir / "kms.json").keys
            up.stop()


def test_a_bad_file_is_said_at_once(home: Path) -> None:
    file = home / "identities.json"
    file.write_text('{"accounts": [{"name": "x", "surprise": 1}]}')
    whole = command(home / "data", "--identities", str(file))
    done = subprocess.run(whole, env=environment(), cwd=home, capture_output=True, timeout=60, check=False)
    assert done.returncode == 1 and b"surprise" in done.stderr
