"""What a running store says of itself, to people and to programs: endpoint, keys, database.

`s3gate up` writes it as JSON (mode 0600) when it takes requests, into DATA/store.json and the `--ready-file`, and
removes it when it stops.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path


class RunningError(RuntimeError):
    """No store runs in that directory, as far as its files tell."""


@dataclass(frozen=True, slots=True)
class Running:
    """A store that takes requests: what is needed to use it, and to look at it."""

    endpoint: str
    internal_url: str
    region: str
    access_key: str
    secret_key: str
    nodes: int
    gates: int
    data_dir: str
    database_url: str
    cluster_key_file: str
    kms_keys_file: str
    pid: int

    def as_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, data_dir: Path) -> Running:
        """Of the store that runs in this directory."""
        try:
            found = json.loads(store_file(data_dir).read_text("utf-8"))
            return cls(**{item.name: found[item.name] for item in fields(cls)})
        except (OSError, ValueError, KeyError) as error:
            raise RunningError(f"no store runs in {data_dir} ({error})") from None


def store_file(data_dir: Path) -> Path:
    """Where a running store is described."""
    return data_dir / "store.json"
