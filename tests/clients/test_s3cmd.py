"""s3cmd as a program: it asks for the location first, signs with its own region, lists with V1."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients.programs import Endpoint, Program, find_program, same_tree

# Without it, it gives the copy the ACL of its source, which a bucket refuses whose ACLs are disabled, as new ones are.
OWN_ACL = "--acl-private"


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
    s3cmd("cp", OWN_ACL, f"s3://{bucket}/a/with space", f"s3://{bucket}/copy")
    s3cmd("mv", OWN_ACL, f"s3://{bucket}/copy", f"s3://{bucket}/moved+name")
    s3cmd("get", f"s3://{bucket}/moved+name", tmp_path / "down")
    assert (tmp_path / "down").read_bytes() == source.read_bytes()
    assert str(12 << 20) in s3cmd("info", f"s3://{bucket}/moved+name")
    s3cmd("del", f"s3://{bucket}/moved+name")
    assert [line.split()[-2:] for line in s3cmd("ls", f"s3://{bucket}").splitlines()] == [["DIR", f"s3://{bucket}/a/"]]


def test_rules_for_browsers_and_websites(s3cmd: Program, bucket: str, tmp_path: Path) -> None:
    s3cmd("mb", f"s3://{bucket}")
    rules = tmp_path / "cors.xml"
    rules.write_text(
        "<CORSConfiguration><CORSRule><AllowedOrigin>http://*.test</AllowedOrigin><AllowedMethod>GET</AllowedMethod>"
        "</CORSRule></CORSConfiguration>"
    )
    s3cmd("setcors", rules, f"s3://{bucket}")
    assert "http://*.test" in s3cmd("info", f"s3://{bucket}")
    s3cmd("delcors", f"s3://{bucket}")
    assert "http://*.test" not in s3cmd("info", f"s3://{bucket}")
    s3cmd("ws-create", "--ws-index=home.html", "--ws-error=oops.html", f"s3://{bucket}")
    shown = s3cmd("ws-info", f"s3://{bucket}")
    assert "home.html" in shown and "oops.html" in shown
    s3cmd("ws-delete", f"s3://{bucket}")
    assert "home.html" not in s3cmd("ws-info", f"s3://{bucket}")


def test_lifecycle_rules(s3cmd: Program, bucket: str, tmp_path: Path) -> None:
    s3cmd("mb", f"s3://{bucket}")
    rules = tmp_path / "lifecycle.xml"
    rules.write_text(
        "<LifecycleConfiguration><Rule><ID>old</ID><Prefix>logs/</Prefix><Status>Enabled</Status>"
        "<Expiration><Days>9</Days></Expiration></Rule></LifecycleConfiguration>"
    )
    s3cmd("setlifecycle", rules, f"s3://{bucket}")
    assert "<Prefix>logs/</Prefix>" in s3cmd("getlifecycle", f"s3://{bucket}")
    s3cmd("expire", "--expiry-days=7", "--expiry-prefix=tmp/", f"s3://{bucket}")
    assert "tmp/" in s3cmd("info", f"s3://{bucket}")
    s3cmd("dellifecycle", f"s3://{bucket}")
    assert "tmp/" not in s3cmd("info", f"s3://{bucket}")


def test_encryption_requester_pays_and_uploads(
    s3cmd: Program, bucket: str, make_file: Callable[[str, int], Path], tmp_path: Path
) -> None:
    source = make_file("secret", 7 << 20)
    s3cmd("mb", f"s3://{bucket}")
    s3cmd("put", "--server-side-encryption", "--multipart-chunk-size-mb=5", source, f"s3://{bucket}/secret")
    assert "SSE:       AES256" in s3cmd("info", f"s3://{bucket}/secret")
    s3cmd("modify", OWN_ACL, "--add-header=Cache-Control: max-age=5", f"s3://{bucket}/secret")
    s3cmd("get", f"s3://{bucket}/secret", tmp_path / "down")
    assert (tmp_path / "down").read_bytes() == source.read_bytes()
    s3cmd("payer", "--requester-pays", f"s3://{bucket}")
    assert "Payer:     Requester" in s3cmd("info", f"s3://{bucket}")
    assert "secret" not in s3cmd("multipart", f"s3://{bucket}")
