"""What the processes of a store are told: command lines and environments, for `up` and for tests alike.

It knows the names of the variables of a gate, a worker and a chunkd, and nothing about starting processes.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from s3gate.embedded.keys import RootKeys

ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True, slots=True)
class Cluster:
    """What every process of one store shares."""

    database_url: str
    cluster_key_file: Path
    root: RootKeys
    kms_keys_file: Path | None = None


def python(module: str, *arguments: str) -> list[str]:
    """One of our own programs, run by the Python that runs us."""
    return [sys.executable, "-m", module, *arguments]


def environment(environ: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """What a child sees: ours, with `own` on top, and the package findable from any directory."""
    paths = [str(ROOT), *filter(None, [environ.get("PYTHONPATH", "")])]
    return {**environ, "PYTHONPATH": ":".join(paths), "PYTHONUNBUFFERED": "1", **own}


def gate_variables(cluster: Cluster, **more: str) -> dict[str, str]:
    """The variables of a gate or a worker; `more` is named without the prefix: `listen_fd="5"`."""
    own = {
        "database_url": cluster.database_url,
        "cluster_key_file": str(cluster.cluster_key_file),
        "root_access_key": cluster.root.access_key,
        "root_secret_key": cluster.root.secret_key,
        **({} if cluster.kms_keys_file is None else {"kms_keys_file": str(cluster.kms_keys_file)}),
        **more,
    }
    return {f"S3GATE_{name.upper()}": value for name, value in own.items()}


def chunkd_variables(cluster: Cluster, data: Path, socket: Path, join: str, **more: str) -> dict[str, str]:
    """The variables of a chunkd: any free port on loopback, which it tells the gates when it joins."""
    own = {
        "data_dir": str(data),
        "listen": "127.0.0.1:0",
        "socket": str(socket),
        "join": join,
        "cluster_key_file": str(cluster.cluster_key_file),
        **more,
    }
    return {f"CHUNKD_{name.upper()}": value for name, value in own.items()}
