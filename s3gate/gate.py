"""The one typed context of a serving process: what every operation is handed.

It holds the long-lived parts and nothing else. It refuses to know requests, SQL and shards.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from s3gate.store.budget import Budget

if TYPE_CHECKING:
    from s3gate.catalog.catalog import Catalog
    from s3gate.crypto.kms import Kms
    from s3gate.identity.identities import Identities
    from s3gate.settings import Settings
    from s3gate.store.store import Store

GIB = 1 << 30
COPIES_AT_ONCE = 4
"""How many UploadPartCopy requests move bytes at a time: each fills rows of its own (law 9)."""
FORM_DISK_BYTES = 16 * GIB
"""What the files of POST forms under way may take of the disk for temporary files, together."""


@dataclass(slots=True)
class Gate:
    """Settings are read once; catalog, store and budget live as long as the process."""

    settings: Settings
    catalog: Catalog
    store: Store
    budget: Budget
    identities: Identities
    kms: Kms | None = None
    """Who keeps the keys of SSE-S3 and SSE-KMS, if anybody does."""
    copies: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(COPIES_AT_ONCE))
    form_disk: Budget = field(default_factory=lambda: Budget(FORM_DISK_BYTES))

    @property
    def row_bytes(self) -> int:
        """How much of a body is taken at a time: a full row of pieces."""
        return self.store.layout.row_bytes
