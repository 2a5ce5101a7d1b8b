"""What an identity's document says: tags, description, trust policy and the like, as JSON.

The catalog keeps it unread.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from s3gate.catalog.identity_rows import IdentityRow


def written(**said: Any) -> bytes:
    """A document; what is empty is left out."""
    return json.dumps({name: value for name, value in said.items() if value}, separators=(",", ":")).encode()


@lru_cache(maxsize=4096)
def _read(document: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(document)
    return found


def said(row: IdentityRow) -> dict[str, Any]:
    """What the document says; a copy."""
    return dict(_read(row.document))


def tags_of(row: IdentityRow) -> dict[str, str]:
    """The tags, by their keys."""
    return dict(_read(row.document).get("tags", {}))


def tags_with(row: IdentityRow, tags: Mapping[str, str]) -> dict[str, str]:
    """The tags, but for those that these replace: keys are the same in any case."""
    replaced = {name.lower() for name in tags}
    return {**{name: value for name, value in tags_of(row).items() if name.lower() not in replaced}, **tags}


def changed(row: IdentityRow, **news: Any) -> IdentityRow:
    """The row with some things said differently."""
    return row._replace(document=written(**{**_read(row.document), **news}))
