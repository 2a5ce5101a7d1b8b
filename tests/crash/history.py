"""A record of what was acknowledged, and the writers that fill it while processes are killed.

Each key has one writer, so that its acknowledged writes have an order. A write that failed or was cut may have happened
or not, and may still happen for a moment: its value is allowed from then on. What was acknowledged last must be there
unless such a write came after it. Every value is random bytes, remembered by its SHA-256.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

ABSENT = "absent"
PART_BYTES = 5 << 20
SIZES = (0, 1, 900, 4096, 70_000, 400_000, 3_200_000)
FAILURES = (ClientError, BotoCoreError, OSError)


@dataclass
class Key:
    """What may be read at one key: the value acknowledged last, or that of a write whose end nobody saw."""

    name: str
    acknowledged: str = ABSENT
    uncertain: set[str] = field(default_factory=set)
    writes: int = 0

    def allowed(self) -> set[str]:
        return {self.acknowledged} | self.uncertain


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


class Writer(threading.Thread):
    """Writes, overwrites, deletes and uploads in parts at its own keys until `stop` is set."""

    def __init__(self, client: Callable[[], Any], bucket: str, seed: int, stop: threading.Event, keys: int) -> None:
        super().__init__(daemon=True)
        self.client, self.bucket, self.stop = client, bucket, stop
        self.chances = Random(seed)
        self.keys = [Key(f"w{seed}/{index}") for index in range(keys)]
        self.acknowledged = self.failed = 0

    def run(self) -> None:
        s3 = self.client()
        while not self.stop.is_set():
            try:
                self._step(s3, self.chances.choice(self.keys))
            except FAILURES:
                self.failed += 1
                self.stop.wait(0.05)
                s3 = self.client()

    def _step(self, s3: Any, key: Key) -> None:
        draw = self.chances.random()
        if draw < 0.15:
            self._attempt(key, ABSENT, lambda: s3.delete_object(Bucket=self.bucket, Key=key.name))
        elif draw < 0.25:
            self._upload(s3, key)
        else:
            body = self.chances.randbytes(self.chances.choice(SIZES))
            self._attempt(key, digest(body), lambda: s3.put_object(Bucket=self.bucket, Key=key.name, Body=body))

    def _attempt(self, key: Key, value: str, write: Callable[[], Any]) -> None:
        key.writes += 1
        key.uncertain.add(value)
        write()
        # Earlier uncertain writes stay allowed: one whose connection was cut may commit a moment after this one.
        key.acknowledged = value
        key.uncertain.discard(value)
        self.acknowledged += 1

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
    wrong, present = [], set()
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
