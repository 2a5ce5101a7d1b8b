"""Uploads that nobody finishes, and tombstones of those that were: both end after a setting.

Expiring is aborting: the upload's row goes in the statement that queues its garbage, and the collector does the rest.
"""

from __future__ import annotations

from s3gate.workers.workshop import UPLOAD_ROWS, Workshop


async def expire_uploads(shop: Workshop) -> bool:
    """One batch of uploads that are older than the setting."""
    return await shop.catalog.expire_uploads(shop.settings.upload_expiry_seconds, UPLOAD_ROWS) == UPLOAD_ROWS


async def forget_completed(shop: Workshop) -> bool:
    """One batch of answers to Complete that nobody will ask for again."""
    return await shop.catalog.forget_completed(shop.settings.tombstone_seconds, UPLOAD_ROWS) == UPLOAD_ROWS
