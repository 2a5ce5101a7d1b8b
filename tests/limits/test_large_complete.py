"""A Complete of ten thousand parts: what it costs the gate, in CPU and not in time."""

from __future__ import annotations

import hashlib
from typing import Any

import psycopg

from tests.fix_store import MakeStore

PARTS = 10_000
PART_BYTES = 8 << 20
CPU_SECONDS = 1.0
ROWS = """
    INSERT INTO part (upload_id, part_number, part_id, size, etag, checksum, modified_at, layout_id, extents)
    SELECT %s, n, decode(md5('id' || n), 'hex'), %s, md5(n::text), 'CRC64NVME:FULL_OBJECT:AAAAAAAAAAA=', now(), 1,
           decode(md5('id' || n) || '00000001', 'hex')
    FROM generate_series(1, %s) AS n"""


def test_ten_thousand_parts_cost_less_than_a_second(make_store: MakeStore) -> None:
    store = make_store(worker=False)
    gate, s3 = store.gates[0], store.client(read_timeout=60)
    s3.create_bucket(Bucket="large")
    etags = [hashlib.md5(str(n).encode()).hexdigest() for n in range(1, PARTS + 1)]
    parts = [{"PartNumber": n, "ETag": etag} for n, etag in enumerate(etags, 1)]
    uploads: list[dict[str, Any]] = [{"Bucket": "large", "Key": key} for key in ("warm", "measured")]
    with psycopg.connect(store.cluster.database_url, autocommit=True) as rows:
        for upload in uploads:
            upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
            rows.execute(ROWS, (bytes.fromhex(upload["UploadId"]), PART_BYTES, PARTS))
        rows.execute("ANALYZE part")
    spent = []
    for upload in uploads:
        before = gate.cpu_seconds()
        s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
        spent.append(gate.cpu_seconds() - before)
    print(f"\n{spent} seconds of cpu")
    assert spent[1] < CPU_SECONDS
    assert s3.head_object(Bucket="large", Key="measured")["ContentLength"] == PARTS * PART_BYTES
