"""rclone as a program: copy, sync, check, multipart, and a FUSE mount used as a folder."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.clients.programs import Endpoint, Program, find_program, same_tree

MOUNT_SECONDS = 20


@pytest.fixture
def rclone(endpoint: Endpoint, tmp_path: Path) -> Program:
    config = tmp_path / "rclone.conf"
    config.write_text(
        f"[s]\ntype = s3\nprovider = Other\nenv_auth = true\nendpoint = {endpoint.url}\nregion = us-east-1\n"
    )
    trust = ("--ca-cert", endpoint.ca_file) if endpoint.ca_file else ()
    command = (find_program("rclone"), "--config", str(config), "--retries", "1", *trust)
    environment = endpoint.environment() | {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    environment.pop("AWS_CA_BUNDLE", None)  # rclone has its own option, and its SDK cannot take both
    return Program(command, environment)


def test_copy_sync_and_check(rclone: Program, bucket: str, tree: Path, tmp_path: Path) -> None:
    rclone("copy", tree, f"s:{bucket}/folder")
    rclone("check", tree, f"s:{bucket}/folder")
    rclone("check", "--download", tree, f"s:{bucket}/folder")
    (tree / "plain.txt").unlink()
    rclone("sync", tree, f"s:{bucket}/folder")
    rclone("copy", f"s:{bucket}/folder", tmp_path / "back")
    assert same_tree(tree, tmp_path / "back")
    assert len(rclone("lsl", f"s:{bucket}").splitlines()) == sum(p.is_file() for p in tree.rglob("*"))
    rclone("purge", f"s:{bucket}")
    assert bucket not in rclone("lsd", "s:")


def test_multipart_by_cutoff_and_moves_on_the_server(
    rclone: Program, bucket: str, make_file: Callable[[str, int], Path], tmp_path: Path
) -> None:
    source = make_file("larger", 23 << 20)
    cutoff = ("--s3-upload-cutoff", "5M", "--s3-chunk-size", "5M")
    rclone("copyto", source, f"s:{bucket}/a b/larger", *cutoff)
    rclone("moveto", f"s:{bucket}/a b/larger", f"s:{bucket}/moved")
    rclone("copyto", f"s:{bucket}/moved", tmp_path / "down")
    assert (tmp_path / "down").read_bytes() == source.read_bytes()
    assert rclone("lsf", f"s:{bucket}").split() == ["moved"]


@contextmanager
def mounted(rclone: Program, remote: str, folder: Path) -> Iterator[Path]:
    """The remote as a folder; unmounted and its process ended at the end."""
    folder.mkdir()
    command = [*rclone.command, "mount", remote, str(folder), "--vfs-cache-mode", "writes"]
    command += ["--vfs-write-back", "0s", "--dir-cache-time", "1s", "--poll-interval", "0"]
    process = subprocess.Popen(command, env=rclone.environment, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + MOUNT_SECONDS
        while not os.path.ismount(folder):
            assert process.poll() is None and time.monotonic() < deadline, "the mount did not appear"
            time.sleep(0.05)
        yield folder
    finally:
        subprocess.run(["fusermount3", "-u", str(folder)], check=False)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def test_a_mount_is_a_folder(rclone: Program, bucket: str, tmp_path: Path) -> None:
    find_program("fusermount3")
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("/dev/fuse cannot be opened by this user")
    rclone("mkdir", f"s:{bucket}")
    content = os.urandom(3 << 20)
    with mounted(rclone, f"s:{bucket}", tmp_path / "mount") as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "file one").write_bytes(content)
        (folder / "deep" / "file one").rename(folder / "deep" / "renamed")
        (folder / "small").write_text("a few words")
        assert (folder / "deep" / "renamed").read_bytes() == content
        assert sorted(path.name for path in folder.iterdir()) == ["deep", "small"]
    listed = set(rclone("lsf", "-R", "--files-only", f"s:{bucket}").split("\n")) - {""}
    assert listed == {"deep/renamed", "small"}
    with mounted(rclone, f"s:{bucket}", tmp_path / "again") as folder:
        assert (folder / "deep" / "renamed").read_bytes() == content
        assert (folder / "small").read_text() == "a few words"
