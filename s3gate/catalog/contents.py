"""What completed uploads became: which parts a content has, and where the bytes of a part are.

Contents never change (law 3), so manifests are remembered without asking again.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import accumulate

from s3gate.catalog.connection import Statement
from s3gate.catalog.errors import ObjectMissing
from s3gate.catalog.limits import Limits
from s3gate.catalog.parameters import BYTEA, INT4
from s3gate.catalog.parts import COLUMNS
from s3gate.catalog.pool import Pool
from s3gate.catalog.rows import Manifest, PartRow

MANIFEST = Statement("content_manifest", "SELECT part_numbers, part_sizes FROM content WHERE content_id = $1", BYTEA)
# Parts that Complete did not list may still lie between the others: the content says which count. (LIMIT 1: each is
# found by its number. A join may be planned as a reading of all of them for a page, or as each of one side with each of
# the other.)
PARTS = Statement(
    "content_parts",
    """SELECT p.*
       FROM content c
       CROSS JOIN LATERAL unnest(c.part_numbers) AS n (part_number)
       CROSS JOIN LATERAL (
           SELECT """
    + COLUMNS
    + """ FROM part WHERE upload_id = c.content_id AND part_number = n.part_number LIMIT 1) AS p
       WHERE c.content_id = $1 AND n.part_number BETWEEN $2 AND $3
       ORDER BY p.part_number""",
    BYTEA,
    INT4,
    INT4,
)


class Contents:
    """The table of contents."""

    def __init__(self, pool: Pool, limits: Limits) -> None:
        self._pool = pool
        self._most_parts = limits.manifest_cache_parts
        self._parts = 0
        self._known: OrderedDict[bytes, Manifest] = OrderedDict()

    async def manifest(self, content_id: bytes) -> Manifest:
        """The content's parts; ObjectMissing once it has been collected."""
        known = self._known
        if (manifest := known.get(content_id)) is not None:
            known.move_to_end(content_id)
            return manifest
        rows = await self._pool.repeat(MANIFEST, content_id)
        if not rows:
            raise ObjectMissing
        numbers, sizes = rows[0]
        manifest = Manifest(content_id, tuple(numbers), tuple(accumulate(sizes)))
        if content_id not in known:  # nobody else asked at the same time
            known[content_id] = manifest
            self._parts += len(numbers)
            while self._parts > self._most_parts:
                self._parts -= len(known.popitem(last=False)[1].part_numbers)
        return manifest

    async def parts(self, content_id: bytes, first_part: int, last_part: int) -> list[PartRow]:
        """The content's parts whose numbers lie between these two, in order."""
        return [PartRow._make(row) for row in await self._pool.repeat(PARTS, content_id, first_part, last_part)]
