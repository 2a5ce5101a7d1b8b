"""What a node lends: read where it lies, verified, and let go in time."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from awscrt.checksums import crc32c

from chunkd.wire import BLOCK_BYTES, Place
from s3gate.store import loans as module
from s3gate.store.limits import LOOK_TICKS, PAUSE_TICKS
from s3gate.store.loans import Loan, Loans

OFFSET = 4096 + 64
BODY = os.urandom(3 * BLOCK_BYTES + 1234)
ID = bytes(17)


def lay(path: Path, body: bytes = BODY) -> Place:
    """A file with a shard in it, and what a node would say of that."""
    path.write_bytes(os.urandom(OFFSET) + body + b"what follows")
    blocks = [body[at : at + BLOCK_BYTES] for at in range(0, len(body), BLOCK_BYTES)]
    status = path.stat()
    table = b"".join(crc32c(block).to_bytes(4, "little") for block in blocks)
    return Place(status.st_dev, status.st_ino, str(path), OFFSET, table)


def lend(loans: Loans, place: Place, shard_id: bytes = ID) -> Loan:
    loan = loans.accept(shard_id, place.encode(), len(BODY))
    assert loan is not None
    return loan


def open_files(directory: Path) -> int:
    links = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
    return sum(os.path.lexists(link) and os.readlink(link).startswith(str(directory)) for link in links)


@pytest.mark.parametrize(
    ("start", "stop"),
    [(0, len(BODY)), (0, 1), (BLOCK_BYTES - 1, BLOCK_BYTES + 1), (5, len(BODY) - 5), (len(BODY) - 1, len(BODY))],
)
def test_any_bytes_of_a_shard(tmp_path: Path, start: int, stop: int) -> None:
    loan = lend(Loans(), lay(tmp_path / "pack"))
    assert loan.read(start, stop) == BODY[start:stop]


@pytest.mark.parametrize("at", [0, BLOCK_BYTES, len(BODY) - 1])
def test_a_flipped_byte_is_no_loan(tmp_path: Path, at: int) -> None:
    """Law 7, for each block that is touched, whichever of its bytes were asked for."""
    loan = lend(Loans(), lay(tmp_path / "pack"))
    with open(tmp_path / "pack", "r+b") as file:
        file.seek(OFFSET + at)
        file.write(bytes([BODY[at] ^ 1]))
    assert loan.read(0, len(BODY)) is None
    neighbour = at + 1 if at % BLOCK_BYTES == 0 else at - 1
    assert loan.read(neighbour, neighbour + 1) is None
    middle = 2 * BLOCK_BYTES + 10
    assert loan.read(middle, middle + 10) == BODY[middle : middle + 10]


def test_a_file_that_was_cut_is_no_loan(tmp_path: Path) -> None:
    loan = lend(Loans(), lay(tmp_path / "pack"))
    os.truncate(tmp_path / "pack", OFFSET + len(BODY) - 1)
    assert loan.read(0, len(BODY)) is None


def test_another_file_of_that_name_stops_the_borrowing(tmp_path: Path) -> None:
    """Another container's, perhaps: it is not asked at every read whether that is still so."""
    loans = Loans()
    place = lay(tmp_path / "pack")
    for wrong in (
        Place(place.device, place.inode + 1, place.path, OFFSET, place.table),
        Place(place.device, place.inode, str(tmp_path / "none"), OFFSET, place.table),
        Place(place.device, place.inode, str(tmp_path), OFFSET, place.table),
    ):
        assert loans.wanted
        assert loans.accept(ID, wrong.encode(), len(BODY)) is None
        assert loans.get(ID) is None
        assert not loans.wanted
        for _ in range(PAUSE_TICKS):
            loans.tick()
    assert open_files(tmp_path) == 0
    assert loans.accept(ID, place.encode(), len(BODY) + BLOCK_BYTES) is None


def test_deleted_files_are_let_go(tmp_path: Path) -> None:
    """Or their room would not come back while this gate runs."""
    loans = Loans()
    lend(loans, lay(tmp_path / "pack"))
    kept = lend(loans, lay(tmp_path / "other"), bytes(16) + b"1")
    (tmp_path / "pack").unlink()
    for _ in range(LOOK_TICKS):
        loans.tick()
    assert loans.get(ID) is None
    assert loans.get(bytes(16) + b"1") is kept
    assert open_files(tmp_path) == 1
    del kept
    loans.clear()
    assert open_files(tmp_path) == 0


def test_a_file_that_cannot_be_looked_at_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing worse: whoever ticks looks after the stalled connections of all nodes, too."""
    loans = Loans()
    lend(loans, lay(tmp_path / "pack"))

    def stale(fd: int) -> os.stat_result:
        raise OSError(errno.ESTALE, "the file system went away")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fstat", stale)
        for _ in range(LOOK_TICKS):
            loans.tick()
    assert loans.get(ID) is None


def test_who_reads_keeps_the_file(tmp_path: Path) -> None:
    loans = Loans()
    loan = lend(loans, lay(tmp_path / "pack"))
    loans.clear()
    assert loan.read(0, 10) == BODY[:10]


def test_loans_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest goes, with all that lies in it if it is a file."""
    monkeypatch.setattr(module, "LENT_FILES", 2)
    monkeypatch.setattr(module, "LENT_SHARDS", 3)
    loans = Loans()
    place = lay(tmp_path / "pack")
    ids = [bytes(16) + bytes([number]) for number in range(9)]
    for one in ids[:4]:
        lend(loans, place, one)
    assert [loans.get(one) is not None for one in ids[:4]] == [False, True, True, True]
    lend(loans, lay(tmp_path / "second"), ids[4])
    assert loans.get(ids[4]) is not None and loans.get(ids[2]) is not None
    lend(loans, lay(tmp_path / "third"), ids[5])
    assert [loans.get(one) is not None for one in ids[:6]] == [False, False, True, True, False, True]
    assert open_files(tmp_path) == 2
