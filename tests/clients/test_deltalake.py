"""Delta tables through Rust's object_store: committing to the log is a PUT with `If-None-Match: *`, its only lock."""

from __future__ import annotations

import threading

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from tests.clients.programs import Endpoint
from tests.fix_store import Store

WRITERS = 4
ROUNDS = 3
ROWS = 100


@pytest.fixture
def options(http: Endpoint) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": http.url,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": http.access_key,
        "AWS_SECRET_ACCESS_KEY": http.secret_key,
        "AWS_REGION": "us-east-1",
        "conditional_put": "etag",
    }


def rows(writer: int) -> pa.Table:
    return pa.table({"writer": [writer] * ROWS, "number": range(ROWS)})


def test_writers_at_once_lose_no_row(store: Store, options: dict[str, str], bucket: str) -> None:
    store.client().create_bucket(Bucket=bucket)
    place = f"s3://{bucket}/tables/t"
    write_deltalake(place, rows(-1), storage_options=options)
    failures: list[Exception] = []

    def write(writer: int) -> None:
        mine = options | {"AWS_ENDPOINT_URL": store.gates[writer % 2].endpoint}
        try:
            for _ in range(ROUNDS):
                write_deltalake(place, rows(writer), mode="append", storage_options=mine)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    table = DeltaTable(place, storage_options=options)
    assert table.version() == WRITERS * ROUNDS, "every commit has a number of its own"
    found = table.to_pyarrow_table()
    assert found.num_rows == ROWS * (1 + WRITERS * ROUNDS)
    assert DeltaTable(place, version=0, storage_options=options).to_pyarrow_table() == rows(-1)


def test_a_table_is_changed_and_cleaned_up(store: Store, options: dict[str, str], bucket: str) -> None:
    store.client().create_bucket(Bucket=bucket)
    place = f"s3://{bucket}/t"
    for writer in range(3):
        write_deltalake(place, rows(writer), mode="append", partition_by=["writer"], storage_options=options)
    table = DeltaTable(place, storage_options=options)
    table.delete("writer = 1 AND number >= 50")
    table.optimize.compact()
    table.create_checkpoint()
    gone = table.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)
    assert gone
    found = DeltaTable(place, storage_options=options).to_pyarrow_table()
    assert found.num_rows == 2 * ROWS + 50
    keys = {row["Key"] for row in store.client().list_objects_v2(Bucket=bucket)["Contents"]}
    assert not keys & {f"t/{path}" for path in gone}
