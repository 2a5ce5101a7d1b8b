"""What may go wrong between a gate and its nodes, in the store's own words.

It knows no S3: operations choose what a client is told. No error is ever recognised by its text.
"""

import asyncio
from collections.abc import Sequence


class StoreError(Exception):
    """Anything the store could not do."""


class StoreUnavailable(StoreError):
    """No group takes writes, or a node does not answer, for as long as the wait allows. Try later."""


class StoreFull(StoreUnavailable):
    """Every group has a node without room."""


class NodeFailed(StoreUnavailable):
    """One node could not be reached, broke off, or answered what it must not."""


class NodeRefused(NodeFailed):
    """One node answers, but takes no writes: it is full or read-only."""


class ShardMissing(StoreError):
    """A node that answers does not have a shard which a row names."""


class ShardCorrupt(StoreError):
    """A shard's bytes do not match their checksums (law 7)."""


class BudgetExceeded(StoreError):
    """More bytes were asked for at once than the whole budget has."""


class WriteFailed(StoreError):
    """A write did not end well. `cause` says why; `written` is what may lie on nodes and is to be discarded.

    `cause` is a StoreError, or what the body's source raised. `written` has layout id and packed extents.
    """

    def __init__(self, cause: BaseException, written: Sequence[tuple[int, bytes]]) -> None:
        super().__init__(f"a write failed: {cause!r}")
        self.cause = cause
        self.written = list(written)


class WriteCancelled(WriteFailed, asyncio.CancelledError):
    """A write was cancelled. Still a cancellation to asyncio, and a WriteFailed to whoever cleans up."""
