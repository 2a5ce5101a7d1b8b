"""What the other tests lean on: `admin check` sees each kind of harm, done by hand to a whole store, and what it costs.

Each test breaks something, sees it reported, and mends it: afterwards the store is clean again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
from botocore.exceptions import BotoCoreError, ClientError

from tests.crash.shards import ask_node
from tests.fix_store import MakeStore, Process, Store

BUCKET = "broken"
LARGE = os.urandom(7 << 20)
SMALL = os.urandom(9_000)


class Report(NamedTuple):
    """The exit status of `admin check`, and what it found by kind."""

    status: int
    found: dict[str, list[str]]


@pytest.fixture(scope="module")
def checked(make_module_store: MakeStore) -> Store:
    store = make_module_store(gate_settings={"cache_bytes": "0"})
    s3 = store.client()
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="large", Body=LARGE)
    s3.put_object(Bucket=BUCKET, Key="small", Body=SMALL)
    upload = {"Bucket": BUCKET, "Key": "parts"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    part = s3.upload_part(**upload, PartNumber=1, Body=SMALL)
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(**upload, MultipartUpload=parts)
    return store


@pytest.fixture(autouse=True)
def mended(checked: Store) -> Iterator[None]:
    yield
    for process in checked.processes():
        if not process.running:
            process.start()
    checked.wait_ready()
    assert check(checked, "--deep") == Report(0, {})


def check(store: Store, *options: str) -> Report:
    result = store.admin("check", "--json", *options)
    report = json.loads(result.stdout)
    kinds = {name: found["listed"] for name, found in report.items() if isinstance(found, dict) and found["count"]}
    return Report(result.returncode, kinds)


def first_shard(store: Store, key: str) -> tuple[str, Process, Path]:
    """The first shard of an object, its node, and that node's directory."""
    place = json.loads(store.admin("where", BUCKET, key, "--json").stdout)
    shard = place["parts"][0]["segments"][0]["shards"][0]
    for number, node in enumerate(store.nodes, 1):
        if f'"node_id": "{shard["node_id"]}"' in node.log_text():
            return shard["shard_id"], node, store.node_directory(number)
    raise AssertionError(f"no node says that it is {shard['node_id']}")


@contextmanager
def database(store: Store) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(store.cluster.database_url, autocommit=True) as connection:
        yield connection


def body(store: Store, key: str) -> bytes | None:
    """None when the gate does not hand it out; it must never be other bytes."""
    try:
        data: bytes = store.client().get_object(Bucket=BUCKET, Key=key)["Body"].read()
    except (ClientError, BotoCoreError):
        return None
    return data


def spoil(path: Path, find: bytes) -> Callable[[], None]:
    """Turn one bit of a file within these bytes; returns what turns it back."""
    at = path.read_bytes().index(find) + len(find) // 2

    def turn() -> None:
        with open(path, "r+b") as file:
            file.seek(at)
            old = file.read(1)[0]
            file.seek(at)
            file.write(bytes((old ^ 1,)))

    turn()
    return turn


def test_a_lost_shard_file(checked: Store) -> None:
    shard, node, directory = first_shard(checked, "large")
    node.stop()
    [path] = [found for found in directory.rglob(f"*{shard}*") if found.is_file()]
    hidden = directory.parent / "hidden"
    path.rename(hidden)
    node.start()
    checked.wait_ready()
    report = check(checked, "--deep")
    assert report.status == 1
    assert [shard in line for lines in report.found.values() for line in lines] == [True], report
    assert body(checked, "large") is None
    node.stop()
    hidden.rename(path)
    node.start()
    checked.wait_ready()
    assert body(checked, "large") == LARGE


@pytest.mark.parametrize(("key", "data"), [("small", SMALL), ("large", LARGE)])
def test_a_bit_that_turned(checked: Store, key: str, data: bytes) -> None:
    shard, node, directory = first_shard(checked, key)
    node.stop()
    sample = data[:64]
    [path] = [found for found in directory.rglob("*") if found.is_file() and sample in found.read_bytes()]
    turn_back = spoil(path, sample)
    node.start()
    checked.wait_ready()
    assert body(checked, key) is None
    report = check(checked, "--deep")
    assert (report.status, list(report.found)) == (1, ["corrupt"])
    assert [shard in line for line in report.found["corrupt"]] == [True]
    node.stop()
    turn_back()
    node.start()
    checked.wait_ready()
    assert body(checked, key) == data


def test_a_shard_in_the_trash_that_a_row_names(checked: Store) -> None:
    s3 = checked.client()
    s3.put_object(Bucket=BUCKET, Key="doomed", Body=b"doomed")
    shard, node, _ = first_shard(checked, "doomed")
    ask_node(checked, checked.node_sockets()[checked.nodes.index(node)], "DELETE", f"/shards/{shard}")
    report = check(checked)
    s3.delete_object(Bucket=BUCKET, Key="doomed")
    assert (report.status, list(report.found)) == (1, ["missing"])
    [line] = report.found["missing"]
    assert shard in line and "trash" in line


def test_a_lie_to_the_collector(checked: Store) -> None:
    """That contents which rows name are garbage. It asks, and does not believe it; check has nothing to report."""
    with database(checked) as rows:
        rows.execute(
            "INSERT INTO garbage (kind, content_id, part_count, layout_id, extents) "
            "SELECT 'content', content_id, part_count, layout_id, extents FROM object"
        )
        while rows.execute("SELECT 1 FROM garbage").fetchone():
            pass
    assert check(checked) == Report(0, {})


def test_an_object_row_that_is_gone(checked: Store) -> None:
    with database(checked) as rows:
        for table, column, key in (("object", "key", b"small"), ("content", "true", True), ("part", "true", True)):
            rows.execute(f"CREATE TABLE saved AS SELECT * FROM {table} WHERE {column} = %s", (key,))
            rows.execute(f"DELETE FROM {table} WHERE {column} = %s", (key,))
            report = check(checked)
            rows.execute(f"INSERT INTO {table} SELECT * FROM saved")
            rows.execute("DROP TABLE saved")
            if table == "object":
                # The gate that wrote it still runs: it might be a write under way.
                assert (report.status, list(report.found)) == (0, ["orphans_open"])
            else:
                assert (report.status, report.found.keys() >= {"broken_rows"}) == (1, True), report


def test_orphans_of_a_gate_that_has_ended(checked: Store) -> None:
    assert checked.worker is not None
    checked.worker.kill()
    checked.gates[0].stop()
    shard, *_ = first_shard(checked, "small")
    with database(checked) as rows:
        rows.execute("CREATE TABLE saved AS SELECT * FROM object WHERE key = 'small'")
        rows.execute("DELETE FROM object WHERE key = 'small'")
        assert list(check(checked).found) == ["being_swept"]
        rows.execute("UPDATE session SET closed_at = closed_at - interval '1 hour'")
        report = check(checked)
        rows.execute("INSERT INTO object SELECT * FROM saved")
        rows.execute("DROP TABLE saved")
    assert (report.status, list(report.found)) == (1, ["orphans"])
    assert [shard in line for line in report.found["orphans"]] == [True]


def test_a_node_that_does_not_answer(checked: Store) -> None:
    checked.nodes[3].kill()
    report = check(checked)
    assert (report.status, list(report.found)) == (1, ["unchecked"])
