"""`admin where` of a key with versions."""

from __future__ import annotations

import asyncio
import json

import pytest

from s3gate.admin.run import main
from s3gate.catalog.rows import ENABLED
from s3gate.s3 import versions
from tests.fix_ministore import BUCKET, MiniStore


async def test_any_version_of_a_key(ministore: MiniStore, capsys: pytest.CaptureFixture[str]) -> None:
    async def where(*arguments: str) -> tuple[int, str]:
        status = await asyncio.to_thread(main, ["where", BUCKET, "k", *arguments], ministore.settings)
        captured = capsys.readouterr()
        return status, captured.out + captured.err

    null = await ministore.put(b"k", b"1")
    await ministore.put(b"k1", b"another key")
    await ministore.catalog.set_versioning(BUCKET, ENABLED)
    bucket = await ministore.catalog.find_bucket(BUCKET, fresh=True)
    assert bucket is not None
    ministore.bucket = bucket
    second = await ministore.put(b"k", b"22")
    await ministore.delete(b"k")

    status, text = await where()
    assert status == 0 and text.startswith(f"{BUCKET}/k: a delete marker, version {second.version + 1}, version id ")
    assert "segment " not in text and text.count("  version id ") == 3
    name = versions.encode(second.version, second.version_id)
    status, text = await where("--version-id", name, "--json")
    place = json.loads(text)
    assert status == 0 and (place["size"], place["version_id"], place["marker"]) == (2, name, False)
    assert [shard["length"] for shard in place["parts"][0]["segments"][0]["shards"]] == [2, 0, 0, 0, 0, 0]
    assert [(each["is_latest"], each["marker"], each["size"]) for each in place["versions"]] == [
        (True, True, 0), (False, False, 2), (False, False, 1)
    ]  # fmt: skip
    assert place["versions"][2]["version_id"] == "null" and place["versions"][1]["version_id"] == name
    status, text = await where("--version-id", "null")
    assert status == 0 and f"version {null.version}, version id null" in text and text.count(" live") == 1
    status, text = await where("--version-id", versions.encode(9, b"x" * 16))
    assert status == 2 and "no such version" in text
    status, text = await where("--version-id", "junk")
    assert status == 2 and "Invalid version id" in text
