"""Every limit of the catalog, named, with its unit (law 9). It knows no environment: settings may build another."""

from __future__ import annotations

from dataclasses import dataclass

MAX_KEY_BYTES = 1024
"""S3's limit on keys. Listing computes the ends of ranges from it, schema.sql holds it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Defaults for a gate. A worker needs fewer connections and is given the same."""

    commit_connections: int = 2
    lookup_connections: int = 2
    other_connections: int = 4
    commit_gather_seconds: float = 0.01
    """Behind a commit that is under way, others gather for so long before they take the next connection: beside it they
    would be smaller, and each of them would pay for the locks (on one bucket and one session) that all of them hold."""
    ahead_seconds: float = 0.02
    """For how long a statement that was sent ahead may wait for its bytes, holding its locks."""
    ahead_rest_seconds: float = 0.1
    """... and for how long nothing is sent ahead when one had waited for so long."""
    batch_rows: int = 128
    """Rows of one batch: bounds the time a batch holds its locks."""
    waiting_requests: int = 4096
    """Requests that may wait in one queue; the next one is refused."""
    discard_rows: int = 65536
    """Contents that may wait to be queued as garbage; beyond it the sweep of the closed session finds them."""
    connect_seconds: float = 5.0
    reconnect_first_seconds: float = 0.05
    reconnect_most_seconds: float = 1.0
    down_seconds: float = 5.0
    """How long a request waits for a connection while Postgres is away."""
    statement_seconds: float = 15.0
    lock_seconds: float = 10.0
    idle_in_transaction_seconds: float = 10.0
    beyond_statement_seconds: float = 3.0
    """So much longer than a statement a transaction may take: ends what a process holds that was stopped within it."""
    answer_seconds: float = 20.0
    """Without an answer for so long a connection is given up: longer than any statement may take."""
    tries: int = 10
    """Runs of a statement that ended in a deadlock or a serialization failure."""
    lost_races: int = 200
    """Batches in which one write may lose its race: each loss means that another gate's write won."""
    settle_seconds: float = 10.0
    """How long a caller waits to learn what became of an ambiguous commit; the settling itself never gives up."""
    session_heartbeat_seconds: float = 5.0
    """Several must fit into the time after which a worker closes a silent session: see `for_session_timeout`."""
    bucket_cache_seconds: float = 2.0
    bucket_cache_rows: int = 10_000
    bucket_cache_bytes: int = 64 << 20
    """Of what the remembered buckets were told."""
    manifest_cache_parts: int = 500_000
    """Of all contents that are remembered together: some 40 MB. One may have 10,000."""
    garbage_lease_seconds: float = 30.0
    """What a killed collector had taken waits for so long; one that lives renews it (workers/collect.py)."""

    @classmethod
    def for_session_timeout(cls, seconds: float) -> Limits:
        """The limits of a process whose session is closed when nothing was heard of it for so long."""
        return cls(session_heartbeat_seconds=min(cls().session_heartbeat_seconds, seconds / 6))
