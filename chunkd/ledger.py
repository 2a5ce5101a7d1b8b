"""The membership's memory: the superblock, or this process alone while the node may not write (law 8).

A read-only node has to join again after a restart, though its superblock cannot say so. Then its nonce is derived
from the superblock instead of drawn, so that every such join is known as a retry of the first; `clear-read-only`
writes the same nonce down, so that the first join after it is one, too. A copy of a read-only disk could pass for
it, but neither of them writes. It knows no gate and no shard.
"""

from __future__ import annotations

import dataclasses
import hmac
import secrets
from pathlib import Path

from chunkd.disk import Disk
from chunkd.errors import StoreReadOnly
from chunkd.shards import Shards
from chunkd.superblock import DirectoryLock, Superblock, load_superblock, save_superblock

NONCE_BYTES = 16


class EngineLedger:
    """`join.Ledger` over an open engine."""

    def __init__(self, shards: Shards) -> None:
        self._shards = shards
        self._nonce = shards.superblock.nonce

    @property
    def node_id(self) -> bytes:
        """Never changes."""
        return self._shards.superblock.node_id

    @property
    def incarnation(self) -> int:
        """0 before the first join."""
        return self._shards.superblock.incarnation

    @property
    def nonce(self) -> bytes:
        """Empty but during a join."""
        return self._nonce

    def begin(self) -> None:
        """Durable when it returns, unless the node is read-only."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        if not self._save(self.incarnation, nonce):
            nonce = self._shards.superblock.nonce or derived_nonce(self._shards.superblock)
        self._nonce = nonce

    def finish(self, incarnation: int) -> None:
        """Durable when it returns, unless the node is read-only: then the superblock stays one join behind."""
        self._save(incarnation, b"")
        self._nonce = b""

    def _save(self, incarnation: int, nonce: bytes) -> bool:
        try:
            self._shards.save_superblock(incarnation=incarnation, nonce=nonce)
        except StoreReadOnly:
            return False
        return True


def derived_nonce(superblock: Superblock) -> bytes:
    """The nonce of all joins that a read-only node makes at its incarnation."""
    what = b"read-only" + superblock.node_id + superblock.incarnation.to_bytes(8, "big")
    return hmac.digest(superblock.salt, what, "sha256")[:NONCE_BYTES]


def remember_read_only_joins(directory: Path) -> None:
    """For `clear-read-only`: the next join is to be known as a retry of those that could not be written down."""
    disk = Disk()
    with DirectoryLock(directory, disk):
        superblock = load_superblock(directory, disk)
        if not superblock.nonce:
            save_superblock(directory, dataclasses.replace(superblock, nonce=derived_nonce(superblock)), disk)
