"""The aws cli as a program, beyond plain objects: versions, locks, tags, encryption and the settings of a bucket.

Version 1 goes over TLS, version 2.9 over HTTP. A call takes them a second, so a test is of one, of both with --long.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.clients.programs import TOOLS, Endpoint, Program, find_program
from tests.fix_store import Store

WAYS = {"v1": (str(TOOLS / "awscli" / "bin" / "aws"), "https"), "v2": ("/usr/bin/aws", "http")}
Api = Callable[..., Any]


def aws_at(endpoint: Endpoint, program: str) -> Program:
    tls = ("--ca-bundle", endpoint.ca_file) if endpoint.ca_file else ()
    return Program((find_program(program), "--endpoint-url", endpoint.url, *tls), endpoint.environment())


def ways(first: str, then: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("aws", [first, pytest.param(then, marks=pytest.mark.long)], indirect=True)


@pytest.fixture
def aws(request: pytest.FixtureRequest) -> Program:
    program, endpoint = WAYS[request.param]
    return aws_at(request.getfixturevalue(endpoint), program)


@pytest.fixture
def api(aws: Program, bucket: str) -> Api:
    """One operation on the test's bucket: its options by name, structures as JSON, and what it answered."""

    def call(operation: str, *words: str | Path, ok: bool = True, **options: Any) -> Any:
        line: list[str | Path] = ["s3api", operation, "--bucket", bucket]
        for name, value in options.items():
            line += [f"--{name.replace('_', '-')}", value if isinstance(value, str) else json.dumps(value)]
        said = aws(*line, *words, ok=ok)
        return json.loads(said) if ok and said.strip() else said

    return call


@ways("v1", "v2")
def test_versions(api: Api, make_file: Callable[[str, int], Path], tmp_path: Path) -> None:
    source = make_file("a file", 5000)
    api("create-bucket")
    api("put-bucket-versioning", versioning_configuration="Status=Enabled")
    first = api("put-object", key="k", body=str(source), tagging="colour=blue")["VersionId"]
    api("put-object", key="k")
    assert api("delete-object", key="k")["DeleteMarker"] is True
    listed = api("list-object-versions")
    assert len(listed["Versions"]) == 2 and listed["DeleteMarkers"][0]["IsLatest"] is True
    api("get-object", tmp_path / "down", key="k", version_id=first)
    assert (tmp_path / "down").read_bytes() == source.read_bytes()
    tags = api("get-object-tagging", key="k", version_id=first)
    assert tags == {"VersionId": first, "TagSet": [{"Key": "colour", "Value": "blue"}]}


@ways("v2", "v1")
def test_object_lock(api: Api) -> None:
    api("create-bucket", "--object-lock-enabled-for-bucket")
    version = api("put-object", key="k", object_lock_legal_hold_status="ON")["VersionId"]
    until = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    api("put-object-retention", key="k", retention={"Mode": "GOVERNANCE", "RetainUntilDate": until})
    api("put-object-legal-hold", key="k", legal_hold="Status=OFF")
    assert "AccessDenied" in api("delete-object", key="k", version_id=version, ok=False)
    api("delete-object", "--bypass-governance-retention", key="k", version_id=version)


CONFIGURATIONS: list[tuple[str, str, dict[str, Any]]] = [
    ("bucket-tagging", "tagging", {"TagSet": [{"Key": "team", "Value": "grün"}]}),
    (
        "bucket-lifecycle-configuration",
        "lifecycle_configuration",
        {"Rules": [{"ID": "r", "Filter": {"Prefix": "t/"}, "Status": "Enabled", "Expiration": {"Days": 3}}]},
    ),
    (
        "bucket-encryption",
        "server_side_encryption_configuration",
        {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": False}]},
    ),
    (
        "bucket-cors",
        "cors_configuration",
        {"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["http://a.test"]}]},
    ),
]


@ways("v2", "v1")
def test_settings_of_a_bucket(api: Api, aws: Program, store: Store, tls_store: Store, bucket: str) -> None:
    s3 = (tls_store if tls_store.endpoint in aws.command else store).client()
    s3.create_bucket(Bucket=bucket)
    for name, option, document in CONFIGURATIONS:
        api(f"put-{name}", **{option: document})
        answer = getattr(s3, f"get_{name.replace('-', '_')}")(Bucket=bucket)
        found = answer.get("ServerSideEncryptionConfiguration", answer)
        assert {part: found[part] for part in document} == document
    aws("s3", "website", f"s3://{bucket}", "--index-document", "home.html")
    assert api("get-bucket-website") == {"IndexDocument": {"Suffix": "home.html"}}
    s3.delete_bucket_cors(Bucket=bucket)
    assert "NoSuchCORSConfiguration" in api("get-bucket-cors", ok=False)


def test_encrypted_copies(https: Endpoint, bucket: str, make_file: Callable[[str, int], Path], tmp_path: Path) -> None:
    aws = aws_at(https, WAYS["v1"][0])
    source, key = make_file("secret", 9 << 20), make_file("key", 32)
    aws("s3", "mb", f"s3://{bucket}")
    mine = ("--sse-c", "AES256", "--sse-c-key", f"fileb://{key}")
    aws("s3", "cp", source, f"s3://{bucket}/theirs", *mine)
    copied_from = ("--sse-c-copy-source", "AES256", "--sse-c-copy-source-key", f"fileb://{key}")
    aws("s3", "cp", f"s3://{bucket}/theirs", f"s3://{bucket}/ours", "--sse", *copied_from)
    assert '"AES256"' in aws("s3api", "head-object", "--bucket", bucket, "--key", "ours")
    aws("s3", "cp", f"s3://{bucket}/ours", f"s3://{bucket}/kms", "--sse", "aws:kms")
    aws("s3", "cp", f"s3://{bucket}/kms", tmp_path / "kms")
    aws("s3", "cp", f"s3://{bucket}/theirs", tmp_path / "theirs", *mine)
    assert (tmp_path / "kms").read_bytes() == (tmp_path / "theirs").read_bytes() == source.read_bytes()
    assert "(400)" in aws("s3", "cp", f"s3://{bucket}/theirs", tmp_path / "none", ok=False)
