"""Rotation: every envelope under the fresh version and nothing else changed, whatever kind of row it is in."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from s3gate.admin import rotate
from s3gate.catalog import rewrap as rewrap_room
from s3gate.catalog.catalog import Catalog
from s3gate.catalog.rewrap import Rewrap
from s3gate.catalog.rows import ENABLED, NO_CONDITION, Traits
from s3gate.crypto.derivation import wrap
from s3gate.crypto.envelope import Envelope, Scheme
from s3gate.crypto.keyfile import KeyFile
from s3gate.crypto.kms import LocalKms, Wrapped
from tests.catalog.making import bucket_of, put, stored

DATA_KEY = b"d" * 32


@pytest.fixture
async def catalog(database: str) -> AsyncIterator[Catalog]:
    opened = await Catalog.open(database, kind="gate")
    await opened.create_bucket("box", "root", "us-east-1")
    yield opened
    await opened.close()


@pytest.fixture
async def rows(database: str) -> AsyncIterator[Rewrap]:
    opened = await Rewrap.open(database)
    yield opened
    await opened.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    KeyFile.fresh().write(tmp_path / "kms.json")
    return tmp_path / "kms.json"


async def envelope(kms: LocalKms, name: str, bucket_id: int, key: bytes) -> bytes:
    bare = Envelope(Scheme.SSE_KMS, os.urandom(16), key_name=name)
    version, blob = await kms.wrap(name, DATA_KEY, bare.bound_to(bucket_id, key))
    return replace(bare, wrapped=blob, key_version=version).encode()


async def opens(kms: LocalKms, sse: bytes, bucket_id: int, key: bytes) -> int:
    """The version of the key that opens it."""
    found = Envelope.decode(sse)
    bound_to = found.bound_to(bucket_id, key)
    secret = await kms.unwrap(found.key_name, Wrapped(found.key_version, found.wrapped), bound_to)
    assert secret == DATA_KEY
    return found.key_version


async def look(database: str, query: Any) -> list[tuple[Any, ...]]:
    async with await psycopg.AsyncConnection.connect(database) as connection:
        cursor = await connection.execute(query)
        return await cursor.fetchall()


async def test_every_envelope_is_wrapped_anew(
    catalog: Catalog, rows: Rewrap, database: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rewrap_room, "PAGE_ROWS", 3)
    kms = LocalKms(path, "us-east-1", "000000000000")
    name = KeyFile.read(path).default
    await catalog.set_versioning("box", ENABLED)
    bucket = await bucket_of(catalog, fresh=True)
    for number in range(5):
        for key in (b"a", b"b%d" % number):
            sse = await envelope(kms, name, bucket.bucket_id, key)
            await put(catalog, "box", key, replace(stored(catalog), traits=Traits(sse=sse)), NO_CONDITION)
        await put(catalog, "box", b"plain%d" % number, stored(catalog), NO_CONDITION)
    mine = Envelope(Scheme.SSE_C, b"s" * 16, wrap(b"c" * 32, DATA_KEY, b"")).encode()
    await put(catalog, "box", b"customer", replace(stored(catalog), traits=Traits(sse=mine)), NO_CONDITION)
    await catalog.create_upload(
        bucket,
        b"u",
        headers=b"",
        checksum_algorithm="",
        checksum_type="",
        group_id=1,
        traits=Traits(sse=await envelope(kms, name, bucket.bucket_id, b"u")),
    )
    before = await look(database, "SELECT key, version, content_id, etag, modified_at FROM object ORDER BY key")
    rotate.add_versions(path, "")
    done = await rotate.rewrap(rows, kms)
    assert (done.rewrapped, done.left) == (11, {})
    assert await look(database, "SELECT key, version, content_id, etag, modified_at FROM object ORDER BY key") == before
    for table in ("object", "version", "upload"):
        found = await look(database, f"SELECT key, sse FROM {table} WHERE sse <> ''")
        for key, sse in found:
            if key == b"customer":
                assert sse == mine
            else:
                assert await opens(kms, sse, bucket.bucket_id, key) == 2
    assert (await rotate.rewrap(rows, kms)).rewrapped == 0


async def test_a_row_that_changed_meanwhile_is_left_alone(catalog: Catalog, rows: Rewrap, database: str) -> None:
    await put(catalog, "box", b"a", replace(stored(catalog), traits=Traits(sse=b"old")), NO_CONDITION)
    (found,) = await rows.page(rewrap_room.HEADS, rewrap_room.START)
    await put(catalog, "box", b"a", replace(stored(catalog), traits=Traits(sse=b"other")), NO_CONDITION)
    assert await rows.change(rewrap_room.HEADS, [(found, b"new")]) == 0
    assert await look(database, "SELECT sse FROM object") == [(b"other",)]


async def test_what_cannot_be_unwrapped_is_said_and_does_not_stop_the_rest(
    catalog: Catalog, rows: Rewrap, path: Path
) -> None:
    kms = LocalKms(path, "us-east-1", "000000000000")
    name = KeyFile.read(path).default
    bucket = await bucket_of(catalog)
    good = await envelope(kms, name, bucket.bucket_id, b"good")
    moved = await envelope(kms, name, bucket.bucket_id, b"elsewhere")
    for key, sse in ((b"broken", b"junk"), (b"good", good), (b"moved", moved)):
        await put(catalog, "box", key, replace(stored(catalog), traits=Traits(sse=sse)), NO_CONDITION)
    rotate.add_versions(path, name)
    done = await rotate.rewrap(rows, kms)
    assert done.rewrapped == 1 and sum(done.left.values()) == 2


def test_keys_are_listed_without_secrets(path: Path) -> None:
    rotate.add_key(path, "mine")
    rotate.add_versions(path, "mine")
    found = rotate.keys(path)
    assert {one.used_for for one in found} == {"SSE-S3", "SSE-KMS", "SSE-KMS, default"}
    assert next(one for one in found if one.name == "mine").current == 2
