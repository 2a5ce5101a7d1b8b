"""rclone as a program: copy, sync, check, multipart, versions, and a FUSE mount used as a folder."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from hashlib import sha1
from pathlib import Path

import pytest

from tests.clients.programs import Endpoint, Program, find_program, mounted, same_tree


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


def mount(rclone: Program, remote: str, folder: Path) -> AbstractContextManager[Path]:
    options = ("--vfs-cache-mode", "writes", "--vfs-write-back", "0s", "--dir-cache-time", "1s", "--poll-interval", "0")
    return mounted((*rclone.command, "mount", remote, str(folder), *options), rclone.environment, folder)


def test_a_mount_is_a_folder(rclone: Program, bucket: str, tmp_path: Path) -> None:
    rclone("mkdir", f"s:{bucket}")
    content = os.urandom(3 << 20)
    with mount(rclone, f"s:{bucket}", tmp_path / "mount") as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "file one").write_bytes(content)
        (folder / "deep" / "file one").rename(folder / "deep" / "renamed")
        (folder / "small").write_text("a few words")
        assert (folder / "deep" / "renamed").read_bytes() == content
        assert sorted(path.name for path in folder.iterdir()) == ["deep", "small"]
    listed = set(rclone("lsf", "-R", "--files-only", f"s:{bucket}").split("\n")) - {""}
    assert listed == {"deep/renamed", "small"}
    with mount(rclone, f"s:{bucket}", tmp_path / "again") as folder:
        assert (folder / "deep" / "renamed").read_bytes() == content
        assert (folder / "small").read_text() == "a few words"


def test_versions_are_listed_fetched_and_cleaned_up(rclone: Program, bucket: str, tmp_path: Path) -> None:
    source = tmp_path / "a.txt"
    rclone("mkdir", f"s:{bucket}")
    rclone("backend", "versioning", f"s:{bucket}", "Enabled")
    assert "Enabled" in rclone("backend", "versioning", f"s:{bucket}")
    for text in ("one", "two", "three"):
        source.write_text(text)
        rclone("copyto", "--ignore-times", source, f"s:{bucket}/a.txt")
        time.sleep(1.001)  # rclone names versions by their times, and S3 tells them in whole seconds
    assert rclone("lsf", f"s:{bucket}").split() == ["a.txt"]
    names = rclone("lsf", "--s3-versions", f"s:{bucket}").split()
    assert len(names) == 3 and names.count("a.txt") == 1
    older = sorted({*names} - {"a.txt"})
    texts = {rclone("cat", "--s3-versions", f"s:{bucket}/{name}") for name in older}
    assert texts == {"one", "two"}
    rclone("deletefile", f"s:{bucket}/a.txt")
    assert rclone("lsf", f"s:{bucket}") == ""
    assert len(rclone("lsf", "--s3-versions", f"s:{bucket}").split()) == 3
    rclone("backend", "cleanup-hidden", f"s:{bucket}")
    assert rclone("lsf", "--s3-versions", f"s:{bucket}") == ""
    rclone("rmdir", f"s:{bucket}")


def test_copies_on_the_server_in_parts(rclone: Program, bucket: str, make_file: Callable[[str, int], Path]) -> None:
    source = make_file("copied", 17 << 20)
    rclone("copyto", source, f"s:{bucket}/from")
    in_parts = ("--s3-copy-cutoff", "5M", "--s3-chunk-size", "5M")
    rclone("copyto", *in_parts, f"s:{bucket}/from", f"s:{bucket}/to")
    assert rclone("sha1sum", "--download", f"s:{bucket}").split()[::2] == [sha1(source.read_bytes()).hexdigest()] * 2
    assert rclone("backend", "list-multipart-uploads", f"s:{bucket}").split() == ["{", f'"{bucket}":', "[]", "}"]
