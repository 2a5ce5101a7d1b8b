"""Memory does not grow with what is stored: large bodies up and down, alone and eight at once, compared by hash.

1 GiB here; with --long 10 GiB by the aws cli and the largest single PUT there is. The peaks asserted are those of
the whole life of each process, so the tests of this file share one store.
"""

from __future__ import annotations

import hashlib
import http.client
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from boto3.s3.transfer import TransferConfig

from tests.clients.programs import TOOLS, find_program
from tests.fix_store import MakeStore, Store
from tests.limits.streams import BLOCK_BYTES, Sink, Stream

MIB = 1 << 20
GIB = 1 << 30
GATE_PEAK_BYTES = 300 * MIB
NODE_PEAK_BYTES = 120 * MIB
BUCKET = "memory"
FORM_END = b"\r\n--b--\r\n"
AT_ONCE = 8
TRANSFER = TransferConfig(multipart_chunksize=16 * MIB, max_concurrency=8)
CLI_SECONDS = 3600


@pytest.fixture(scope="module")
def large(make_module_store: MakeStore) -> Store:
    """A store of this file's own, whose trash is soon emptied: what was compared needs no disk any more."""
    store = make_module_store(node_settings={"trash_seconds": "1"})
    store.client().create_bucket(Bucket=BUCKET)
    return store


@pytest.fixture(autouse=True)
def peaks_stay_low(large: Store, request: pytest.FixtureRequest) -> Iterator[None]:
    """Judges the peaks after each test, and deletes what it stored."""
    yield
    gates = [gate.peak_bytes() for gate in large.gates]
    nodes = [node.peak_bytes() for node in large.nodes]
    cpu = sum(gate.cpu_seconds() for gate in large.gates)
    figures = f"gates {[peak // MIB for peak in gates]}, chunkds {[peak // MIB for peak in nodes]} MiB"
    print(f"\n{request.node.name}: peaks of {figures}; gate cpu {cpu:.1f} s in all")
    client = large.client()
    for row in client.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        client.delete_object(Bucket=BUCKET, Key=row["Key"])
    assert max(gates) <= GATE_PEAK_BYTES and max(nodes) <= NODE_PEAK_BYTES, figures


def put_single(store: Store, key: str, size: int, seed: int) -> str:
    """One PUT, unsigned payload, its body made while it is sent. Returns the digest."""
    signer = store.client(signature_version="s3v4")
    url = urlsplit(signer.generate_presigned_url("put_object", Params={"Bucket": BUCKET, "Key": key}))
    stream = Stream(size, seed)
    connection = http.client.HTTPConnection(url.netloc, timeout=300)
    connection.request("PUT", f"{url.path}?{url.query}", body=iter(stream), headers={"Content-Length": str(size)})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    assert answer.status == 200, body
    return stream.digest


def put_form(store: Store, key: str, size: int, seed: int) -> str:
    """A browser's form, whose length the gate does not know. Returns the digest."""
    post = store.client(signature_version="s3v4").generate_presigned_post(BUCKET, key)
    parts = [
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in post["fields"].items()
    ]
    head = "".join([*parts, '--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n']).encode()
    stream = Stream(size, seed)
    length = len(head) + size + len(FORM_END)
    headers = {"Content-Type": "multipart/form-data; boundary=b", "Content-Length": str(length)}
    connection = http.client.HTTPConnection(urlsplit(post["url"]).netloc, timeout=300)
    connection.request("POST", urlsplit(post["url"]).path, body=chain([head], stream, [FORM_END]), headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    assert answer.status == 204, body
    return stream.digest


def put_parts(store: Store, key: str, size: int, seed: int) -> str:
    """A multipart upload by boto3's threads. Returns the digest."""
    stream = Stream(size, seed)
    store.client().upload_fileobj(stream, BUCKET, key, Config=TRANSFER)
    return stream.digest


def get_single(store: Store, key: str) -> str:
    """The digest of one GET of everything."""
    sink = Sink()
    body: Any = store.client().get_object(Bucket=BUCKET, Key=key)["Body"]
    for data in body.iter_chunks(BLOCK_BYTES):
        sink.write(data)
    return sink.digest


def get_ranges(store: Store, key: str) -> str:
    """The digest of a download by boto3's threads, in ranges."""
    sink = Sink()
    store.client().download_fileobj(BUCKET, key, sink, Config=TRANSFER)
    return sink.digest


def test_multipart_by_threads(large: Store) -> None:
    digest = put_parts(large, "parts", GIB, 1)
    assert get_ranges(large, "parts") == digest


def test_one_put_and_one_get(large: Store) -> None:
    digest = put_single(large, "single", GIB, 2)
    assert get_single(large, "single") == digest


def test_eight_forms_at_once(large: Store) -> None:
    """They wait on the disk until they are complete."""
    size = GIB // 4 // AT_ONCE + 12_345
    with ThreadPoolExecutor(AT_ONCE) as pool:
        sent = list(pool.map(lambda number: put_form(large, f"f{number}", size, number), range(AT_ONCE)))
        assert [get_single(large, f"f{number}") for number in range(AT_ONCE)] == sent


def test_eight_at_once(large: Store) -> None:
    """Two of them single PUTs, six multipart with eight connections each."""
    eight_at_once(large, GIB // AT_ONCE + 12_345)


def test_eight_encrypted_ones_at_once(large: Store) -> None:
    """Sealed rows are beside the plain ones for a moment, and counted."""
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    large.client().put_bucket_encryption(Bucket=BUCKET, ServerSideEncryptionConfiguration={"Rules": [rule]})
    eight_at_once(large, GIB // 2 // AT_ONCE + 12_345)
    assert large.client().head_object(Bucket=BUCKET, Key="k0")["ServerSideEncryption"] == "AES256"
    large.client().delete_bucket_encryption(Bucket=BUCKET)


def eight_at_once(large: Store, size: int) -> None:
    puts = [put_single, put_parts, put_parts, put_parts] * (AT_ONCE // 4)
    gets = [get_single, get_ranges, get_ranges, get_ranges] * (AT_ONCE // 4)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        sent = list(pool.map(lambda number: puts[number](large, f"k{number}", size, number), range(AT_ONCE)))
        found = list(pool.map(lambda number: gets[number](large, f"k{number}"), range(AT_ONCE)))
    assert found == sent


@pytest.mark.long
@pytest.mark.parametrize("program", ["/usr/bin/aws", str(TOOLS / "awscli" / "bin" / "aws")], ids=["v2", "v1"])
def test_ten_gibibytes_by_the_aws_cli(large: Store, tmp_path: Path, program: str) -> None:
    path = tmp_path / "large"
    stream = Stream(10 * GIB, 3)
    with open(path, "wb") as file:
        file.writelines(stream)
    run_cli(large, program, str(path), f"s3://{BUCKET}/ten")
    path.unlink()
    run_cli(large, program, f"s3://{BUCKET}/ten", str(path))
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    path.unlink()
    assert found == stream.digest


@pytest.mark.long
def test_the_largest_single_put(large: Store) -> None:
    digest = put_single(large, "five", 5 * GIB, 4)
    assert get_single(large, "five") == digest


@pytest.mark.long
def test_eight_large_ones_at_once(large: Store) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        sent = list(pool.map(lambda number: put_parts(large, f"k{number}", 2 * GIB, number), range(AT_ONCE)))
        found = list(pool.map(lambda number: get_ranges(large, f"k{number}"), range(AT_ONCE)))
    assert found == sent


def run_cli(store: Store, program: str, source: str, target: str) -> None:
    done = subprocess.run(
        [find_program(program), "--endpoint-url", store.endpoint, "s3", "cp", "--only-show-errors", source, target],
        env=store.client_environment(),
        capture_output=True,
        text=True,
        timeout=CLI_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
