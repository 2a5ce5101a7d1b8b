"""Two lifecycle workers on one bucket, killed with -9 again and again: what is due goes, and nothing else.

Most of what they walk over are delete markers, which cost nothing to make: several pages of them.
"""

from __future__ import annotations

import time
from random import Random
from typing import Any

import psycopg

from tests.fix_store import MakeStore, Store

BUCKET = "walked"
KEYS = 1100
OBJECTS = 40
KILLS = 4
WAIT_SECONDS = 60.0
DAY = {"lifecycle_day_seconds": "1"}
RULES: Any = {
    "Rules": [
        {
            "ID": "ends",
            "Status": "Enabled",
            "Filter": {"Prefix": "ends/"},
            "Expiration": {"Days": 1},
            "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
        },
        {
            "ID": "markers",
            "Status": "Enabled",
            "Filter": {"Prefix": "ends/"},
            "Expiration": {"ExpiredObjectDeleteMarker": True},
        },
    ]
}


def fill(s3: Any) -> None:
    """Under both prefixes: keys with two versions, and many with two delete markers."""
    for prefix in ("ends/", "stays/"):
        for number in range(OBJECTS):
            for body in (b"first", b"second"):
                s3.put_object(Bucket=BUCKET, Key=f"{prefix}{number}", Body=body)
        keys = [{"Key": f"{prefix}m{number}"} for number in range(KEYS)]
        for first in (*range(0, KEYS, 1000), *range(0, KEYS, 1000)):
            answer = s3.delete_objects(Bucket=BUCKET, Delete={"Objects": keys[first : first + 1000]})
            assert "Errors" not in answer


def versions(s3: Any, prefix: str) -> list[tuple[str, str]]:
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=BUCKET, Prefix=prefix)
    rows = [row for page in pages for kind in ("Versions", "DeleteMarkers") for row in page.get(kind, [])]
    return sorted((row["Key"], row["VersionId"]) for row in rows)


def end_leases(store: Store) -> None:
    with psycopg.connect(store.cluster.database_url, autocommit=True) as connection:
        connection.execute("UPDATE lifecycle_progress SET leased_until = now()")


def test_workers_that_are_killed_end_what_is_due_and_nothing_else(make_store: MakeStore) -> None:
    store = make_store(gate_settings=DAY, node_settings={"trash_seconds": "1"})
    s3, chances = store.client(), Random(KEYS)
    s3.create_bucket(Bucket=BUCKET)
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    fill(s3)
    staying, ending = versions(s3, "stays/"), len(versions(s3, "ends/"))
    assert store.worker is not None
    workers = [store.worker, store.add_worker()]
    s3.put_bucket_lifecycle_configuration(Bucket=BUCKET, LifecycleConfiguration=RULES)
    killed_in_the_middle = 0
    for turn in range(KILLS):
        time.sleep(chances.uniform(0.1, 0.8))
        workers[turn % 2].kill()
        killed_in_the_middle += 0 < len(versions(s3, "ends/")) < ending
        end_leases(store)  # otherwise the page of the dead one waits
        workers[turn % 2].start()
    deadline = time.monotonic() + WAIT_SECONDS
    while left := versions(s3, "ends/"):
        assert time.monotonic() < deadline, f"{len(left)} are left: {left[:3]}\n{store.log_tails()}"
        end_leases(store)
        time.sleep(0.3)
    assert killed_in_the_middle
    assert versions(s3, "stays/") == staying
    assert not any("Traceback" in worker.log_text() for worker in workers), store.log_tails()
    assert len(s3.list_objects_v2(Bucket=BUCKET)["Contents"]) == OBJECTS
    store.check()
