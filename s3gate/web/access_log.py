"""What the access log says of one request: a JSON line, written as `line_log.py` writes.

A line holds no secret: paths without their queries (a presigned query is a credential), and of headers only the user
agent.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from s3gate.web.line_log import QUEUED_LINES, STDOUT, LineLog, LogFile, StandardOutput


class Entry(NamedTuple):
    """What is known of one request when it is over."""

    at: datetime
    request_id: str
    remote: str
    access_key: str
    method: str
    path: bytes
    operation: str
    status: int
    error: str
    bytes_in: int
    bytes_out: int
    seconds: float
    user_agent: bytes


class AccessLog(LineLog[Entry]):
    """Every request. The target is `-` for standard output, or a path."""

    def __init__(self, target: str, queued_lines: int = QUEUED_LINES) -> None:
        sink = StandardOutput() if target == STDOUT else LogFile(Path(target))
        super().__init__(sink, _line, queued_lines)


def _line(entry: Entry) -> str:
    return json.dumps(
        {
            "time": entry.at.isoformat(timespec="milliseconds"),
            "request_id": entry.request_id,
            "remote": entry.remote,
            "access_key": entry.access_key,
            "method": entry.method,
            "path": entry.path.decode("latin-1"),
            "operation": entry.operation,
            "status": entry.status,
            "error": entry.error,
            "bytes_in": entry.bytes_in,
            "bytes_out": entry.bytes_out,
            "milliseconds": round(entry.seconds * 1000, 3),
            "user_agent": entry.user_agent.decode("latin-1"),
        },
        separators=(",", ":"),
    )
