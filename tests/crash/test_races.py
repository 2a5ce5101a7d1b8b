"""Requests that race: reads against what deletes and collects, DeleteBucket against PUTs, a gate that is stopped."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from botocore.exceptions import BotoCoreError, ClientError

from tests.crash.shards import live_shards, wait_until_empty
from tests.crash.slow import SlowRead
from tests.fix_store import MakeStore, Store

BUCKET = "races"
MIB = 1 << 20
LARGE = 24 * MIB
SESSION_SECONDS = 3.0
SETTINGS = {"cache_bytes": "0", "collect_seconds": "0.05", "session_timeout_seconds": str(SESSION_SECONDS)}
BUSY_SECONDS = 5.0
WAIT_SECONDS = 30.0


@pytest.fixture(scope="module")
def racing(make_module_store: MakeStore) -> Store:
    """A store of this file's own: two gates, no cache, an eager collector."""
    store = make_module_store(gates=2, gate_settings=SETTINGS)
    store.client().create_bucket(Bucket=BUCKET)
    return store


@pytest.fixture(autouse=True)
def ends_clean(racing: Store) -> Iterator[None]:
    """Each test ends with rows and shards in agreement."""
    yield
    racing.wait_ready()
    racing.check()


def put_plain(s3: Any, key: str, body: bytes) -> None:
    s3.put_object(Bucket=BUCKET, Key=key, Body=body)


def put_in_parts(s3: Any, key: str, body: bytes, part_bytes: int = 5 * MIB) -> None:
    upload = {"Bucket": BUCKET, "Key": key}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    parts = []
    for number, start in enumerate(range(0, len(body), part_bytes), 1):
        etag = s3.upload_part(**upload, PartNumber=number, Body=body[start : start + part_bytes])["ETag"]
        parts.append({"PartNumber": number, "ETag": etag})
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})


def delete(s3: Any, key: str) -> None:
    s3.delete_object(Bucket=BUCKET, Key=key)


def overwrite(s3: Any, key: str) -> None:
    put_plain(s3, key, b"new")


def copy_over(s3: Any, key: str) -> None:
    put_plain(s3, "source", b"copied")
    s3.copy_object(Bucket=BUCKET, Key=key, CopySource={"Bucket": BUCKET, "Key": "source"})


@pytest.mark.parametrize(
    ("put", "end"), [(put_plain, delete), (put_in_parts, delete), (put_in_parts, overwrite), (put_plain, copy_over)]
)
def test_a_reader_outlives_what_it_reads(
    racing: Store, put: Callable[[Any, str, bytes], None], end: Callable[[Any, str], None]
) -> None:
    body = os.urandom(LARGE)
    put(racing.client(0), "read", body)
    before = set(live_shards(racing))
    reader = SlowRead(racing, BUCKET, "read", gate=0)
    start = reader.read(100_000)
    end(racing.client(1), "read")
    deadline = time.monotonic() + WAIT_SECONDS
    while len(before & set(live_shards(racing))) > 1:
        assert time.monotonic() < deadline, racing.log_tails()
        time.sleep(0.1)
    assert start + reader.read() == body
    delete(racing.client(0), "read")
    delete(racing.client(0), "source")
    wait_until_empty(racing)


def test_a_key_that_is_always_there_is_always_read_whole(racing: Store) -> None:
    """Overwritten all the time, in parts and plainly, through both gates, and collected at once."""
    bodies = [os.urandom(size) for size in (10, 100_000, 700_000, 6 * MIB, 4 * MIB)]
    put_plain(racing.client(0), "always", bodies[0])
    known = {hashlib.md5(body).hexdigest() for body in bodies}
    until = time.monotonic() + BUSY_SECONDS

    def write(gate: int) -> int:
        s3, done = racing.client(gate), 0
        while time.monotonic() < until:
            put_in_parts(s3, "always", bodies[3])
            for body in bodies:
                put_plain(s3, "always", body)
            done += 1
        return done

    def read(gate: int) -> int:
        s3, done = racing.client(gate), 0
        while time.monotonic() < until:
            found = hashlib.md5(s3.get_object(Bucket=BUCKET, Key="always")["Body"].read()).hexdigest()
            assert found in known
            done += 1
        return done

    with ThreadPoolExecutor(4) as threads:
        running = [threads.submit(act, gate) for act in (write, read) for gate in (0, 1)]
        assert min(task.result() for task in running) > 0
    delete(racing.client(0), "always")
    wait_until_empty(racing)


def test_delete_bucket_against_puts_through_two_gates(racing: Store) -> None:
    clients = [racing.client(0), racing.client(1)]
    outcomes = set()
    for attempt in range(25):
        bucket = {"Bucket": f"doomed-{attempt}"}
        clients[0].create_bucket(**bucket)
        for s3 in clients:  # so that both gates remember the bucket
            s3.list_objects_v2(**bucket)
        results = together(
            lambda bucket=bucket: clients[0].put_object(**bucket, Key="a", Body=b"a"),
            lambda bucket=bucket: clients[1].put_object(**bucket, Key="b", Body=b"b"),
            lambda bucket=bucket, s3=clients[attempt % 2]: s3.delete_bucket(**bucket),
        )
        stored = [key for key, result in zip("ab", results, strict=False) if isinstance(result, dict)]
        deleted = isinstance(results[2], dict)
        assert {result for result in results if isinstance(result, str)} <= {"NoSuchBucket", "BucketNotEmpty"}
        assert deleted == (not stored), results
        outcomes.add(deleted)
        if not deleted:
            listed = clients[0].list_objects_v2(**bucket)["Contents"]
            assert [row["Key"] for row in listed] == stored
            for key in stored:
                assert clients[1].get_object(**bucket, Key=key)["Body"].read() == key.encode()
                clients[0].delete_object(**bucket, Key=key)
            clients[0].delete_bucket(**bucket)
    wait_until_empty(racing)


def together(*actions: Callable[[], Any]) -> list[Any]:
    """Runs them at the same time; what each returned, or the error's code."""
    start = threading.Barrier(len(actions))

    def run(action: Callable[[], Any]) -> Any:
        start.wait()
        try:
            return action()
        except ClientError as error:
            return str(error.response["Error"]["Code"])

    with ThreadPoolExecutor(len(actions)) as threads:
        return list(threads.map(run, actions))


def test_a_gate_stopped_in_its_commits_for_longer_than_its_session_lives(racing: Store) -> None:
    """What it acknowledged stands; what it was at is refused or done; afterwards it goes on under a new session."""
    stop, acknowledged, refused = threading.Event(), dict[str, bytes](), list[str]()

    def write(number: int) -> None:
        s3, count = racing.client(0, read_timeout=20), 0
        while not stop.wait(0.01):
            key, body = f"stopped/{number}/{count}", os.urandom(500 if count % 8 else 400_000)
            count += 1
            try:
                put_plain(s3, key, body)
                acknowledged[key] = body
            except (ClientError, BotoCoreError) as error:
                refused.append(str(error))

    other = racing.client(1)
    with ThreadPoolExecutor(6) as threads:
        running = [threads.submit(write, number) for number in range(6)]
        try:
            time.sleep(0.7)
            racing.gates[0].pause()
            time.sleep(0.3)
            before = len(acknowledged)
            wait_until_closed_and_swept(racing)
            put_plain(other, "stopped/other", b"meanwhile")
            racing.gates[0].resume()
            deadline = time.monotonic() + WAIT_SECONDS
            while len(acknowledged) < before + 50:
                assert time.monotonic() < deadline, f"{len(acknowledged)}, {refused[-3:]}\n{racing.log_tails()}"
                time.sleep(0.1)
        finally:
            stop.set()
            racing.gates[0].resume()
        for task in running:
            task.result()
    racing.check()
    pages = other.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix="stopped/")
    listed = {row["Key"] for page in pages for row in page["Contents"]}
    assert acknowledged.keys() <= listed
    assert len(listed) <= len(acknowledged) + len(refused) + 1
    for key, body in acknowledged.items():
        assert other.get_object(Bucket=BUCKET, Key=key)["Body"].read() == body, key
    for key in listed:
        delete(other, key)
    assert all("ServiceUnavailable" in line or "timeout" in line for line in refused), refused
    wait_until_empty(racing)


def wait_until_closed_and_swept(store: Store) -> None:
    """Until the worker has closed a gate's session and has looked for orphans of it."""
    assert store.worker is not None
    with psycopg.connect(store.cluster.database_url, autocommit=True) as rows:
        deadline = time.monotonic() + WAIT_SECONDS
        while not rows.execute("SELECT 1 FROM session WHERE kind = 'gate' AND closed_at IS NOT NULL").fetchone():
            assert time.monotonic() < deadline, store.log_tails()
            time.sleep(0.1)
    # A worker sweeps when it starts, and after that only now and then.
    store.worker.restart()
    time.sleep(2.0)


def test_nodes_that_restart_in_the_middle_of_reads(racing: Store) -> None:
    """A read that ends well is whole; one that cannot go on breaks off, and never ends short."""
    bodies = {f"restart/{size}": os.urandom(size) for size in (3_000, 300_000, LARGE)}
    for key, body in bodies.items():
        put_plain(racing.client(0), key, body)
    until = time.monotonic() + BUSY_SECONDS
    slow = SlowRead(racing, BUCKET, f"restart/{LARGE}", gate=1)
    start = slow.read(100_000)

    def read(gate: int) -> int:
        s3, done = racing.client(gate), 0
        while time.monotonic() < until:
            for key, body in bodies.items():
                try:
                    assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == body, key
                except (ClientError, BotoCoreError):
                    continue
                done += 1
        return done

    with ThreadPoolExecutor(2) as threads:
        running = [threads.submit(read, gate) for gate in (0, 1)]
        turn = 0
        while time.monotonic() < until:
            racing.nodes[turn % len(racing.nodes)].restart()
            turn += 1
            time.sleep(1.0)
        whole = sum(task.result() for task in running)
    assert whole > 0, racing.log_tails()
    assert start + slow.read() == bodies[f"restart/{LARGE}"]
    for key in bodies:
        delete(racing.client(0), key)
    wait_until_empty(racing)
