"""Whatever a client sends to whichever operation, the answer is an S3Error or a success, and nothing leaks."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from s3gate.s3.errors import S3Error
from tests.operations.bench import Bench

CONDITIONS = ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since"]
CHECKSUMS = [f"x-amz-checksum-{name}" for name in ("algorithm", "type", "mode", "crc32")]
HEADERS = [*CONDITIONS, *CHECKSUMS, "range", "content-md5", "content-type", "expires", "x-amz-meta-a"]
HEADERS += ["x-amz-copy-source", "x-amz-copy-source-range", "x-amz-metadata-directive", "x-amz-storage-class"]
HEADERS += ["x-amz-sdk-checksum-algorithm", "x-amz-mp-object-size", "x-amz-website-redirect-location"]
PARAMETERS = ["uploads", "uploadId", "partNumber", "versionId", "delete", "versions", "location", "list-type"]
PARAMETERS += ["prefix", "delimiter", "marker", "max-keys", "start-after", "continuation-token", "key-marker"]
PARAMETERS += ["encoding-type", "max-uploads", "max-parts", "part-number-marker", "max-buckets"]
PARAMETERS += ["response-content-type"]
TARGETS = ("/", "/box", "/box/k", "/box/big", "/none-such", "/none-such/k")
BODIES = (
    b"",
    b"hello",
    b"<Delete><Object><Key>k</Key></Object></Delete>",
    b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>",
)
VALUES = st.one_of(
    st.sampled_from(["", "*", "1", "2", "-1", "CRC32", "COPY", "/box/k", "bytes=0-1", "null", "url", "AAAAAA=="]),
    st.text(st.characters(max_codepoint=255, exclude_categories=["Cc"]), max_size=12),
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(["GET", "HEAD", "PUT", "POST", "DELETE"]),
    target=st.sampled_from(TARGETS),
    query=st.dictionaries(st.sampled_from(PARAMETERS), VALUES, max_size=3),
    headers=st.dictionaries(st.sampled_from(HEADERS), VALUES, max_size=3),
    body=st.sampled_from(BODIES),
)
@pytest.mark.asyncio
async def test_only_s3_errors_escape(method: str, target: str, query: dict, headers: dict, body: bytes) -> None:
    bench = Bench()
    await bench.ask("PUT", "/box")
    await bench.put("/box/k")
    await bench.ask("POST", "/box/big?uploads")
    upload = next(iter(bench.catalog.uploads)).hex()
    pairs = [f"{name}={upload if name == 'uploadId' and not value else quote(value)}" for name, value in query.items()]
    try:
        await bench.ask(method, f"{target}?{'&'.join(pairs)}", body, headers)
    except S3Error as error:
        assert error.status < 500 or error.code == "NotImplemented"
    assert bench.budget.free == bench.budget.total
