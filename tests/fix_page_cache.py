"""What of a file is in the page cache, and how to get it out of there."""

from __future__ import annotations

import ctypes
import mmap
import os
import time
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)
DROP_SECONDS = 30.0


def drop_from_memory(path: str | Path) -> None:
    """Out of the page cache. What somebody writes or reads just then stays there, so it is tried until nothing does."""
    deadline = time.monotonic() + DROP_SECONDS
    fd = os.open(path, os.O_RDONLY)
    try:
        while True:
            os.fsync(fd)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            if not pages_in_memory(fd):
                return
            assert time.monotonic() < deadline, f"{path} stays in memory"
            time.sleep(0.01)
    finally:
        os.close(fd)


def pages_in_memory(fd: int) -> int:
    """How many pages of a file are in the page cache."""
    if not os.fstat(fd).st_size:
        return 0
    with mmap.mmap(fd, 0, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE) as view:
        pages = (ctypes.c_ubyte * -(-len(view) // mmap.PAGESIZE))()
        start = ctypes.c_char.from_buffer(view)
        failed = _libc.mincore(ctypes.c_void_p(ctypes.addressof(start)), ctypes.c_size_t(len(view)), pages)
        del start
    if failed:
        raise OSError(ctypes.get_errno(), "mincore")
    return sum(page & 1 for page in pages)
