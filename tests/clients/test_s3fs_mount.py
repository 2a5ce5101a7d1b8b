"""s3fs as a program: a bucket as a folder, where attributes of files are metadata and renames are copies."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.clients.programs import Endpoint, find_program, mounted
from tests.fix_store import Store

MIB = 1 << 20


@pytest.fixture
def passwords(http: Endpoint, tmp_path: Path) -> Path:
    path = tmp_path / "passwd-s3fs"
    path.touch(mode=0o600)
    path.write_text(f"{http.access_key}:{http.secret_key}\n")
    return path


def mount(http: Endpoint, bucket: str, folder: Path, passwords: Path) -> AbstractContextManager[Path]:
    options = f"url={http.url},use_path_request_style,passwd_file={passwords},multipart_size=5,use_sse"
    command = (find_program("s3fs"), bucket, str(folder), "-f", "-o", options)
    environment = {name: value for name, value in http.environment().items() if not name.startswith("AWS_")}
    return mounted(command, environment, folder)


def test_a_bucket_is_a_folder(store: Store, http: Endpoint, bucket: str, tmp_path: Path, passwords: Path) -> None:
    s3 = store.client()
    s3.create_bucket(Bucket=bucket)
    large = os.urandom(17 * MIB)
    with mount(http, bucket, tmp_path / "mount", passwords) as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "file one").write_bytes(large)
        (folder / "deep" / "file one").rename(folder / "deep" / "renamed")
        (folder / "small").write_text("a few words")
        with (folder / "small").open("a") as file:
            file.write(", and more")
        (folder / "small").chmod(0o640)
        os.utime(folder / "small", (1_000_000_000, 1_000_000_000))
        (folder / "gone").write_text("")
        (folder / "gone").unlink()
        assert sorted(path.name for path in folder.iterdir()) == ["deep", "small"]
    head = s3.head_object(Bucket=bucket, Key="small")
    assert int(head["Metadata"]["mode"]) & 0o777 == 0o640
    assert head["ServerSideEncryption"] == "AES256"
    with mount(http, bucket, tmp_path / "again", passwords) as folder:
        assert (folder / "deep" / "renamed").read_bytes() == large
        assert (folder / "small").read_text() == "a few words, and more"
        found = (folder / "small").stat()
        assert (found.st_mode & 0o777, found.st_mtime) == (0o640, 1_000_000_000)
