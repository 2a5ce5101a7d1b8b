"""Random harm while versions are written, copied, removed and ended by rules, against a history that must explain them.

Buckets that are versioned, suspended, both in turn, and locked; days of two seconds, so that the lifecycle worker is
always at it, and leases of its walks that run out early. The seed is printed; S3GATE_TEST_SEED repeats a run's choices,
S3GATE_TEST_STEPS says how much harm is done, --long much more.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable
from random import Random
from typing import Any

import psycopg
import pytest
from botocore.exceptions import ClientError

from tests.crash.explained import KEPT, MARKER, Key, Listed, violations
from tests.crash.harm import GATE, NODE, SETTLE_SECONDS, Harm
from tests.crash.history import FAILURES
from tests.crash.shards import wait_until_empty, wait_until_swept
from tests.crash.version_writers import BUCKETS, LOCKED, MIXED, SUSPENDED, History, VersionWriter, list_key, where
from tests.fix_store import MakeStore, Store

WRITERS = 4
STEPS, STEPS_LONG = 8, 250
RULES: Any = {
    "Rules": [
        {
            "ID": "ends",
            "Status": "Enabled",
            "Filter": {"And": {"Prefix": "ends/", "Tags": [{"Key": "fate", "Value": "ends"}]}},
            "Expiration": {"Days": 1},
            "NoncurrentVersionExpiration": {"NoncurrentDays": 1, "NewerNoncurrentVersions": KEPT},
        },
        {
            "ID": "rest",
            "Status": "Enabled",
            "Filter": {"Prefix": "ends/"},
            "Expiration": {"ExpiredObjectDeleteMarker": True},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
        },
    ]
}
TABLES = ("object", "version", "upload", "part", "content", "garbage", "node_garbage")


def versioning(s3: Any, bucket: str, state: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": state})


def prepare(s3: Any, history: History) -> None:
    """The buckets and their rules; null versions from before versioning in those that are not always versioned."""
    first = VersionWriter(lambda: s3, history, 1, threading.Event())
    for bucket in BUCKETS:
        s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=bucket == LOCKED)
        keys = [key for key in history.keys if key.bucket == bucket]
        if bucket in (SUSPENDED, MIXED):
            for key in keys:
                first.put(key)
        if bucket != LOCKED:
            versioning(s3, bucket, "Enabled")
        for key in keys:
            first.put(key)
        s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration=RULES)
    versioning(s3, SUSPENDED, "Suspended")


def sql(store: Store, statement: str) -> list[Any]:
    with psycopg.connect(store.cluster.database_url, autocommit=True, connect_timeout=2) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def disturb(store: Store, chances: Random) -> None:
    """What is no kill: versioning is switched, and leases of lifecycle walks run out before their time."""
    try:
        versioning(store.client(chances.randrange(2)), MIXED, chances.choice(("Enabled", "Suspended")))
        sql(store, "UPDATE lifecycle_progress SET leased_until = now()")
    except (*FAILURES, psycopg.Error):
        return  # it has not come back yet


def harm_while_writing(store: Store, history: History, seed: int, steps: int) -> None:
    """Writers through both gates, while harm is done; they have ended when it returns."""
    stop = threading.Event()
    clients = [lambda gate=n % 2: store.client(gate, read_timeout=20, signature_version="s3v4") for n in range(WRITERS)]
    writers = [VersionWriter(clients[n], history, seed + n, stop) for n in range(WRITERS)]
    harm = Harm(store, Random(seed))
    harm.do_beside(writers, stop, steps, lambda: disturb(store, harm.chances))
    print(
        f"{harm.kills} kills, {history.acknowledged} changes acknowledged, {history.uncertain} requests failed, "
        f"{history.right} reads and lists right"
    )
    assert all(writer.ended for writer in writers), "a writer did not come to its end"
    assert history.acknowledged > steps, store.log_tails()


def patiently(ask: Callable[[], list[str]], seconds: float) -> list[str]:
    """What it finds to complain of, once there is nothing or time is up."""
    deadline = time.monotonic() + seconds
    while True:
        if not (wrong := ask()) or time.monotonic() > deadline:
            return wrong
        time.sleep(0.5)


def overdue(s3: Any, history: History) -> list[str]:
    """What the rules should have ended by now."""
    found = []
    for key in history.keys:
        if key.has_rules:
            ending = {made.etag for made in key.made if made.ends and not made.locked and made.etag != MARKER}
            staying = {made.etag for made in key.made if not made.ends or made.locked}
            rows = list_key(s3, key)
            late = [row for place, row in enumerate(rows) if place == 0 or place > KEPT]
            found += [f"{key.bucket}/{key.name}: {row}" for row in late if row.etag in ending - staying]
    return found


def wrong_at(s3: Any, key: Key) -> list[str]:
    """One key as the history explains it, every version of it read, and the newest without naming it."""
    rows = list_key(s3, key)
    wrong = violations(key, rows)
    objects = [row for row in rows if row.etag != MARKER]
    for row in objects:
        body = s3.get_object(**where(key), VersionId=row.version_id)["Body"].read()
        if hashlib.md5(body).hexdigest() not in {made.md5 for made in key.made if made.etag == row.etag}:
            wrong.append(f"{key.bucket}/{key.name}: {row} has other bytes")
    try:
        answer = s3.head_object(**where(key))
        current = [Listed(answer.get("VersionId", "null"), answer["ETag"].strip('"'))]
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
            raise
        current = []
    if current != (rows[:1] if rows and rows[0].etag != MARKER else []):
        wrong.append(f"{key.bucket}/{key.name}: {current} is read, {rows[:1]} is listed first")
    present = s3.list_objects_v2(Bucket=key.bucket, Prefix=key.name)["KeyCount"]
    return wrong if present == len(current) else [*wrong, f"{key.bucket}/{key.name}: listed {present} times"]


def remove_everything(store: Store, s3: Any, history: History) -> None:
    """Every version, locks first, and the buckets; then no row and no shard of them may be left."""
    sql(store, "UPDATE object SET retain_until = now() WHERE lock & 2 <> 0")  # as if a day had passed
    sql(store, "UPDATE version SET retain_until = now() WHERE lock & 2 <> 0")
    for bucket in BUCKETS:
        s3.delete_bucket_lifecycle(Bucket=bucket)
    for key in history.keys:
        for row in list_key(s3, key):
            named = {**where(key), "VersionId": row.version_id}
            if key.bucket == LOCKED and row.etag != MARKER:
                s3.put_object_legal_hold(**named, LegalHold={"Status": "OFF"})
            s3.delete_object(**named, **({"BypassGovernanceRetention": True} if key.bucket == LOCKED else {}))
    for bucket in BUCKETS:
        for upload in s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []):
            s3.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
        s3.delete_bucket(Bucket=bucket)
    wait_until_empty(store)

    def rows_left() -> list[str]:
        counts = {table: sql(store, f"SELECT count(*) FROM {table}")[0][0] for table in TABLES}
        return [f"{count} rows of {table}" for table, count in counts.items() if count]

    assert patiently(rows_left, SETTLE_SECONDS) == []


def test_versions_are_what_was_acknowledged(make_store: MakeStore, long: bool) -> None:
    seed = int(os.environ.get("S3GATE_TEST_SEED", time.time_ns() % 10**6))
    print(f"S3GATE_TEST_SEED={seed}")
    settings = {**GATE, "lifecycle_day_seconds": "2"}
    store = make_store(gates=2, own_postgres=True, gate_settings=settings, node_settings=NODE)
    s3 = store.client(signature_version="s3v4")
    history = History()
    prepare(s3, history)
    steps = int(os.environ.get("S3GATE_TEST_STEPS", STEPS_LONG if long else STEPS))
    harm_while_writing(store, history, seed, steps)
    assert patiently(lambda: overdue(s3, history), SETTLE_SECONDS) == []
    wait_until_swept(store)  # every session has ended: nothing can commit any more
    assert store.worker is not None
    store.worker.stop()
    for gate in store.gates:
        gate.start()
    store.wait_ready()
    for key in history.keys:
        history.wrong += wrong_at(s3, key)
    if history.wrong:
        pytest.fail("\n".join([f"seed {seed}", *history.wrong[:40], store.log_tails()]))
    store.worker.start()
    remove_everything(store, s3, history)
    store.check()
