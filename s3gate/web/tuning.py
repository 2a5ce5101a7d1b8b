"""What the process asks of its allocator and its garbage collector, once, at its start."""

from __future__ import annotations

import ctypes
import gc

MIB = 1 << 20
# malloc.h: how much free memory stays with the process, how much is taken at once, and from which size on a
# block is mapped and unmapped by itself. glibc's defaults cost 335,000 page faults per GiB received.
M_TRIM_THRESHOLD, TRIM_BYTES = -1, 256 * MIB
M_TOP_PAD, TOP_PAD_BYTES = -2, 16 * MIB
M_MMAP_THRESHOLD, MMAP_BYTES = -3, 32 * MIB

GC_THRESHOLDS = (20_000, 20, 50)
"""A request makes few cycles: the default of 700 allocations would look for them many times in each batch."""


def tune_allocator() -> bool:
    """Keeps freed memory for the next body. False where the C library knows no mallopt."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    mallopt.argtypes = (ctypes.c_int, ctypes.c_int)
    pairs = ((M_TRIM_THRESHOLD, TRIM_BYTES), (M_TOP_PAD, TOP_PAD_BYTES), (M_MMAP_THRESHOLD, MMAP_BYTES))
    return all(mallopt(option, value) == 1 for option, value in pairs)


def tune_collector() -> None:
    """Called when everything long-lived exists: it is no longer looked at."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
