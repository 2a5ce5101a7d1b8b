"""Shards that a node on this host lends: where their bytes lie, so that they are read without being sent.

What the page cache has is read here, and every block that is touched is verified against the checksums which the node
gave (law 7). Whatever does not work out (the disk would have to be asked, a block does not match, the file is gone)
is nobody's failure: the node is asked for the bytes, as if nothing had been lent. It knows no connection and no object.
"""

from __future__ import annotations

import os
import stat
import struct
from collections import OrderedDict

from awscrt.checksums import crc32c

from chunkd.wire import BLOCK_BYTES, Place, WireError
from s3gate.store.limits import LENT_FILES, LENT_SHARDS, LOOK_TICKS, PAUSE_TICKS

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


class _File:
    """An open file of a node. The last loan in it closes it, by being dropped."""

    __slots__ = ("fd", "shards")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.shards: set[bytes] = set()

    def __del__(self) -> None:
        os.close(self.fd)


class Loan:
    """A shard that lies in a file: `length` bytes from `offset` on."""

    __slots__ = ("_crcs", "_file", "_length", "_offset")

    def __init__(self, file: _File, offset: int, length: int, crcs: tuple[int, ...]) -> None:
        self._file = file
        self._offset = offset
        self._length = length
        self._crcs = crcs

    def read(self, start: int, stop: int) -> memoryview | None:
        """The bytes [start, stop), verified; None if they cannot be had so."""
        first, last = start - start % BLOCK_BYTES, min(self._length, stop + -stop % BLOCK_BYTES)
        view = memoryview(bytearray(last - first))
        return view[start - first : stop - first] if self.fill(view, first) else None

    def is_whole_blocks(self, start: int, stop: int) -> bool:
        """Whether [start, stop) is what `fill` can verify."""
        return not start % BLOCK_BYTES and (not stop % BLOCK_BYTES or stop == self._length)

    def fill(self, view: memoryview, first: int) -> bool:
        """Whole blocks from `first` on into `view`, verified; False if they cannot be had so."""
        try:
            if os.preadv(self._file.fd, [view], self._offset + first, os.RWF_NOWAIT) != len(view):
                return False
        except OSError:
            return False
        crcs = self._crcs
        block = first // BLOCK_BYTES
        for at in range(0, len(view), BLOCK_BYTES):
            if crc32c(view[at : at + BLOCK_BYTES]) != crcs[block]:
                return False
            block += 1
        return True


class Loans:
    """What one node has lent to this gate."""

    def __init__(self) -> None:
        self._shards: OrderedDict[bytes, tuple[Loan, str]] = OrderedDict()
        self._files: OrderedDict[str, _File] = OrderedDict()
        self._pause_ticks = 0
        self._look_ticks = 0

    @property
    def wanted(self) -> bool:
        """Whether to ask for loans: not for a while after one was in a file that cannot be opened here."""
        return not self._pause_ticks

    def get(self, shard_id: bytes) -> Loan | None:
        """A shard that was lent."""
        known = self._shards.get(shard_id)
        if known is None:
            return None
        self._shards.move_to_end(shard_id)
        self._files.move_to_end(known[1])
        return known[0]

    def accept(self, shard_id: bytes, text: str, length: int) -> Loan | None:
        """Takes the place of a shard of this length from an answer."""
        try:
            place = Place.decode(text)
            file = self._file(place)
        except (WireError, OSError, ValueError):
            self._pause_ticks = PAUSE_TICKS
            return None
        blocks = (length + BLOCK_BYTES - 1) // BLOCK_BYTES
        if len(place.table) != 4 * blocks:
            return None
        loan = Loan(file, place.offset, length, struct.unpack(f"<{blocks}I", place.table))
        self._shards[shard_id] = loan, place.path
        file.shards.add(shard_id)
        if len(self._shards) > LENT_SHARDS:
            self.drop(next(iter(self._shards)))
        return loan

    def _file(self, place: Place) -> _File:
        """The open file; OSError if it is not to be had here. It is open at the node: its inode is in memory."""
        file = self._files.get(place.path)
        if file is None:
            file = _File(os.open(place.path, _FLAGS))
            status = os.fstat(file.fd)
            if not stat.S_ISREG(status.st_mode) or (status.st_dev, status.st_ino) != (place.device, place.inode):
                raise OSError(f"{place.path} is another file here")
            self._files[place.path] = file
            if len(self._files) > LENT_FILES:
                self._drop_file(next(iter(self._files)))
        return file

    def drop(self, shard_id: bytes) -> None:
        """Forgets a shard: its bytes are asked for."""
        known = self._shards.pop(shard_id, None)
        if known is not None and (file := self._files.get(known[1])) is not None:
            file.shards.discard(shard_id)

    def _drop_file(self, path: str) -> None:
        for shard_id in self._files.pop(path).shards:
            self._shards.pop(shard_id, None)

    def clear(self) -> None:
        """Forgets everything: the node may have gone."""
        self._shards.clear()
        self._files.clear()

    def tick(self) -> None:
        """Once a second. What a node has deleted is let go, or its room on the disk would not come back."""
        self._pause_ticks = max(0, self._pause_ticks - 1)
        self._look_ticks = (self._look_ticks + 1) % LOOK_TICKS
        if not self._look_ticks:
            for path in [path for path, file in self._files.items() if _is_deleted(file)]:
                self._drop_file(path)


def _is_deleted(file: _File) -> bool:
    """Whether the file has no name any more, or whoever keeps it does not know it any more."""
    try:
        return not os.fstat(file.fd).st_nlink
    except OSError:
        return True
