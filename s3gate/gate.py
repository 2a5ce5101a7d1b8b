"""The one typed context of a serving process: what every operation is handed.

It holds the long-lived parts and nothing else. It refuses to know requests, SQL and shards.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from s3gate.catalog.catalog import Catalog
    from s3gate.s3.credentials import SecretOf
    from s3gate.settings import Settings
    from s3gate.store.budget import Budget
    from s3gate.store.store import Store

COPIES_AT_ONCE = 4
"""How many UploadPartCopy requests move bytes at a time: each fills rows of its own (law 9)."""


@dataclass(slots=True)
class Gate:
    """Settings are read once; catalog, store and budget live as long as the process."""

    settings: Settings
    catalog: Catalog
    store: Store
    budget: Budget
    credentials: SecretOf
    copies: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(COPIES_AT_ONCE))

    @property
    def row_bytes(self) -> int:
        """How much of a body is taken at a time: a full row of pieces."""
        return self.store.layout.row_bytes
