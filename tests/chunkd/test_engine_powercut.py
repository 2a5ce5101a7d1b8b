"""The engine on a recording disk: whatever a power cut leaves, every acknowledged shard is there, intact.

CHUNKD_POWERCUT_STATES and CHUNKD_POWERCUT_SEED make a run longer or repeat one.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from chunkd.blocks import crc32c
from chunkd.bundle import Packed
from chunkd.check import check
from chunkd.core import Core
from chunkd.packs import Draft
from chunkd.records import PURGE
from chunkd.recovery import INDEX, rebuild_index
from chunkd.shards import Limits, PutResult, ShardInfo, Shards
from chunkd.superblock import initialise
from tests.chunkd.engine_recording import CrashStates, RecordingDisk

STATES = int(os.environ.get("CHUNKD_POWERCUT_STATES", "300"))
SEED = int(os.environ.get("CHUNKD_POWERCUT_SEED", "20"))
NEVER = 1 << 60

SMALL = Limits(
    small_shard_bytes=8 * 1024,
    pack_bytes=24 * 1024,
    batch_bytes=12 * 1024,
    fill_bytes=16 * 1024,
    write_bytes=64 * 1024,
    generation_files=3,
    checkpoint_entries=30,
    checkpoint_bytes=48 * 1024,
    free_floor_bytes=0,
    free_short_bytes=0,
    trash_seconds=2.0,
    purge_batch=7,
    compaction_live_fraction=0.7,
    compaction_bytes=8 * 1024,
    scrub_seconds=1.0,
    disk_threads=2,
)


@dataclass
class Story:
    """What happened to one shard: log positions."""

    body: bytes
    put: int = NEVER
    trash_begun: int = NEVER
    trashed: int = NEVER
    purge_begun: int = NEVER
    purged: int = NEVER


class Workload:
    """Puts, large writes, deletes and all background work, with a record of what was acknowledged when."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.directory = directory
        self.random = random.Random(seed)
        self.disk = RecordingDisk(directory)
        self.stories: dict[bytes, Story] = {}
        self.incarnations: list[int] = []
        self.clock = 1000.0
        self.idle = 0
        self.rested = asyncio.Event()

    async def run(self, steps: int) -> None:
        shards = Shards.open(self.directory, limits=SMALL, disk=self.disk, now=lambda: self.clock)
        self._watch_purges(shards._core)
        background = asyncio.create_task(self._background(shards))
        for _ in range(3):
            await asyncio.gather(*[self._client(shards, steps) for _ in range(6)])
            self.clock += 10
            self.idle = 0
            self.rested.clear()
            await self.rested.wait()
        background.cancel()
        await asyncio.gather(background, return_exceptions=True)
        assert not shards.damage()
        await shards.close()

    async def _background(self, shards: Shards) -> None:
        while True:
            self.idle = 0 if await shards._upkeep.unit() else self.idle + 1
            if self.idle > 2:
                self.rested.set()
            self.clock += 0.05
            await asyncio.sleep(0)

    def _watch_purges(self, core: Core) -> None:
        append = core.append

        async def watched(drafts: list[Draft]) -> None:
            gone = [draft.shard_id for draft in drafts if draft.kind == PURGE]
            for shard_id in gone:
                self.stories[shard_id].purge_begun = min(self.disk.note("purge"), self.stories[shard_id].purge_begun)
            await append(drafts)
            for shard_id in gone:
                self.stories[shard_id].purged = min(self.disk.note("purged"), self.stories[shard_id].purged)

        core.append = watched  # type: ignore[method-assign, assignment]
        remove = core.files.remove

        def removing(places: list[tuple[bytes, int]]) -> None:
            for shard_id, _ in places:
                self.stories[shard_id].purge_begun = self.disk.note("purge")
            remove(places)

        core.files.remove = removing  # type: ignore[method-assign]

    async def _client(self, shards: Shards, steps: int) -> None:
        for _ in range(steps):
            dice = self.random.random()
            if dice < 0.52:
                await self._put(shards, int(2 ** self.random.uniform(0, 13)) - 1)
            elif dice < 0.62:
                await self._put_bundle(shards)
            elif dice < 0.72:
                await self._put(shards, self.random.randrange(9_000, 150_000))
            elif dice < 0.98:
                await self._trash(shards)
            elif not self.incarnations or self.incarnations[-1] != NEVER:
                shards.save_superblock(incarnation=len(self.incarnations) + 1, nonce=b"n")
                self.incarnations.append(self.disk.note("superblock"))

    async def _put(self, shards: Shards, length: int) -> None:
        shard_id = self.random.randbytes(17)
        body = self.random.randbytes(length)
        story = self.stories[shard_id] = Story(body)
        if length <= SMALL.small_shard_bytes:
            await shards.put(shard_id, body, crc32c(body))
        else:
            write = shards.begin(shard_id, length)
            for at in range(0, length, 50_000):
                await write.write(body[at : at + 50_000])
            if self.random.random() < 0.1:
                await write.abort()
                return
            await write.commit()
        story.put = self.disk.note("put")

    async def _put_bundle(self, shards: Shards) -> None:
        bodies = [
            self.random.randbytes(int(2 ** self.random.uniform(0, 11))) for _ in range(self.random.randrange(2, 7))
        ]
        bundle = [Packed(self.random.randbytes(17), body, crc32c(body)) for body in bodies]
        self.stories.update({one.shard_id: Story(bytes(one.body)) for one in bundle})
        assert await shards.put_bundle(bundle) == [PutResult.CREATED] * len(bundle)
        put = self.disk.note("put")
        for one in bundle:
            self.stories[one.shard_id].put = put

    async def _trash(self, shards: Shards) -> None:
        living = [i for i, s in self.stories.items() if s.put != NEVER and s.trash_begun == NEVER]
        chosen = self.random.sample(living, min(len(living), self.random.randrange(1, 8)))
        begun = self.disk.note("trash")
        for shard_id in chosen:
            self.stories[shard_id].trash_begun = begun
        await shards.trash(chosen)
        done = self.disk.note("trashed")
        for shard_id in chosen:
            self.stories[shard_id].trashed = done


def judge(story: Story, cut: int, info: ShardInfo | None) -> str | None:
    """What is wrong with a shard that is found so after a cut; None if nothing is."""
    if info is None:
        return "lost" if story.put <= cut < story.purge_begun else None
    if info.length != len(story.body) or info.crc32c != crc32c(story.body):
        return "other content"
    if story.purged <= cut:
        return "purged, and back"
    if story.trashed <= cut and info.state != "trash":
        return "trashed, and live again"
    if cut < story.trash_begun and info.state != "live":
        return "in the trash, but nobody deleted it"
    return None


Life = tuple[dict[bytes, Story], int]
"""What was done before a cut, and where the cut was."""


async def inspect(directory: Path, lives: list[Life], random_: random.Random) -> None:
    """Open a directory and look at every shard; read some of them."""
    shards = Shards.open(directory, limits=SMALL, now=lambda: 1000.0)
    try:
        assert not shards.damage()
        present = 0
        for stories, cut in lives:
            found = [(shard_id, shards.find(shard_id)) for shard_id in stories]
            wrong = [(i.hex(), why) for i, info in found if (why := judge(stories[i], cut, info))]
            assert not wrong
            here = [shard_id for shard_id, info in found if info is not None]
            present += len(here)
            here = [shard_id for shard_id in here if cut < stories[shard_id].purge_begun]
            for shard_id in random_.sample(here, min(len(here), 12)):
                body = stories[shard_id].body
                data, _, _ = await shards.read(shard_id, 0, len(body))
                assert data == body
        assert shards.usage().shards == present
    finally:
        await shards.close()


async def go_on(directory: Path, disk: RecordingDisk, random_: random.Random) -> dict[bytes, Story]:
    """Recover and write a little more, recorded."""
    shards = Shards.open(directory, limits=SMALL, disk=disk, now=lambda: 1000.0)
    stories: dict[bytes, Story] = {}
    try:
        for _ in range(4):
            shard_id, body = random_.randbytes(17), random_.randbytes(int(2 ** random_.uniform(0, 13)) - 1)
            story = stories[shard_id] = Story(body)
            await shards.put(shard_id, body, crc32c(body))
            story.put = disk.note("put")
    finally:
        await shards.close()
    return stories


@pytest.fixture
def fast_directory() -> Iterator[Path]:
    """In memory where that exists: what is tested is the order of calls, not this machine's disk."""
    parent = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    path = Path(tempfile.mkdtemp(prefix="chunkd-powercut-", dir=parent))
    yield path
    shutil.rmtree(path)


def test_every_acknowledged_shard_survives_any_power_cut(fast_directory: Path) -> None:
    store = fast_directory / "store"
    initialise(store, cluster_id=b"c" * 16)
    rounds = max(1, STATES // 150)
    for round_ in range(rounds):
        random_ = random.Random(f"cuts {SEED + round_}")
        shutil.copytree(store, fast_directory / "run")
        work = Workload(fast_directory / "run", SEED + round_)
        asyncio.run(work.run(20))
        states = CrashStates(work.disk)
        for _ in range(STATES // rounds):
            cut = random_.randrange(len(work.disk.log) + 1)
            _one_state(fast_directory / "cut", states, work, cut, random_)
        shutil.rmtree(fast_directory / "run")


def _one_state(directory: Path, states: CrashStates, work: Workload, cut: int, random_: random.Random) -> None:
    """Cut, and recover in one of several ways."""
    directory.mkdir()
    states.materialise(cut, directory, random_)
    way = random_.choice(("plain", "again", "again", "lost index", "rebuild", "check"))
    try:
        lives: list[Life] = [(work.stories, cut)]
        if way in ("again", "lost index"):
            if way == "lost index":
                (directory / INDEX).unlink(missing_ok=True)
            lives.append(_cut_again(directory, random_))
        elif way == "rebuild":
            rebuild_index(directory)
        asyncio.run(inspect(directory, lives, random_))
        if way == "check":
            assert check(directory).problems == []
    except BaseException as error:
        error.add_note(f"cut={cut} of {len(work.disk.log)}, way={way}, seed={SEED}")
        raise
    finally:
        shutil.rmtree(directory)


def _cut_again(directory: Path, random_: random.Random) -> Life:
    """A second power cut, while the store recovers from the first or writes on."""
    disk = RecordingDisk(directory)
    stories = asyncio.run(go_on(directory, disk, random_))
    cut = random_.randrange(len(disk.log) + 1)
    shutil.rmtree(directory)
    directory.mkdir()
    CrashStates(disk).materialise(cut, directory, random_)
    return stories, cut
