"""Every example runs as its first lines say."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import urllib3

from tests.clients.programs import Endpoint, Program, find_program

EXAMPLES = Path(__file__).parents[2] / "examples"
MIB = 1 << 20


@pytest.fixture
def plain(store: Any) -> Endpoint:
    return Endpoint(store.endpoint, store.access_key, store.secret_key)


def run_example(plain: Endpoint, name: str, *arguments: str | Path) -> str:
    return Program((sys.executable, str(EXAMPLES / name)), plain.environment())(*arguments)


def test_resume_upload_sends_only_what_is_missing(
    store: Any, plain: Endpoint, bucket: str, make_file: Callable[[str, int], Path]
) -> None:
    path = make_file("large", 17 * MIB)
    s3 = store.client()
    s3.create_bucket(Bucket=bucket)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="large")["UploadId"]
    where = {"Bucket": bucket, "Key": "large", "UploadId": upload}
    s3.upload_part(**where, PartNumber=2, Body=path.read_bytes()[8 * MIB : 16 * MIB])
    told = run_example(plain, "resume_upload.py", path, bucket, "large", "--part-mib", "8")
    assert f"resuming upload {upload}: 1 parts are there" in told
    assert told.splitlines()[1:4] == ["part 1: sent", "part 2: already there", "part 3: sent"]
    assert s3.get_object(Bucket=bucket, Key="large")["Body"].read() == path.read_bytes()
    assert "started upload" in run_example(plain, "resume_upload.py", make_file("none", 0), bucket, "none")


def test_presigned_links_are_links(plain: Endpoint, store: Any, bucket: str) -> None:
    store.client().create_bucket(Bucket=bucket)
    get, put = (line.split("'")[1] for line in run_example(plain, "presigned_links.py", bucket, "k").splitlines())
    assert urllib3.request("PUT", put, body=b"linked").status == 200
    assert urllib3.request("GET", get).data == b"linked"


def test_the_configurations_of_rclone_and_s3cmd(
    plain: Endpoint, store: Any, bucket: str, make_file: Callable[[str, int], Path]
) -> None:
    store.client().create_bucket(Bucket=bucket)
    path = make_file("one", 1000)
    rclone = (find_program("rclone"), "--config", str(EXAMPLES / "rclone.conf"), "--s3-endpoint", plain.url)
    Program(rclone, plain.environment())("copy", path, f"s3gate:{bucket}/r")
    s3cmd = (find_program("s3cmd"), "--config", str(EXAMPLES / "s3cmd.cfg"), "--host", plain.host)
    Program((*s3cmd, "--host-bucket", plain.host), plain.environment())("put", path, f"s3://{bucket}/s/one")
    keys = [row["Key"] for row in store.client().list_objects_v2(Bucket=bucket)["Contents"]]
    assert keys == ["r/one", "s/one"]


def test_the_shell_script_for_the_aws_cli(plain: Endpoint, bucket: str, make_file: Callable[[str, int], Path]) -> None:
    find_program("/usr/bin/aws")
    command = ["bash", str(EXAMPLES / "aws_cli.sh"), bucket, str(make_file("file", 9 * MIB))]
    environment = plain.environment() | {"PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "the copy is the same" in done.stdout
