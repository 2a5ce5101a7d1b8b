"""The aws cli as a program: version 1 (today's default checksums) and 2.9 (Content-MD5, older than those)."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients.programs import TOOLS, Endpoint, Program, find_program, same_tree

VERSIONS = {"v1": str(TOOLS / "awscli" / "bin" / "aws"), "v2": "/usr/bin/aws"}


@pytest.fixture(params=sorted(VERSIONS))
def aws(request: pytest.FixtureRequest, endpoint: Endpoint) -> Program:
    tls = ("--ca-bundle", endpoint.ca_file) if endpoint.ca_file else ()
    program = find_program(VERSIONS[request.param])
    return Program((program, "--endpoint-url", endpoint.url, *tls), endpoint.environment())


def test_sync_there_and_back_leaves_the_same_tree(aws: Program, bucket: str, tree: Path, tmp_path: Path) -> None:
    aws("s3", "mb", f"s3://{bucket}")
    aws("s3", "sync", tree, f"s3://{bucket}/some/prefix/")
    assert aws("s3", "sync", tree, f"s3://{bucket}/some/prefix/", "--dryrun") == ""
    aws("s3", "sync", f"s3://{bucket}/some/prefix/", tmp_path / "back")
    assert same_tree(tree, tmp_path / "back")
    listed = aws("s3", "ls", "--recursive", f"s3://{bucket}/")
    assert len(listed.splitlines()) == sum(path.is_file() for path in tree.rglob("*"))
    assert "PRE some/" in aws("s3", "ls", f"s3://{bucket}/")


def test_copy_move_and_remove(aws: Program, bucket: str, make_file: Callable[[str, int], Path], tmp_path: Path) -> None:
    source = make_file("large file", 20 << 20)
    aws("s3", "mb", f"s3://{bucket}")
    aws("s3", "cp", source, f"s3://{bucket}/a/large file")
    aws("s3", "cp", f"s3://{bucket}/a/large file", f"s3://{bucket}/b/ünï")
    aws("s3", "mv", f"s3://{bucket}/b/ünï", f"s3://{bucket}/c")
    aws("s3", "cp", f"s3://{bucket}/c", tmp_path / "down")
    assert (tmp_path / "down").read_bytes() == source.read_bytes()
    aws("s3", "rm", f"s3://{bucket}/b/ünï", ok=True)
    aws("s3", "rb", f"s3://{bucket}", ok=False)
    aws("s3", "rm", "--recursive", f"s3://{bucket}/")
    aws("s3", "rb", f"s3://{bucket}")
    assert bucket not in aws("s3", "ls")


def test_presigned_link_needs_no_key(
    aws: Program, endpoint: Endpoint, bucket: str, make_file: Callable[[str, int], Path]
) -> None:
    source = make_file("shared", 5000)
    aws("s3", "mb", f"s3://{bucket}")
    aws("s3", "cp", source, f"s3://{bucket}/shared")
    link = aws("s3", "presign", f"s3://{bucket}/shared").strip().splitlines()[-1]
    assert link.startswith(endpoint.url)
    with urllib.request.urlopen(link, context=endpoint.tls_context()) as answer:
        assert answer.read() == source.read_bytes()


def test_s3api_speaks_of_parts_and_errors(
    aws: Program, bucket: str, make_file: Callable[[str, int], Path], tmp_path: Path
) -> None:
    aws("s3api", "create-bucket", "--bucket", bucket)
    key = ("--bucket", bucket, "--key", "parts")
    upload = json.loads(aws("s3api", "create-multipart-upload", *key))["UploadId"]
    part = make_file("part", 5 << 20)
    etag = json.loads(aws("s3api", "upload-part", *key, "--upload-id", upload, "--part-number", "1", "--body", part))[
        "ETag"
    ]
    listed = json.loads(aws("s3api", "list-parts", *key, "--upload-id", upload))["Parts"]
    assert [(row["PartNumber"], row["ETag"], row["Size"]) for row in listed] == [(1, etag, 5 << 20)]
    parts = json.dumps({"Parts": [{"PartNumber": 1, "ETag": etag}]})
    aws("s3api", "complete-multipart-upload", *key, "--upload-id", upload, "--multipart-upload", parts)
    head = json.loads(aws("s3api", "head-object", *key))
    assert head["ContentLength"] == 5 << 20 and head["ETag"].endswith('-1"')
    aws("s3api", "get-object", *key, "--range", "bytes=5-14", tmp_path / "range")
    assert (tmp_path / "range").read_bytes() == part.read_bytes()[5:15]
    assert "NoSuchKey" in aws("s3api", "get-object", "--bucket", bucket, "--key", "none", "/dev/null", ok=False)
    assert "BucketNotEmpty" in aws("s3api", "delete-bucket", "--bucket", bucket, ok=False)
