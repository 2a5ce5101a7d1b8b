"""Counters of the door and the engine's gauges as Prometheus text. Knows names and numbers, nothing else."""

from __future__ import annotations

from chunkd.wire import NODE_FULL, NODE_OK, NODE_READ_ONLY, Health

_METHODS = frozenset(("GET", "HEAD", "PUT", "DELETE", "POST"))
_GAUGES = (
    ("capacity_bytes", "Size of the device."),
    ("free_bytes", "What may still be written before the node calls itself full."),
    ("used_bytes", "Bytes of shards kept, trash included."),
    ("shards", "Shards kept, trash included."),
    ("queue", "Writes waiting for the disk."),
    ("fsync_seconds", "Moving average of a sync."),
    ("io_errors", "Errors of the disk since the start."),
    ("incarnation", "How often this node has joined its cluster."),
)


class Metrics:
    """Counted since the start of the process."""

    def __init__(self) -> None:
        self._answers: dict[tuple[str, int], int] = {}
        self._received = 0
        self._sent = 0

    def count(self, method: str, status: int, received: int, sent: int) -> None:
        """Count one answer; methods nobody speaks share a name, so that a client cannot invent labels."""
        key = (method if method in _METHODS else "other", status)
        self._answers[key] = self._answers.get(key, 0) + 1
        self._received += received
        self._sent += sent

    def render(self, health: Health) -> bytes:
        """The page, in Prometheus' text format."""
        lines = _title("requests_total", "counter", "Answers by method and status.")
        for (method, status), count in sorted(self._answers.items()):
            lines.append(f'chunkd_requests_total{{method="{method}",status="{status}"}} {count}')
        lines += _title("received_bytes_total", "counter", "Bytes of bodies received.")
        lines.append(f"chunkd_received_bytes_total {self._received}")
        lines += _title(
            "sent_bytes_total", "counter", "Bytes of bodies sent; not those that gates read where they were lent (303)."
        )
        lines.append(f"chunkd_sent_bytes_total {self._sent}")
        for name, text in _GAUGES:
            lines += _title(name, "gauge", text)
            lines.append(f"chunkd_{name} {getattr(health, name)}")
        lines += _title("state", "gauge", "1 for the state the node is in.")
        for state in (NODE_OK, NODE_FULL, NODE_READ_ONLY):
            lines.append(f'chunkd_state{{state="{state}"}} {int(health.state == state)}')
        return ("\n".join(lines) + "\n").encode("ascii")


def _title(name: str, kind: str, text: str) -> list[str]:
    return [f"# HELP chunkd_{name} {text}", f"# TYPE chunkd_{name} {kind}"]
