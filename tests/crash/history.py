"""A record of what was acknowledged, and the writers that fill it while processes are killed.

Each key has one writer, so that its acknowledged writes have an order. A write that failed or was cut may have happened
or not, and may still happen for a while: its value is allowed from then on, until so much later that no gate can still
be at it. What was acknowledged last must be there unless such a write came after it. Every value is random bytes,
remembered by its SHA-256. A writer also reads its keys all the time: a read that ends well is right, or a violation.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

ABSENT = "absent"
PART_BYTES = 5 << 20
SIZES = (0, 1, 900, 4096, 70_000, 400_000, 3_200_000)
FAILURES = (ClientError, BotoCoreError, OSError)
UNCERTAIN_SECONDS = 60.0
"""Longer than a gate waits for Postgres, and Postgres for a lock, all waits added up."""


@dataclass
class Key:
    """What may be read at one key: the value acknowledged last, or that of a write whose end nobody saw."""

    name: str
    acknowledged: str = ABSENT
    uncertain: dict[str, float] = field(default_factory=dict)

    def allowed(self) -> set[str]:
        return {self.acknowledged, *self.uncertain}

    def settle(self, value: str) -> None:
        """A write was acknowledged. Earlier uncertain ones stay allowed for a while: they may commit after it."""
        self.acknowledged = value
        old = time.monotonic() - UNCERTAIN_SECONDS
        self.uncertain = {other: at for other, at in self.uncertain.items() if other != value and at > old}


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def status_of(error: Exception) -> int:
    """503 for whatever is no answer at all."""
    response = getattr(error, "response", None) or {}
    return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 503))


class Writer(threading.Thread):
    """Writes, overwrites, copies, deletes and uploads in parts at its own keys until `stop` is set."""

    def __init__(self, client: Callable[[], Any], bucket: str, seed: int, stop: threading.Event, keys: int) -> None:
        super().__init__(daemon=True)
        self.client, self.bucket, self.stop = client, bucket, stop
        self.chances = Random(seed)
        self.keys = [Key(f"w{seed}/{index}") for index in range(keys)]
        self.acknowledged = self.failed = self.reads = 0
        self.wrong: list[str] = ["the writer did not come to its end"]

    def run(self) -> None:
        self._write(self.client())
        del self.wrong[0]

    def _write(self, s3: Any) -> None:
        while not self.stop.is_set():
            try:
                self._step(s3, self.chances.choice(self.keys))
            except FAILURES as error:
                if status_of(error) < 500:
                    self.wrong.append(f"refused: {error}")
                self.failed += 1
                self.stop.wait(0.05)
                s3.close()
                s3 = self.client()

    def _step(self, s3: Any, key: Key) -> None:
        draw = self.chances.random()
        where = {"Bucket": self.bucket, "Key": key.name}
        if draw < 0.12:
            self._attempt(key, ABSENT, lambda: s3.delete_object(**where))
        elif draw < 0.20:
            self._upload(s3, key)
        elif draw < 0.35:
            self._copy(s3, self.chances.choice(self.keys), key)
        elif draw < 0.60:
            self._read(s3, key)
        else:
            body = self.chances.randbytes(self.chances.choice(SIZES))
            self._attempt(key, digest(body), lambda: s3.put_object(**where, Body=body))

    def _attempt(self, key: Key, value: str, write: Callable[[], Any]) -> None:
        key.uncertain[value] = time.monotonic()
        write()
        key.settle(value)
        self.acknowledged += 1

    def _read(self, s3: Any, key: Key) -> None:
        allowed = key.allowed()
        found = read(s3, self.bucket, key.name)
        self.reads += 1
        if found not in allowed:
            self.wrong.append(f"{key.name}: read {found[:12]}, acknowledged {key.acknowledged[:12]}")

    def _copy(self, s3: Any, source: Key, target: Key) -> None:
        """Of what was read just before, by its ETag; then the source goes, and the copy must not."""
        if source is target:
            return
        try:
            answer = s3.get_object(Bucket=self.bucket, Key=source.name)
            value, etag = digest(answer["Body"].read()), answer["ETag"]
        except s3.exceptions.NoSuchKey:
            return
        copied = {"CopySource": {"Bucket": self.bucket, "Key": source.name}, "CopySourceIfMatch": etag}
        where = {"Bucket": self.bucket, "Key": target.name}
        try:
            self._attempt(target, value, lambda: s3.copy_object(**where, **copied))
        except ClientError as error:
            # An earlier write of the source, whose end nobody saw, came between.
            if status_of(error) not in (404, 409, 412) or not source.uncertain:
                raise
            return
        self._attempt(source, ABSENT, lambda: s3.delete_object(Bucket=self.bucket, Key=source.name))

    def _upload(self, s3: Any, key: Key) -> None:
        where = {"Bucket": self.bucket, "Key": key.name}
        upload = {**where, "UploadId": s3.create_multipart_upload(**where)["UploadId"]}
        pieces = [self.chances.randbytes(PART_BYTES), self.chances.randbytes(self.chances.randrange(1, 100_000))]
        parts = []
        for number, piece in enumerate(pieces, 1):
            etag = s3.upload_part(**upload, PartNumber=number, Body=piece)["ETag"]
            parts.append({"PartNumber": number, "ETag": etag})
        listed = {"Parts": parts}
        self._attempt(
            key, digest(b"".join(pieces)), lambda: s3.complete_multipart_upload(**upload, MultipartUpload=listed)
        )


def read(s3: Any, bucket: str, key: str) -> str:
    """The digest of what is there now, or ABSENT. Raises when the store cannot answer."""
    try:
        return digest(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchKey":
            return ABSENT
        raise


def violations(s3: Any, bucket: str, writers: list[Writer]) -> list[str]:
    """What is not as it was acknowledged, a line each; also compares the listing with what can be read."""
    wrong, present = [line for writer in writers for line in writer.wrong], set()
    for writer in writers:
        for key in writer.keys:
            found = read(s3, bucket, key.name)
            if found not in key.allowed():
                wrong.append(f"{key.name}: read {found[:12]}, acknowledged {key.acknowledged[:12]}")
            if found != ABSENT:
                present.add(key.name)
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="w")
    listed = {row["Key"] for page in pages for row in page.get("Contents", [])}
    if listed != present:
        wrong.append(f"listed and read differ: {sorted(listed ^ present)[:10]}")
    return wrong
