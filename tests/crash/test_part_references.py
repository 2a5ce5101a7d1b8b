"""UploadPartCopy of something whole moves no byte, and what is shared so goes with the last who has it (law 5).

Against the clock: sources are deleted while parts refer to them, uploads are aborted or completed, gate, worker and
Postgres' connections are killed. What was completed reads as it should, and in the end nothing is left on the nodes.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import threading
import time
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import BotoCoreError, ClientError

from tests.clients.programs import TOOLS
from tests.crash.harm import CUT
from tests.crash.shards import live_shards, wait_until_empty, wait_until_swept
from tests.fix_store import MakeStore, Store

MIB = 1 << 20
PART_BYTES = 8 * MIB
SIZES = (1, 1000, 70_000, 400_000)
BUSY_SECONDS = 8.0
SETTINGS = {"cache_bytes": "0", "collect_seconds": "0.05", "session_timeout_seconds": "3"}
TABLES = ("object", "version", "upload", "part", "content", "garbage", "node_garbage")


@pytest.fixture(scope="module")
def eager(make_module_store: MakeStore) -> Store:
    return make_module_store(gates=2, gate_settings=SETTINGS, node_settings={"trash_seconds": "1"})


@pytest.mark.parametrize(("program", "size"), [(str(TOOLS / "awscli" / "bin" / "aws"), 100), ("/usr/bin/aws", 20)])
def test_the_aws_cli_copies_in_parts_without_a_byte_written(
    eager: Store, tmp_path: Path, program: str, size: int
) -> None:
    if not Path(program).exists():
        pytest.skip(f"{program} is not here")

    def aws(*arguments: str | Path) -> None:
        command = [program, "--endpoint-url", eager.endpoint, *map(str, arguments)]
        subprocess.run(command, env=eager.client_environment(), check=True, capture_output=True, timeout=120)

    file, back, bucket = tmp_path / "file", tmp_path / "back", "large"
    file.write_bytes(os.urandom(size * MIB))
    aws("s3", "mb", f"s3://{bucket}")
    aws("s3", "cp", file, f"s3://{bucket}/a")
    before = live_shards(eager)
    aws("s3", "cp", f"s3://{bucket}/a", f"s3://{bucket}/b")
    aws("s3", "mv", f"s3://{bucket}/a", f"s3://{bucket}/c")
    aws("s3", "rm", f"s3://{bucket}/b")
    with psycopg.connect(eager.cluster.database_url) as rows:
        references = rows.execute("SELECT FROM part WHERE source_id IS NOT NULL").fetchall()
    assert len(references) >= size // 8 and sorted(live_shards(eager)) == sorted(before)
    aws("s3", "cp", f"s3://{bucket}/c", back)
    assert back.read_bytes() == file.read_bytes()
    result = eager.admin("check", "--deep")
    assert result.returncode == 0, result.stdout
    aws("s3", "rb", "--force", f"s3://{bucket}")
    wait_until_empty(eager)


def test_boto3_copies_in_parts_without_a_byte_written(eager: Store) -> None:
    s3, bucket, body = eager.client(), "managed", os.urandom(2 * PART_BYTES + 5)
    s3.create_bucket(Bucket=bucket)
    upload = {"Bucket": bucket, "Key": "a"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    parts = []
    for number, start in enumerate(range(0, len(body), PART_BYTES), 1):
        piece = s3.upload_part(**upload, PartNumber=number, Body=body[start : start + PART_BYTES])
        parts.append({"PartNumber": number, "ETag": piece["ETag"]})
    done = s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    before = live_shards(eager)
    config = TransferConfig(multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES)
    s3.copy({"Bucket": bucket, "Key": "a"}, bucket, "b", Config=config)
    assert sorted(live_shards(eager)) == sorted(before)
    assert s3.head_object(Bucket=bucket, Key="b")["ETag"] == done["ETag"]
    s3.delete_object(Bucket=bucket, Key="a")
    assert (
        s3.get_object(Bucket=bucket, Key="b", Range=f"bytes={PART_BYTES - 5}-")["Body"].read() == body[PART_BYTES - 5 :]
    )
    s3.delete_object(Bucket=bucket, Key="b")
    s3.delete_bucket(Bucket=bucket)
    wait_until_empty(eager)


class Assembler:
    """Makes objects of parts of other objects and of its own, and deletes, against others that do the same.

    Every key is only ever written by one of them, who knows what it must read as.
    """

    def __init__(self, store: Store, bucket: str, number: int) -> None:
        self.store, self.bucket, self.number = store, bucket, number
        self.chances = Random(number)
        self.made: dict[str, bytes] = {}
        self.copied = self.count = 0

    def run(self, until: float, others: list[Assembler]) -> None:
        s3 = self.store.client(self.number % 2, read_timeout=10)
        while time.monotonic() < until:
            try:
                self._step(s3, self.chances.choice(others))
            except (ClientError, BotoCoreError):
                time.sleep(0.02)

    def _step(self, s3: Any, other: Assembler) -> None:
        if self.made and self.chances.random() < 0.3:
            key = self.chances.choice(sorted(self.made))
            del self.made[key]
            s3.delete_object(Bucket=self.bucket, Key=key)
            return
        self.count += 1
        key = f"{self.number}/{self.count}"
        source = self.chances.choice(sorted(other.made) or [""])
        body = other.made.get(source)
        if body is None or self.chances.random() < 0.2:
            body = self.chances.randbytes(self.chances.choice(SIZES))
            s3.put_object(Bucket=self.bucket, Key=key, Body=body)
        elif not self._assemble(s3, key, source, body):
            return
        self.made[key] = body

    def _assemble(self, s3: Any, key: str, source: str, body: bytes) -> bool:
        """Of one part, so that it may be small; sent twice now and then."""
        where = {"Bucket": self.bucket, "Key": key}
        where["UploadId"] = s3.create_multipart_upload(**where)["UploadId"]
        if self.chances.random() < 0.3:
            s3.upload_part(**where, PartNumber=self.chances.randrange(1, 3), Body=b"replaced or not listed")
        asked = {"CopySource": {"Bucket": self.bucket, "Key": source}, "PartNumber": 1}
        etag = s3.upload_part_copy(**where, **asked)["CopyPartResult"]["ETag"]
        assert etag.strip('"') == hashlib.md5(body).hexdigest()
        self.copied += 1
        if self.chances.random() < 0.2:
            s3.abort_multipart_upload(**where)
            return False
        s3.complete_multipart_upload(**where, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})
        return True


def test_references_while_processes_are_killed(make_store: MakeStore) -> None:
    store = make_store(gates=2, gate_settings=SETTINGS, node_settings={"trash_seconds": "1"}, own_postgres=True)
    bucket, chances = "killed", Random(5)
    store.client().create_bucket(Bucket=bucket)
    writers = [Assembler(store, bucket, number) for number in range(4)]
    until = time.monotonic() + BUSY_SECONDS
    threads = [threading.Thread(target=writer.run, args=(until, writers)) for writer in writers]
    for thread in threads:
        thread.start()
    assert store.worker is not None
    while time.monotonic() < until - 1:
        time.sleep(chances.uniform(0.3, 0.8))
        victim = chances.choice([store.gates[0], store.worker, store.worker, None])
        if victim is None:
            with psycopg.connect(store.cluster.database_url, autocommit=True) as rows:
                rows.execute(CUT)
        else:
            victim.kill()
            victim.start()
    for thread in threads:
        thread.join()
    store.wait_ready()
    s3 = store.client(1)
    print(f"{sum(writer.copied for writer in writers)} parts copied")
    assert sum(writer.copied for writer in writers) > 20
    for writer in writers:
        for key, body in writer.made.items():
            assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == body, key
    result = store.admin("check", "--deep")
    assert result.returncode == 0, result.stdout
    for row in [
        row for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket) for row in page["Contents"]
    ]:
        s3.delete_object(Bucket=bucket, Key=row["Key"])
    for row in s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []):
        s3.abort_multipart_upload(Bucket=bucket, Key=row["Key"], UploadId=row["UploadId"])
    s3.delete_bucket(Bucket=bucket)
    wait_until_swept(store)
    wait_until_empty(store)
    with psycopg.connect(store.cluster.database_url) as rows:
        for table in TABLES:
            assert rows.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table
