"""Asks a gate whether it would take a PUT now, and else what is missing. Knows one page of it, no S3."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass, fields

READY_PATH = "/-/ready"
TIMEOUT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Readiness:
    """What the gate says."""

    ready: bool
    postgres: bool
    nodes_up: int
    nodes_full: int
    nodes_read_only: int

    def answers(self, nodes: int) -> bool:
        """Whether there is nothing more to wait for: so many nodes are there, whether they take writes or not."""
        return self.ready or (self.postgres and self.nodes_up + self.nodes_full + self.nodes_read_only >= nodes)

    def __str__(self) -> str:
        postgres = "answers" if self.postgres else "does not answer"
        full = f"{self.nodes_full} without room (see CHUNKD_FREE_FLOOR_BYTES)" if self.nodes_full else ""
        read_only = f"{self.nodes_read_only} read-only (see their logs)" if self.nodes_read_only else ""
        return ", ".join(filter(None, (f"Postgres {postgres}", f"{self.nodes_up} nodes take writes", full, read_only)))


def ask(address: tuple[str, int], *, tls: bool) -> Readiness | None:
    """What the gate says; None where there is no answer, or none that makes sense."""
    connection = _connection(*address, tls)
    try:
        connection.request("GET", READY_PATH)
        found = json.loads(connection.getresponse().read())
        return Readiness(**{item.name: found[item.name] for item in fields(Readiness)})
    except (OSError, http.client.HTTPException, ValueError, KeyError):
        return None
    finally:
        connection.close()


def _connection(host: str, port: int, tls: bool) -> http.client.HTTPConnection:
    if not tls:
        return http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
    import ssl

    # We ask a child of ours on a socket that we bound: whose name the certificate bears does not matter.
    context = ssl._create_unverified_context()
    return http.client.HTTPSConnection(host, port, timeout=TIMEOUT_SECONDS, context=context)
