"""What buckets were told, in memory: the catalog's settings, for the fake catalog."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from s3gate.catalog.errors import TooManySettings
from s3gate.catalog.rows import BucketRow


class FakeSettings:
    """Documents by bucket, kind and id. Every change is a change of the bucket."""

    buckets: dict[str, BucketRow]
    _bucket: Callable[[str], BucketRow]
    _called: Callable[[str], Any]

    def __init__(self) -> None:
        super().__init__()
        self.named: dict[tuple[int, str, str], bytes] = {}

    async def put_setting(self, bucket: str, kind: str, document: bytes, setting_id: str = "", most: int = 0) -> None:
        self._called("put_setting")
        row = self._bucket(bucket)
        others = [where for where in self.named if where[:2] == (row.bucket_id, kind) and where[2] != setting_id]
        if most and len(others) >= most:
            raise TooManySettings
        if setting_id:
            self.named[row.bucket_id, kind, setting_id] = document
        else:
            self._tell(row, {**row.settings, kind: document})

    async def delete_setting(self, bucket: str, kind: str, setting_id: str = "") -> bool:
        self._called("delete_setting")
        row = self._bucket(bucket)
        if setting_id:
            return self.named.pop((row.bucket_id, kind, setting_id), None) is not None
        self._tell(row, {each: document for each, document in row.settings.items() if each != kind})
        return kind in row.settings

    async def find_setting(self, bucket_id: int, kind: str, setting_id: str) -> bytes | None:
        self._called("find_setting")
        return self.named.get((bucket_id, kind, setting_id))

    async def list_settings(self, bucket_id: int, kind: str, after: str, limit: int) -> list[tuple[str, bytes]]:
        self._called("list_settings")
        found = sorted((where[2], document) for where, document in self.named.items() if where[:2] == (bucket_id, kind))
        return [each for each in found if each[0] > after][:limit]

    def _tell(self, row: BucketRow, settings: dict[str, bytes]) -> None:
        self.buckets[row.name] = replace(row, config_number=row.config_number + 1, settings=settings)
        self.remembered.pop(row.name, None)
