"""Copies that take references while the last other one goes, and the collector is at it all the time (law 5).

Chains of copies, each hop racing with the end of its source: deleted, overwritten, its version removed. Between two
encrypted objects the key is wrapped anew and the content is shared; what is acknowledged is readable at once and stays
so, and at the end nothing is on the nodes that no version names.
"""

from __future__ import annotations

import hashlib
import os
import time
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

import psycopg
import pytest
from botocore.exceptions import ClientError

from tests.crash.shards import wait_until_empty
from tests.fix_store import MakeStore, Store

CHAINS = 4
HOPS = 4
BUSY_SECONDS = 3.0
WAIT_SECONDS = 30.0
SIZES = (1, 900, 70_000, 400_000)
SETTINGS = {"cache_bytes": "0", "collect_seconds": "0.02", "sse_c_over_http": "on"}
GONE = {"NoSuchKey", "NoSuchVersion", "PreconditionFailed"}
Options = dict[str, str]


def customer_key(letter: str, prefix: str = "") -> Options:
    """SSE-C; `prefix`: CopySource."""
    return {f"{prefix}SSECustomerAlgorithm": "AES256", f"{prefix}SSECustomerKey": letter * 32}


PLAIN: Options = {}
SCHEMES: list[Options] = [
    PLAIN,
    PLAIN,
    {"ServerSideEncryption": "AES256"},
    {"ServerSideEncryption": "aws:kms"},
    customer_key("a"),
    customer_key("b"),
]


@pytest.fixture(scope="module")
def eager(make_module_store: MakeStore) -> Store:
    return make_module_store(gates=2, gate_settings=SETTINGS, node_settings={"trash_seconds": "1"})


def as_source(scheme: Options) -> Options:
    """How the source of a copy is opened."""
    return {f"CopySource{name}": value for name, value in scheme.items() if name.startswith("SSE")}


def as_read(scheme: Options) -> Options:
    """How it is read."""
    return {name: value for name, value in scheme.items() if name.startswith("SSE")}


class Chains:
    """Makes chains of copies until time is up; `kept` is what each of them ended with."""

    def __init__(self, store: Store, bucket: str, number: int, threads: ThreadPoolExecutor) -> None:
        self.chances = Random(number)
        self.clients = [store.client(number % 2), store.client((number + 1) % 2)]
        self.bucket, self.number, self.threads = bucket, number, threads
        self.kept: list[tuple[str, Options, bytes]] = []
        self.hops = self.lost_races = 0

    def run(self, seconds: float) -> None:
        until, count = time.monotonic() + seconds, 0
        while time.monotonic() < until:
            self._chain(f"{self.number}/{count}")
            count += 1

    def _chain(self, name: str) -> None:
        body = self.chances.randbytes(self.chances.choice(SIZES))
        scheme = self.chances.choice(SCHEMES)
        key = f"{name}/0"
        made = self.clients[0].put_object(Bucket=self.bucket, Key=key, Body=body, **scheme)
        for hop in range(1, HOPS):
            ending = self.threads.submit(self._end, key, made, scheme)
            following = f"{name}/{hop}", self.chances.choice(SCHEMES)
            copied = self._copy(key, scheme, made, *following)
            ending.result()
            if copied is None:
                self.lost_races += 1
                return
            (key, scheme), made = following, copied
            assert self._read(key, scheme) == body, f"{key} is not what it was copied from"
            self.hops += 1
        self.kept.append((key, scheme, body))

    def _copy(self, key: str, scheme: Options, made: Any, target: str, into: Options) -> Any | None:
        source = {"Bucket": self.bucket, "Key": key}
        if "VersionId" in made:
            source["VersionId"] = made["VersionId"]
        etag = made.get("ETag") or made["CopyObjectResult"]["ETag"]
        named = {"CopySource": source, "CopySourceIfMatch": etag, **as_source(scheme)}
        where = {"Bucket": self.bucket, "Key": target}
        try:
            if self.chances.random() < 0.4:
                return self._copy_as_part(where, named, into)
            return self.clients[0].copy_object(**where, **named, **into)
        except ClientError as error:
            if error.response["Error"]["Code"] not in GONE:
                raise
            return None

    def _copy_as_part(self, where: Options, named: dict[str, Any], into: Options) -> Any:
        """The one part of an upload."""
        s3 = self.clients[0]
        upload = {**where, "UploadId": s3.create_multipart_upload(**where, **into)["UploadId"]}
        try:
            part = s3.upload_part_copy(**upload, PartNumber=1, **named, **as_read(into))["CopyPartResult"]
        except ClientError:
            s3.abort_multipart_upload(**upload)
            raise
        parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        return s3.complete_multipart_upload(**upload, MultipartUpload=parts, **as_read(into))

    def _end(self, key: str, made: Any, scheme: Options) -> None:
        """Takes away the source, a little later or at once."""
        time.sleep(self.chances.choice((0.0, 0.0, 0.005, 0.02)))
        where = {"Bucket": self.bucket, "Key": key}
        if "VersionId" in made:
            self.clients[1].delete_object(**where, VersionId=made["VersionId"])
        elif self.chances.random() < 0.5:
            self.clients[1].delete_object(**where)
        else:
            self.clients[1].put_object(**where, Body=b"other", **scheme)
            self.clients[1].delete_object(**where)

    def _read(self, key: str, scheme: Options) -> bytes:
        body: bytes = self.clients[1].get_object(Bucket=self.bucket, Key=key, **as_read(scheme))["Body"].read()
        return body


def wait_until_collected(store: Store) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    with psycopg.connect(store.cluster.database_url, autocommit=True) as rows:
        while rows.execute("SELECT FROM garbage LIMIT 1").fetchone():
            assert time.monotonic() < deadline, store.log_tails()
            time.sleep(0.1)


@pytest.mark.parametrize("versioned", [False, True])
def test_a_copy_keeps_what_it_copied(eager: Store, versioned: bool) -> None:
    bucket, s3 = f"copies-{versioned}".lower(), eager.client()
    s3.create_bucket(Bucket=bucket)
    if versioned:
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    with ThreadPoolExecutor(2 * CHAINS) as threads:
        chains = [Chains(eager, bucket, number, threads) for number in range(CHAINS)]
        for task in [threads.submit(chain.run, BUSY_SECONDS) for chain in chains]:
            task.result()
    kept = [row for chain in chains for row in chain.kept]
    print(f"{sum(chain.hops for chain in chains)} hops, {sum(chain.lost_races for chain in chains)} lost races")
    assert kept and sum(chain.lost_races for chain in chains)
    wait_until_collected(eager)
    time.sleep(1.5)  # the trash is emptied, too
    for key, scheme, body in kept:
        found = eager.client(1).get_object(Bucket=bucket, Key=key, **as_read(scheme))["Body"].read()
        assert hashlib.md5(found).digest() == hashlib.md5(body).digest(), key
    result = eager.admin("check", "--deep")
    assert result.returncode == 0, result.stdout
    listed = s3.get_paginator("list_object_versions").paginate(Bucket=bucket)
    for row in [row for page in listed for row in page.get("Versions", [])]:
        s3.delete_object(Bucket=bucket, Key=row["Key"], VersionId=row["VersionId"])
    s3.delete_bucket(Bucket=bucket)
    wait_until_empty(eager)


def test_content_that_many_copies_share_goes_with_the_last(eager: Store) -> None:
    """A multipart content and its parts, copied under other keys of encryption, deleted in any order."""
    s3, bucket = eager.client(), "shared"
    s3.create_bucket(Bucket=bucket)
    body = os.urandom((5 << 20) + 7)
    upload = {"Bucket": bucket, "Key": "0"}
    upload["UploadId"] = s3.create_multipart_upload(**upload, ServerSideEncryption="AES256")["UploadId"]
    parts = [
        {"PartNumber": number, "ETag": s3.upload_part(**upload, PartNumber=number, Body=piece)["ETag"]}
        for number, piece in enumerate((body[: 5 << 20], body[5 << 20 :]), 1)
    ]
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    schemes: list[Options] = [SCHEMES[2], *SCHEMES[2:]]
    for number, scheme in list(enumerate(schemes))[1:]:
        source = {"Bucket": bucket, "Key": str(number - 1)}
        more = as_source(schemes[number - 1])
        s3.copy_object(Bucket=bucket, Key=str(number), CopySource=source, **more, **scheme)
    order = list(range(len(schemes)))
    Random(len(order)).shuffle(order)
    while order:
        s3.delete_object(Bucket=bucket, Key=str(order.pop()))
        wait_until_collected(eager)
        for number in order:
            answer = s3.get_object(Bucket=bucket, Key=str(number), **as_read(schemes[number]))
            assert answer["Body"].read() == body, number
    s3.delete_bucket(Bucket=bucket)
    wait_until_empty(eager)
    eager.check()
