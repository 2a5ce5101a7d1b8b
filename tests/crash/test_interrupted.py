"""Uploads that are interrupted: by their client, by each other, by the death of a gate, a node or Postgres."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from tests.crash.shards import wait_until_empty
from tests.crash.slow import SlowRequest
from tests.fix_store import MakeStore, Process, Store

BUCKET = "interrupted"
PART = 5 << 20
SETTLE_SECONDS = 30.0
SETTINGS = {"cache_bytes": "0", "session_timeout_seconds": "3"}


@pytest.fixture(scope="module")
def broken(make_module_store: MakeStore) -> Store:
    """A store of this file's own, whose processes are killed and started again."""
    store = make_module_store(gates=2, own_postgres=True, gate_settings=SETTINGS)
    store.client().create_bucket(Bucket=BUCKET)
    return store


@pytest.fixture(autouse=True)
def ends_clean(broken: Store) -> Iterator[None]:
    """Each test ends with every process up and rows and shards in agreement."""
    yield
    for process in broken.processes():
        if not process.running:
            process.start()
    broken.wait_ready()
    broken.check()


def start_upload(s3: Any, key: str) -> dict[str, str]:
    where = {"Bucket": BUCKET, "Key": key}
    return {**where, "UploadId": s3.create_multipart_upload(**where)["UploadId"]}


def send_part(s3: Any, upload: dict[str, str], number: int, body: bytes) -> dict[str, Any]:
    return {"PartNumber": number, "ETag": s3.upload_part(**upload, PartNumber=number, Body=body)["ETag"]}


def read(s3: Any, key: str) -> bytes:
    body: bytes = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    return body


def patiently(action: Callable[[], Any]) -> Any:
    """As a client that retries: until the store is back."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        try:
            return action()
        except (ClientError, BotoCoreError, OSError) as error:
            status = getattr(error, "response", {}).get("ResponseMetadata", {}).get("HTTPStatusCode", 503)
            if status < 500 or time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def code(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def test_another_client_resumes_through_another_gate(broken: Store) -> None:
    pieces = [os.urandom(PART), os.urandom(PART), os.urandom(1000)]
    first, second = broken.client(0), broken.client(1)
    upload = start_upload(first, "resumed")
    for number in (1, 2):
        send_part(first, upload, number, pieces[number - 1])
    slow = SlowRequest(broken, "upload_part", {**upload, "PartNumber": 3}, 1000)
    slow.send(pieces[2][:400])
    slow.vanish()
    found = second.list_multipart_uploads(Bucket=BUCKET, Prefix="resumed")["Uploads"]
    assert [row["UploadId"] for row in found] == [upload["UploadId"]]
    listed = second.list_parts(**upload)["Parts"]
    assert [row["PartNumber"] for row in listed] == [1, 2]
    parts = [{"PartNumber": row["PartNumber"], "ETag": row["ETag"]} for row in listed]
    parts.append(send_part(second, upload, 3, pieces[2]))
    second.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    assert read(first, "resumed") == b"".join(pieces)


def victim(store: Store, name: str) -> Process:
    assert store.postgres is not None
    return {"gate": store.gates[0], "node": store.nodes[2], "postgres": store.postgres}[name]


@pytest.mark.parametrize("name", ["gate", "node", "postgres"])
def test_death_in_the_middle_of_upload_part(broken: Store, name: str) -> None:
    s3 = broken.client(1)
    body, last = os.urandom(8 << 20), os.urandom(77)
    upload = start_upload(s3, f"part-{name}")
    slow = SlowRequest(broken, "upload_part", {**upload, "PartNumber": 1}, len(body))
    slow.send(body[: 6 << 20])
    victim(broken, name).kill()
    slow.send(body[6 << 20 :])
    victim(broken, name).start()
    answer = slow.answer()
    broken.wait_ready()
    listed = patiently(lambda: s3.list_parts(**upload)).get("Parts", [])
    if answer is not None and answer[0] == 200:
        assert [row["Size"] for row in listed] == [len(body)]
    parts = [patiently(lambda: send_part(s3, upload, 1, body)), patiently(lambda: send_part(s3, upload, 2, last))]
    patiently(lambda: s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts}))
    assert read(s3, f"part-{name}") == body + last


@pytest.mark.parametrize("name", ["gate", "node", "postgres"])
def test_death_in_the_middle_of_put_object(broken: Store, name: str) -> None:
    s3 = broken.client(1)
    old, new = os.urandom(100_000), os.urandom(8 << 20)
    key = f"put-{name}"
    s3.put_object(Bucket=BUCKET, Key=key, Body=old)
    slow = SlowRequest(broken, "put_object", {"Bucket": BUCKET, "Key": key}, len(new))
    slow.send(new[: 6 << 20])
    victim(broken, name).kill()
    slow.send(new[6 << 20 :])
    victim(broken, name).start()
    answer = slow.answer()
    broken.wait_ready()
    found = patiently(lambda: read(s3, key))
    if answer is not None and answer[0] == 200:
        assert found == new
    else:
        assert found in (old, new)
    patiently(lambda: s3.put_object(Bucket=BUCKET, Key=key, Body=new))
    assert read(s3, key) == new


@pytest.mark.parametrize("name", ["gate", "node", "postgres"])
@pytest.mark.parametrize("pause", [0.0, 0.002, 0.01])
def test_death_in_the_middle_of_complete(broken: Store, name: str, pause: float) -> None:
    s3 = broken.client(1)
    key, body = f"complete-{name}-{pause}", os.urandom(PART)
    upload = start_upload(s3, key)
    parts = {"Parts": [send_part(s3, upload, 1, body)]}
    outcome: list[str] = []

    def complete() -> None:
        try:
            broken.client(0).complete_multipart_upload(**upload, MultipartUpload=parts)
            outcome.append("done")
        except (ClientError, BotoCoreError, OSError):
            outcome.append("failed")

    thread = threading.Thread(target=complete)
    thread.start()
    time.sleep(pause)
    victim(broken, name).kill()
    victim(broken, name).start()
    thread.join()
    broken.wait_ready()
    etag = patiently(lambda: s3.complete_multipart_upload(**upload, MultipartUpload=parts))["ETag"]
    assert s3.head_object(Bucket=BUCKET, Key=key)["ETag"] == etag
    assert read(s3, key) == body


def together(*actions: Callable[[], Any]) -> list[Any]:
    """Runs them at the same time; what each returned, or the error's code."""
    results: list[Any] = [None] * len(actions)
    gate = threading.Barrier(len(actions))

    def run(index: int, action: Callable[[], Any]) -> None:
        gate.wait()
        try:
            results[index] = action()
        except ClientError as error:
            results[index] = error.response["Error"]["Code"]

    threads = [threading.Thread(target=run, args=(i, action)) for i, action in enumerate(actions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_the_same_part_twice_at_once_and_with_other_content(broken: Store) -> None:
    clients = [broken.client(0), broken.client(1)]
    upload = start_upload(clients[0], "twice")
    bodies = [os.urandom(PART), os.urandom(PART), os.urandom(PART)]
    send_part(clients[0], upload, 1, bodies[0])
    sent = together(*(lambda i=i: send_part(clients[i], upload, 1, bodies[1 + i]) for i in (0, 1)))
    [listed] = clients[0].list_parts(**upload)["Parts"]
    winner = [row["ETag"] for row in sent].index(listed["ETag"])
    with pytest.raises(ClientError) as stale:
        clients[0].complete_multipart_upload(**upload, MultipartUpload={"Parts": [sent[1 - winner]]})
    assert code(stale) == "InvalidPart"
    clients[1].complete_multipart_upload(**upload, MultipartUpload={"Parts": [sent[winner]]})
    assert read(clients[0], "twice") == bodies[1 + winner]


def test_complete_twice_and_twice_at_once_has_one_answer(broken: Store) -> None:
    clients = [broken.client(0), broken.client(1)]
    upload = start_upload(clients[0], "once")
    body = os.urandom(PART)
    parts = {"Parts": [send_part(clients[0], upload, 1, body)]}
    answers = together(*(lambda c=c: c.complete_multipart_upload(**upload, MultipartUpload=parts) for c in clients))
    again = clients[0].complete_multipart_upload(**upload, MultipartUpload=parts)
    assert {answer["ETag"] for answer in answers} == {again["ETag"]}
    assert read(clients[1], "once") == body
    other = {"Parts": [{"PartNumber": 1, "ETag": '"00000000000000000000000000000000"'}]}
    with pytest.raises(ClientError) as different:
        clients[0].complete_multipart_upload(**upload, MultipartUpload=other)
    assert code(different) == "NoSuchUpload"


def test_complete_against_abort_has_one_winner(broken: Store) -> None:
    clients = [broken.client(0), broken.client(1)]
    for attempt in range(6):
        key, body = f"against-{attempt}", os.urandom(1000 + attempt)
        upload = start_upload(clients[0], key)
        parts = {"Parts": [send_part(clients[0], upload, 1, body)]}
        completed, aborted = together(
            lambda upload=upload, parts=parts: clients[0].complete_multipart_upload(**upload, MultipartUpload=parts),
            lambda upload=upload: clients[1].abort_multipart_upload(**upload),
        )
        if completed == "NoSuchUpload":
            assert isinstance(aborted, dict)
            with pytest.raises(ClientError) as missing:
                read(clients[1], key)
            assert code(missing) == "NoSuchKey"
        else:
            assert completed["ETag"] and read(clients[1], key) == body


def test_an_upload_nobody_finishes_is_expired(make_store: MakeStore) -> None:
    store = make_store(gate_settings={"upload_expiry_seconds": "2"}, node_settings={"trash_seconds": "1"})
    s3 = store.client()
    s3.create_bucket(Bucket=BUCKET)
    upload = start_upload(s3, "forgotten")
    send_part(s3, upload, 1, os.urandom(PART))
    wait_until_empty(store)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=BUCKET)
    with pytest.raises(ClientError) as gone:
        s3.list_parts(**upload)
    assert code(gone) == "NoSuchUpload"
    s3.delete_bucket(Bucket=BUCKET)
    store.check()


def test_a_write_that_fails_leaves_nothing(make_store: MakeStore) -> None:
    store = make_store(gate_settings={"session_timeout_seconds": "3"})
    s3 = store.client()
    s3.create_bucket(Bucket=BUCKET)
    where = {"Bucket": BUCKET, "Key": "never"}
    for size in (1000, 500_000, 9 << 20):
        half = SlowRequest(store, "put_object", where, size)
        half.send(os.urandom(size // 2))
        half.vanish()
        body = os.urandom(size)
        for wrong in ({"ChecksumSHA256": "A" * 43 + "="}, {"ContentMD5": "A" * 22 + "=="}):
            with pytest.raises(ClientError) as bad:
                s3.put_object(**where, Body=body, **wrong)
            assert code(bad) == "BadDigest"
    with pytest.raises(ClientError) as missing:
        s3.get_object(**where)
    assert code(missing) == "NoSuchKey"
    wait_until_empty(store)
    store.check()


def test_the_orphans_of_a_dead_gate_are_swept_and_a_slow_upload_is_not(make_store: MakeStore) -> None:
    store = make_store(gates=2, gate_settings=SETTINGS)
    s3 = store.client(1)
    s3.create_bucket(Bucket=BUCKET)
    body = os.urandom(9 << 20)
    slow = SlowRequest(store, "put_object", {"Bucket": BUCKET, "Key": "slow"}, len(body), gate=1)
    slow.send(body[: 7 << 20])
    doomed = SlowRequest(store, "put_object", {"Bucket": BUCKET, "Key": "doomed"}, len(body), gate=0)
    doomed.send(body[: 7 << 20])
    time.sleep(0.5)
    store.gates[0].kill()
    time.sleep(5)
    slow.send(body[7 << 20 :])
    answer = slow.answer()
    assert answer is not None and answer[0] == 200
    assert read(s3, "slow") == body
    s3.delete_object(Bucket=BUCKET, Key="slow")
    wait_until_empty(store)
    store.gates[0].start()
    store.wait_ready()
    store.check()
