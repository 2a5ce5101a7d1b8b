"""What a process asks of the C library and the kernel at its start. Knows nothing of what it is for."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys

from chunkd.wire import UNIX_BUFFER_BYTES

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
_PR_SET_PDEATHSIG = 1
MIB = 1024 * 1024
SWITCH_SECONDS = 0.0005
"""The event loop waits at most this long for a thread that holds the interpreter."""


def tune() -> None:
    """Keep freed memory instead of giving it back at every body: page faults cost more than the copying.

    Only glibc has mallopt; elsewhere nothing happens.
    """
    sys.setswitchinterval(SWITCH_SECONDS)
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version") or not hasattr(libc, "mallopt"):
        return
    libc.mallopt(_M_TRIM_THRESHOLD, 256 * MIB)
    libc.mallopt(_M_MMAP_THRESHOLD, 32 * MIB)
    libc.mallopt(_M_TOP_PAD, 16 * MIB)


def tune_socket(raw: socket.socket | None) -> None:
    """Small answers leave at once, and bodies in one go where the kernel does not find out itself how."""
    if raw is None:
        return
    if raw.family == socket.AF_UNIX:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UNIX_BUFFER_BYTES)
    else:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def die_with_parent(parent: int) -> None:
    """Ask for SIGTERM at the parent's death. Call it from the main thread, after any change of uid.

    The parent may have died before we asked: then we leave at once.
    """
    if sys.platform != "linux":
        raise OSError("only Linux can send a signal at the parent's death")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        raise SystemExit("chunkd: the parent has gone already")
