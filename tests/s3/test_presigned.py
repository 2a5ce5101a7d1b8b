"""Presigned URLs of every operation in botocore's model: both signatures, as sent and as they must not be changed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.model import Shape

from s3gate.s3.authenticate import authenticate
from s3gate.s3.credentials import Credential
from s3gate.s3.errors import S3Error
from s3gate.s3.operation import OPERATIONS, resolve
from s3gate.s3.request import Request
from s3gate.s3.sigv2 import SIGNED_PARAMETERS

ACCESS_KEY, SECRET_KEY = "AKIDTEST", "secret"
KEYS = {ACCESS_KEY: Credential(ACCESS_KEY, SECRET_KEY)}
VALUES = {
    "string": "text that is long enough",
    "integer": 1,
    "long": 1,
    "boolean": True,
    "timestamp": datetime(2027, 1, 1, tzinfo=UTC),
}
NAMED = {"Bucket": "a-bucket", "Key": "a key/with+odd %41 nämes", "CopySource": "a-bucket/source", "UploadId": "U1"}
# Not addressed to a bucket by name, or signed for another service than S3.
ELSEWHERE = {"WriteGetObjectResponse", "CreateSession", "ListDirectoryBuckets", "RenameObject"}
HOISTED = ("x-amz-", "content-")
AUTHENTICATION = {"AWSAccessKeyId", "Signature", "Expires"}


def clients() -> dict[str, Any]:
    return {
        version: boto3.client(
            "s3",
            endpoint_url="http://gate.test:9000",
            region_name="us-east-1",
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            config=Config(signature_version=version, s3={"addressing_style": "path"}),
        )
        for version in ("s3v4", "s3")
    }


CLIENTS = clients()
MODEL = CLIENTS["s3"].meta.service_model
METHODS = {MODEL.operation_model(name).name: name for name in MODEL.operation_names}


def sample(shape: Shape, name: str = "") -> Any:
    """Something that fits the shape, with only what is required."""
    if name in NAMED:
        return NAMED[name]
    if shape.type_name == "structure":
        if getattr(shape, "is_tagged_union", False):
            member = next(iter(shape.members))
            return {member: sample(shape.members[member], member)}
        return {member: sample(shape.members[member], member) for member in shape.required_members}
    if shape.type_name == "list":
        return [sample(shape.member)]
    return getattr(shape, "enum", None)[0] if getattr(shape, "enum", None) else VALUES.get(shape.type_name, b"")


def presign(version: str, operation: str) -> tuple[str, str, dict[str, str]]:
    """(method, URL, the headers that whoever uses it has to send: version 4 signs those that it leaves out of it)."""
    client, model = CLIENTS[version], MODEL.operation_model(operation)
    if version == "s3v4" and _has_document(model):
        return model.http["method"], _presign_document(operation), {}
    parameters = {} if model.input_shape is None else sample(model.input_shape)
    seen: dict[str, str] = {}

    def look(request: Any, **_: Any) -> None:
        for name, value in request.headers.items():
            seen[name.lower()] = value if isinstance(value, str) else value.decode()

    client.meta.events.register_last("before-sign.s3.*", look, unique_id="look")
    method = next(name for name, called in client.meta.method_to_api_mapping.items() if called == operation)
    url = client.generate_presigned_url(method, Params=parameters)
    client.meta.events.unregister("before-sign.s3.*", unique_id="look")
    signed = parse_qs(urlsplit(url).query).get("X-Amz-SignedHeaders", [""])[0].split(";")
    return model.http["method"], url, {name: seen[name] for name in signed if name in seen}


def _has_document(model: Any) -> bool:
    """botocore takes every body of a request that it presigns with version 4 for JSON, and fails."""
    payload = model.input_shape and model.input_shape.serialization.get("payload")
    return bool(model.has_streaming_input is False and (payload or operation_has_members_in_body(model)))


def operation_has_members_in_body(model: Any) -> bool:
    return model.input_shape is not None and any(
        "location" not in shape.serialization for shape in model.input_shape.members.values()
    )


def _presign_document(operation: str) -> str:
    """The URL as version 2 has it, signed with version 4 instead."""
    method, url, _ = presign("s3", operation)
    parts = urlsplit(url)
    fields = [field for field in parts.query.split("&") if field.partition("=")[0] not in AUTHENTICATION]
    plain = parts._replace(query="&".join(field for field in fields if not field.lower().startswith(HOISTED))).geturl()
    request = AWSRequest(method=method, url=plain)
    S3SigV4QueryAuth(Credentials(ACCESS_KEY, SECRET_KEY), "s3", "us-east-1").add_auth(request)
    return str(request.url)


def request_of(method: str, url: str, headers: dict[str, str]) -> Request:
    parts = urlsplit(url)
    given = [(b"host", parts.netloc.encode()), *((name.encode(), value.encode()) for name, value in headers.items())]
    return Request.parse(method, parts.path.encode(), parts.query.encode(), given)


def who(request: Request) -> str:
    return authenticate(request, datetime.now(UTC), KEYS.get, "us-east-1").access_key


@pytest.mark.parametrize("version", ["s3v4", "s3"])
@pytest.mark.parametrize("operation", sorted(set(METHODS) - ELSEWHERE))
def test_every_operation_can_be_presigned(version: str, operation: str) -> None:
    row = OPERATIONS[operation]
    if row.superseded:
        return
    request = request_of(*presign(version, operation))
    covered = row.subresource.encode() in {*SIGNED_PARAMETERS, b""}
    if version == "s3" and row.method not in ("GET", "HEAD") and not covered:
        with pytest.raises(S3Error, match=f"InvalidRequest: Signature Version 2 does not cover .* {row.subresource}"):
            who(request)
        return
    assert who(request) == ACCESS_KEY
    found = resolve(request.method, request.bucket != "", request.key != b"", request.query, request.headers)
    assert found.name == operation
    if request.key:
        assert request.key == NAMED["Key"].encode()


@pytest.mark.parametrize("version", ["s3v4", "s3"])
@pytest.mark.parametrize(
    "added", ["acl", "tagging", "legal-hold", "retention", "versionId=x", "uploadId=x", "encryption"]
)
def test_a_link_for_one_thing_is_not_one_for_another(version: str, added: str) -> None:
    method, url, headers = presign(version, "PutObject")
    with pytest.raises(S3Error):
        who(request_of(method, f"{url}&{added}", headers))
    for other in ("DELETE", "GET", "POST"):
        with pytest.raises(S3Error, match="SignatureDoesNotMatch"):
            who(request_of(other, url, headers))


@pytest.mark.parametrize("version", ["s3v4", "s3"])
@pytest.mark.parametrize("name", ["x-amz-acl", "x-amz-copy-source", "x-amz-meta-a", "x-amz-security-token"])
def test_a_link_is_not_one_with_more_headers(version: str, name: str) -> None:
    method, url, headers = presign(version, "PutObject")
    with pytest.raises(S3Error):
        who(request_of(method, url, {**headers, name: "value"}))
