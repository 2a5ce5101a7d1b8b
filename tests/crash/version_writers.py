"""Writers of versions, copies, markers and uploads that fill a history while processes are killed.

They share all keys of all buckets, remove versions, try to remove locked ones, and read and list what there is; a read
that ends well is right, or a violation. Keys under ENDS belong to the lifecycle rules: there they remove nothing.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from urllib.request import urlopen
from xml.etree import ElementTree

from botocore.exceptions import ClientError

from tests.crash.explained import ENDS, MARKER, NULL, Key, Listed, Made, Removed, violations
from tests.crash.history import FAILURES, PART_BYTES, status_of

ALWAYS, SUSPENDED, MIXED, LOCKED = "v-always", "v-suspended", "v-mixed", "v-locked"
BUCKETS = (ALWAYS, SUSPENDED, MIXED, LOCKED)
NAMES = ("k/0", "k/1", ENDS + "0", ENDS + "1")
SIZES = (0, 1, 900, 900, 4096, 70_000, 400_000)
NAMESPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"


@dataclass
class History:
    """Everything that was asked of every key, and what was seen to be wrong at once."""

    keys: list[Key] = field(
        default_factory=lambda: [Key(b, n, b in (SUSPENDED, MIXED), [], []) for b in BUCKETS for n in NAMES]
    )
    wrong: list[str] = field(default_factory=list)
    acknowledged: int = 0
    uncertain: int = 0
    right: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def snapshot(self, key: Key, begin: float, end: float) -> Key:
        """As a listing that was under way between the two may have met it."""
        with self.lock:
            made = [event for event in key.made if event.begin < end]
            removed = [event for event in key.removed if event.begin < end]
            return replace(
                key,
                made=[e if e.end < begin else replace(e, end=float("inf"), version_id=None) for e in made],
                removed=[e if e.end < begin else replace(e, end=float("inf")) for e in removed],
            )


def may_be_gone(key: Key, made: Made) -> bool:
    """Whether an acknowledged version may be there no more, for what has been asked until now."""
    if made.locked:
        return False
    if made.version_id == NULL:
        others = any(other is not made and other.version_id in (None, NULL) for other in key.made)
        return others or key.has_rules or bool(key.removals(NULL))
    return made.ends or bool(key.removals(str(made.version_id)))


def says_gone(error: ClientError, source: Key, made: Made) -> bool:
    """Whether a copy was refused because its source is gone, and that may be."""
    # A marker may be the null version by now, and cannot be copied: that is a 400.
    expected = (400, 404, 409, 412) if made.version_id == NULL else (404, 409)
    return status_of(error) in expected and may_be_gone(source, made)


def named_source(source: Key, made: Made) -> dict[str, Any]:
    """What is to be copied, as boto3 wants it."""
    version = {"Bucket": source.bucket, "Key": source.name, "VersionId": made.version_id}
    return {"CopySource": version, "CopySourceIfMatch": f'"{made.etag}"'}


class VersionWriter(threading.Thread):
    """Does one thing after the other until `stop` is set."""

    def __init__(self, client: Callable[[], Any], history: History, seed: int, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.client, self.history, self.stop = client, history, stop
        self.chances = Random(seed)
        self.s3 = client()
        self.ended = False
        self._acts: list[tuple[float, Callable[[Key], object]]] = [
            (0.28, self.put),
            (0.24, self._copy),
            (0.06, self._chain),
            (0.10, self._mark),
            (0.10, self._remove),
            (0.03, self._remove_many),
            (0.04, self._upload),
            (0.06, self._upload_copy),
            (0.11, self._read),
            (0.04, self._list),
        ]

    def run(self) -> None:
        weights, acts = zip(*self._acts, strict=True)
        while not self.stop.is_set():
            [act] = self.chances.choices(acts, weights)
            try:
                act(self.chances.choice(self.history.keys))
            except FAILURES as error:
                if status_of(error) < 500:
                    self.history.wrong.append(f"{act.__name__}: refused: {error}")
                self.history.uncertain += 1
                self.stop.wait(0.05)
                self.s3.close()
                self.s3 = self.client()
        self.ended = True

    # --- making versions

    def put(self, key: Key) -> Made:
        body = self.chances.randbytes(self.chances.choice(SIZES))
        md5 = hashlib.md5(body).hexdigest()
        return self._make(key, md5, md5, lambda more: self.s3.put_object(**where(key), Body=body, **more))

    def _mark(self, key: Key) -> None:
        event = Made(MARKER, time.monotonic())
        self._record(key, event, lambda: self.s3.delete_object(**where(key)))

    def _copy(self, key: Key) -> None:
        """Of any version that there is or was, in any bucket."""
        source = self.chances.choice(self.history.keys)
        if made := self._any(source, lambda event: event.etag != MARKER):
            self._copy_of(source, made, key)

    def _copy_of(self, source: Key, made: Made, key: Key) -> Made | None:
        """None if the source is gone, as it may be."""
        named = {**named_source(source, made), "TaggingDirective": "REPLACE"}
        try:
            return self._make(
                key, made.md5, made.md5, lambda more: self.s3.copy_object(**where(key), **{**named, **more})
            )
        except ClientError as error:
            if says_gone(error, source, made):
                return None
            raise

    def _chain(self, key: Key) -> None:
        """Put, copy it, remove what was put, copy the copy, remove that: the last one has the bytes."""
        made: Made | None = self.put(key)
        for _ in range(self.chances.randrange(1, 4)):
            following = self.chances.choice(self.history.keys)
            if made is None or (copy := self._copy_of(key, made, following)) is None:
                return
            if not key.has_rules:
                self._remove_one(key, made)
            key, made = following, copy

    def _upload(self, key: Key) -> None:
        pieces = [self.chances.randbytes(size) for size in (PART_BYTES, 70_000)[self.chances.randrange(2) :]]

        def send(part: dict[str, Any]) -> Any:
            return self.s3.upload_part(**part, Body=pieces[part["PartNumber"] - 1])

        md5s = [hashlib.md5(piece).hexdigest() for piece in pieces]
        self._complete(key, md5s, hashlib.md5(b"".join(pieces)).hexdigest(), send)

    def _upload_copy(self, key: Key) -> None:
        """A part that is a copy of a whole version: of plain ones only a reference."""
        source = self.chances.choice(self.history.keys)
        if (made := self._any(source, lambda event: event.etag != MARKER)) is None:
            return
        named = named_source(source, made)

        def send(part: dict[str, Any]) -> Any:
            return self.s3.upload_part_copy(**part, **named)["CopyPartResult"]

        try:
            self._complete(key, [made.md5], made.md5, send)
        except ClientError as error:
            if not says_gone(error, source, made):
                raise

    def _complete(self, key: Key, md5s: list[str], md5: str, send: Callable[[dict[str, Any]], Any]) -> None:
        etag = f"{hashlib.md5(bytes.fromhex(''.join(md5s))).hexdigest()}-{len(md5s)}"
        event, options = self._event(key, etag, md5)
        upload = {**where(key), "UploadId": self.s3.create_multipart_upload(**where(key), **options)["UploadId"]}
        try:
            parts = [
                {"PartNumber": number, "ETag": send({**upload, "PartNumber": number})["ETag"]}
                for number in range(1, len(md5s) + 1)
            ]
            event.begin = time.monotonic()
            listed = {"Parts": parts}
            self._record(key, event, lambda: self.s3.complete_multipart_upload(**upload, MultipartUpload=listed))
        except ClientError as error:
            if not (key.has_rules and error.response["Error"]["Code"] == "NoSuchUpload"):
                raise

    def _event(self, key: Key, etag: str, md5: str) -> tuple[Made, dict[str, Any]]:
        """A new version with tags, perhaps encrypted, perhaps locked; and what is to be asked for it."""
        ends = self.chances.random() < 0.7
        options: dict[str, Any] = {"Tagging": "fate=ends" if ends else "fate=stays"}
        if self.chances.random() < 0.3:
            options["ServerSideEncryption"] = "AES256"
        locked = key.bucket == LOCKED and self.chances.random() < 0.3
        if locked:
            options |= self._lock()
        return Made(etag, time.monotonic(), md5, ends, locked), options

    def _lock(self) -> dict[str, Any]:
        mode = self.chances.choice(("GOVERNANCE", "COMPLIANCE", "HOLD"))
        if mode == "HOLD":
            return {"ObjectLockLegalHoldStatus": "ON"}
        return {"ObjectLockMode": mode, "ObjectLockRetainUntilDate": datetime.now(UTC) + timedelta(days=1)}

    def _make(self, key: Key, etag: str, md5: str, write: Callable[[dict[str, Any]], Any]) -> Made:
        event, options = self._event(key, etag, md5)
        self._record(key, event, lambda: write(options))
        return event

    def _record(self, key: Key, event: Made, write: Callable[[], Any]) -> None:
        with self._recorded(key.made, event):
            event.version_id = write().get("VersionId", NULL)

    @contextmanager
    def _recorded(self, events: list[Any], event: Made | Removed) -> Iterator[None]:
        """In the history from before it begins; out of it again when it was refused."""
        with self.history.lock:
            events.append(event)
        try:
            yield
        except ClientError as error:
            if status_of(error) < 500:
                with self.history.lock:
                    events.remove(event)
            raise
        with self.history.lock:
            event.end = time.monotonic()
            self.history.acknowledged += 1

    # --- removing them

    def _any(self, key: Key, wanted: Callable[[Made], bool]) -> Made | None:
        """One of the latest acknowledged versions of a key."""
        with self.history.lock:
            found = [event for event in key.made if event.end < float("inf") and wanted(event)]
        return self.chances.choice(found[-12:]) if found else None

    def _remove(self, key: Key) -> None:
        if not key.has_rules and (made := self._any(key, lambda event: True)):
            self._remove_one(key, made)

    def _remove_one(self, key: Key, made: Made) -> None:
        """A locked version is refused."""
        version_id = str(made.version_id)
        event = Removed(version_id, time.monotonic())
        try:
            with self._recorded(key.removed, event):
                self.s3.delete_object(**where(key), VersionId=version_id)
        except ClientError as error:
            if not (made.locked and status_of(error) == 403):
                raise

    def _remove_many(self, key: Key) -> None:
        if key.has_rules:
            return
        with self.history.lock:
            latest = [made for made in key.made[-8:] if made.end < float("inf")]
            events = {str(made.version_id): Removed(str(made.version_id), time.monotonic()) for made in latest}
            key.removed.extend(events.values())
        if not events:
            return
        asked = {"Objects": [{"Key": key.name, "VersionId": version_id} for version_id in events]}
        answer = self.s3.delete_objects(Bucket=key.bucket, Delete=asked)
        with self.history.lock:
            for row in answer.get("Deleted", []):
                events[row["VersionId"]].end = time.monotonic()
            for row in answer.get("Errors", []):
                if row["Code"] == "AccessDenied":
                    key.removed.remove(events[row["VersionId"]])
                elif row["Code"] not in ("InternalError", "ServiceUnavailable", "OperationAborted"):
                    self.history.wrong.append(f"delete_objects: {row}")

    # --- looking

    def _read(self, key: Key) -> None:
        made = self._any(key, lambda event: event.etag != MARKER)
        if made is None:
            return
        try:
            answer = self.s3.get_object(**where(key), VersionId=made.version_id)
            found = hashlib.md5(answer["Body"].read()).hexdigest()
        except ClientError as error:
            if status_of(error) not in (404, 405) or not may_be_gone(key, made):
                raise
            return
        allowed = {event.md5 for event in list(key.made)} if made.version_id == NULL else {made.md5}
        self._judge([] if found in allowed else [f"{key.bucket}/{key.name}: read {found}, written {made}"])

    def _list(self, key: Key) -> None:
        begin = time.monotonic()
        rows, following = list_page(self.s3, key)
        if not following:
            self._judge(violations(self.history.snapshot(key, begin, time.monotonic()), rows))

    def _judge(self, wrong: list[str]) -> None:
        self.history.wrong.extend(wrong)
        self.history.right += not wrong


def where(key: Key) -> dict[str, str]:
    """The key, as boto3 wants it."""
    return {"Bucket": key.bucket, "Key": key.name}


def list_page(s3: Any, key: Key, **after: str) -> tuple[list[Listed], dict[str, str]]:
    """Versions and markers in the order in which they are listed, which boto3 loses; what to ask for the next page."""
    params = {"Bucket": key.bucket, "Prefix": key.name, **after}
    with urlopen(s3.generate_presigned_url("list_object_versions", Params=params), timeout=20) as answer:
        root = ElementTree.fromstring(answer.read())
    rows: list[Listed] = []
    for node in root:
        if (kind := node.tag.removeprefix(NAMESPACE)) in ("Version", "DeleteMarker"):
            text = {child.tag.removeprefix(NAMESPACE): child.text or "" for child in node}
            assert text["Key"] == key.name and (text["IsLatest"] == "true") == (not rows and not after), text
            rows.append(Listed(text["VersionId"], MARKER if kind == "DeleteMarker" else text["ETag"].strip('"')))
    names = {"KeyMarker": "NextKeyMarker", "VersionIdMarker": "NextVersionIdMarker"}
    following = {name: root.findtext(NAMESPACE + tag) or "" for name, tag in names.items()}
    return rows, following if root.findtext(NAMESPACE + "IsTruncated") == "true" else {}


def list_key(s3: Any, key: Key) -> list[Listed]:
    """All pages."""
    rows, following = list_page(s3, key)
    while following:
        page, following = list_page(s3, key, **following)
        rows += page
    return rows
