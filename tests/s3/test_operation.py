"""The dispatch table: complete beside the model that SDKs are made from, and strict with what it lacks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from botocore.loaders import Loader

from s3gate.s3.errors import S3Error
from s3gate.s3.operation import (
    BEYOND_THE_MODEL,
    BUCKET,
    OBJECT,
    OPERATIONS,
    SERVICE,
    Operation,
    refusal,
    resolve,
)
from s3gate.s3.request import Headers, Query
from s3gate.web.dispatch import function_name

LEVELS = {"/": SERVICE, "/{Bucket}": BUCKET, "/{Bucket}/{Key+}": OBJECT, "/WriteGetObjectResponse": BUCKET}
OPERATIONS_ROOM = Path(__file__).resolve().parents[2] / "s3gate" / "operations"


@pytest.fixture(scope="module")
def model() -> dict[str, Any]:
    return Loader().load_service_model("s3", "service-2")


def members(model: dict[str, Any], name: str, location: str) -> tuple[set[str], set[str]]:
    """(all, required) wire names of an operation's input at one location."""
    shape = model["shapes"].get(model["operations"][name].get("input", {}).get("shape"), {})
    found = {
        key: part["locationName"] for key, part in shape.get("members", {}).items() if part.get("location") == location
    }
    return set(found.values()), {found[key] for key in shape.get("required", ()) if key in found}


def find(method: str, level: str, query: str = "", **headers: str) -> Operation:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return resolve(method, level != SERVICE, level == OBJECT, Query.parse(query.encode()), Headers(raw))


def error(method: str, level: str, query: str = "") -> S3Error:
    with pytest.raises(S3Error) as caught:
        find(method, level, query)
    return caught.value


def test_table_and_model_name_the_same_operations(model: dict[str, Any]) -> None:
    assert set(OPERATIONS) - BEYOND_THE_MODEL == set(model["operations"])


def test_every_row_says_what_the_model_says(model: dict[str, Any]) -> None:
    for name, described in model["operations"].items():
        row = OPERATIONS[name]
        path, _, fixed = described["http"]["requestUri"].partition("?")
        parameters, required = members(model, name, "querystring")
        fixed_names = {word.partition("=")[0] for word in fixed.split("&") if word}
        assert (row.method, row.level) == (described["http"]["method"], LEVELS[path]), name
        assert parameters | fixed_names == (row.takes | {row.subresource}) - {""}, name
        assert required <= set(row.needs) | {row.subresource}, name


def test_every_modelled_request_finds_its_own_row(model: dict[str, Any]) -> None:
    for name, described in model["operations"].items():
        row = OPERATIONS[name]
        if row.superseded:
            continue
        fixed = described["http"]["requestUri"].partition("?")[2]
        _, required = members(model, name, "querystring")
        _, headers = members(model, name, "header")
        words = [fixed, *(f"{word}=1" for word in sorted(required | set(row.needs) - {"list-type"}))]
        given = {header.replace("-", "_"): "x" for header in headers}
        assert find(row.method, row.level, "&".join(filter(None, words)), **given) is row, name


def test_what_is_built() -> None:
    files = {path.stem for path in OPERATIONS_ROOM.glob("[a-z]*.py")} - {"body", "exchange"}
    assert {function_name(row.name) for row in OPERATIONS.values() if row.built} == files
    assert all(":" in row.action for row in OPERATIONS.values())


@pytest.mark.parametrize("name", sorted(row.name for row in OPERATIONS.values() if not row.built))
def test_unbuilt_is_refused_by_name(name: str) -> None:
    refused = refusal(OPERATIONS[name])
    if name == "OptionsObject":
        assert (refused.status, refused.code) == (403, "AccessForbidden")
    else:
        assert (refused.status, refused.code) == (501, "NotImplemented")
        assert name in refused.message


@pytest.mark.parametrize(
    ("method", "level", "query", "name"),
    [
        ("PUT", OBJECT, "x-id=PutObject", "PutObject"),
        ("GET", OBJECT, "X-Amz-Algorithm=A&X-Amz-Credential=&X-Amz-Signature=s", "GetObject"),
        ("GET", OBJECT, "AWSAccessKeyId=k&Signature=s&Expires=1", "GetObject"),
        ("GET", OBJECT, "response-content-type=text%2Fplain&partNumber=1&versionId=null", "GetObject"),
        ("GET", OBJECT, "x-amz-checksum-mode=", "GetObject"),
        ("POST", OBJECT, "uploads", "CreateMultipartUpload"),
        ("POST", OBJECT, "uploads=", "CreateMultipartUpload"),
        ("POST", BUCKET, "delete=", "DeleteObjects"),
        ("GET", BUCKET, "versioning=", "GetBucketVersioning"),
        ("GET", BUCKET, "delimiter=&list-type=2&max-keys=1&prefix&start-after=", "ListObjectsV2"),
        ("GET", BUCKET, "prefix&max-keys=5", "ListObjects"),
        ("GET", BUCKET, "acl&unknown=1", "GetBucketAcl"),
        ("PUT", OBJECT, "partNumber=1&uploadId=u&x-id=UploadPart", "UploadPart"),
        ("GET", SERVICE, "max-directory-buckets=3", "ListDirectoryBuckets"),
        ("POST", BUCKET, "", "PostObject"),
        ("OPTIONS", OBJECT, "uploads", "OptionsObject"),
        ("OPTIONS", BUCKET, "whatever", "OptionsObject"),
    ],
)  # fmt: skip
def test_requests_of_real_clients(method: str, level: str, query: str, name: str) -> None:
    assert find(method, level, query).name == name


def test_copies_are_told_by_their_header() -> None:
    assert find("PUT", OBJECT, x_amz_copy_source="/b/k").name == "CopyObject"
    assert find("PUT", OBJECT, "uploadId=u&partNumber=1", x_amz_copy_source="/b/k").name == "UploadPartCopy"


@pytest.mark.parametrize("level", [BUCKET, OBJECT])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST", "HEAD"])
def test_unknown_subresource_never_falls_through(method: str, level: str) -> None:
    for query in ("nonsense", "nonsense=", "prefix=a&nonsense"):
        refused = error(method, level, query)
        assert (refused.status, refused.code) == (501, "NotImplemented")
        assert "nonsense" in refused.message


def test_subresource_of_another_level_or_method() -> None:
    assert error("PUT", OBJECT, "policy").status == 501
    refused = error("PUT", BUCKET, "location")
    assert (refused.status, refused.code, refused.headers) == (405, "MethodNotAllowed", {"allow": "GET"})
    assert error("HEAD", OBJECT, "uploadId=u").status == 405
    assert error("PATCH", OBJECT).status == 405
    assert error("DELETE", SERVICE).status == 405


@pytest.mark.parametrize(
    ("level", "subresource", "code"),
    [  # of ?versions: https://github.com/versity/versitygw/issues/1688; the two codes are in API_Error.html
        (OBJECT, "versions", "InvalidRequest"),
        (OBJECT, "logging", "NoLoggingStatusForKey"),
        (BUCKET, "torrent", "RequestTorrentOfBucketError"),
    ],
)
def test_subresources_of_the_wrong_thing(level: str, subresource: str, code: str) -> None:
    refused = error("GET", level, subresource)
    assert (refused.status, refused.code) == (400, code)
    assert error("PUT", level, subresource).status == 501


def test_two_subresources_contradict_each_other() -> None:
    refused = error("GET", BUCKET, "acl&policy")
    assert (refused.status, refused.code) == (400, "InvalidArgument")
    assert refused.message == "Conflicting query string parameters: acl, policy"
    backwards = error("GET", BUCKET, "policy&acl")
    assert (backwards.message, backwards.extra["ArgumentValue"]) == (refused.message, "acl")
    assert find("GET", BUCKET, "acl&acl=").name == "GetBucketAcl"


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("partNumber=1", "This operation does not accept partNumber without uploadId"),
        ("versionId=v", "This operation does not accept a version-id."),
    ],
)
def test_put_with_half_of_what_it_needs_is_no_plain_put(query: str, message: str) -> None:
    refused = error("PUT", OBJECT, query)
    assert (refused.status, refused.code, refused.message) == (400, "InvalidArgument", message)


def test_an_upload_cannot_be_put() -> None:
    refused = error("PUT", OBJECT, "uploadId=u")
    assert (refused.status, refused.code, refused.extra["ResourceType"]) == (405, "MethodNotAllowed", "UPLOAD")
    assert set(refused.headers["allow"].split(", ")) == {"DELETE", "GET", "POST"}


def test_list_type_is_two_or_absent() -> None:
    assert error("GET", BUCKET, "list-type=1").code == "InvalidArgument"
    assert error("GET", BUCKET, "list-type=").code == "InvalidArgument"
