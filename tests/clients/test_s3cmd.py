"""s3cmd as a program: it asks for the location first, signs with its own region, lists with V1."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients.programs import Endpoint, Program, find_program, same_tree


@pytest.fixture
def s3cmd(endpoint: Endpoint, tmp_path: Path) -> Program:
    config = tmp_path / "s3cfg"
    config.write_text(
        f"[default]\naccess_key = {endpoint.access_key}\nsecret_key = {endpoint.secret_key}\n"
        f"host_base = {endpoint.host}\nhost_bucket = {endpoint.host}\nuse_https = {endpoint.secure}\n"
        f"ca_certs_file = {endpoint.ca_file or ''}\n"
    )
    return Program((find_program("s3cmd"), "--config", str(config), "--no-progress"), endpoint.environment())


def test_sync_list_and_delete(s3cmd: Program, bucket: str, tree: Path, tmp_path: Path) -> None:
    s3cmd("mb", f"s3://{bucket}")
    s3cmd("sync", f"{tree}/", f"s3://{bucket}/backup/")
    listed = s3cmd("ls", "--recursive", f"s3://{bucket}")
    assert len(listed.splitlines()) == sum(path.is_file() for path in tree.rglob("*"))
    (tmp_path / "back").mkdir()
    s3cmd("sync", f"s3://{bucket}/backup/", f"{tmp_path}/back/")
    assert same_tree(tree, tmp_path / "back")
    s3cmd("del", "--recursive", "--force", f"s3://{bucket}")
    s3cmd("rb", f"s3://{bucket}")
    assert bucket not in s3cmd("ls")


def test_multipart_put_get_info_and_server_side_copies(
    s3cmd: Program, bucket: str, make_file: Callable[[str, int], Path], tmp_path: Path
) -> None:
    source = make_file("with space", 12 << 20)
    s3cmd("mb", f"s3://{bucket}")
    s3cmd("put", "--multipart-chunk-size-mb=5", source, f"s3://{bucket}/a/with space")
    s3cmd("cp", f"s3://{bucket}/a/with space", f"s3://{bucket}/copy")
    s3cmd("mv", f"s3://{bucket}/copy", f"s3://{bucket}/moved+name")
    s3cmd("get", f"s3://{bucket}/moved+name", tmp_path / "down")
    assert (tmp_path / "down").read_bytes() == source.read_bytes()
    assert str(12 << 20) in s3cmd("info", f"s3://{bucket}/moved+name")
    s3cmd("del", f"s3://{bucket}/moved+name")
    assert [line.split()[-2:] for line in s3cmd("ls", f"s3://{bucket}").splitlines()] == [["DIR", f"s3://{bucket}/a/"]]
