"""A real gate process: readiness, metrics, joining, stopping. What S3 says is tested elsewhere."""

from __future__ import annotations

import json
import time
import urllib.request
from typing import Any

import pytest


@pytest.fixture(scope="module")
def gate(make_module_store: Any) -> Any:
    """One gate and six nodes that may be stopped."""
    return make_module_store(gates=1, worker=False)


def fetch(gate: Any, path: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(gate.gates[0].endpoint + path, timeout=5) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_health_and_metrics(gate: Any) -> None:
    assert fetch(gate, "/-/live") == (200, b'{"live":true}')
    status, page = fetch(gate, "/-/ready")
    found = json.loads(page)
    assert (status, found["ready"], found["postgres"], found["nodes_up"]) == (200, True, True, 6)
    client = gate.client()
    client.create_bucket(Bucket="metered")
    client.put_object(Bucket="metered", Key="k", Body=b"hello")
    status, page = fetch(gate, "/-/metrics")
    assert status == 200
    assert b's3gate_requests_total{operation="PutObject",status="2xx"} 1\n' in page
    assert b's3gate_received_bytes_total{operation="PutObject"} 5\n' in page
    assert b"# TYPE s3gate_requests_total counter\n" in page
    assert page.count(b"# TYPE s3gate_requests_total ") == 1
    assert b"s3gate_nodes_up 6\n" in page
    assert b"s3gate_lent_bytes_total 0\n" in page
    assert b's3gate_catalog_batches_total{kind="commit"} 1\n' in page
    assert b's3gate_catalog_batched_total{kind="commit"} 1\n' in page
    assert fetch(gate, "/-/nonsense")[0] == 404


def test_sigterm_stops_in_time_and_closes_the_session(gate: Any) -> None:
    client = gate.client()
    client.create_bucket(Bucket="stays")  # leaves an idle connection
    client.put_object(Bucket="stays", Key="k", Body=b"hello")
    began = time.monotonic()
    gate.gates[0].stop()
    assert time.monotonic() - began < 3
    import psycopg

    with psycopg.connect(gate.cluster.database_url) as connection:
        row = connection.execute("SELECT count(*) FROM session WHERE kind = 'gate' AND closed_at IS NULL").fetchone()
    assert row == (0,)
    gate.gates[0].start()
    gate.wait_ready()
    assert client.get_object(Bucket="stays", Key="k")["Body"].read() == b"hello"
