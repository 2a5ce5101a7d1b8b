"""What a client may take from the listener: every limit has a name here, with its unit (law 9)."""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1 << 10
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of connections and of the HTTP on them; sizes of bodies are S3's and stand elsewhere."""

    head_bytes: int = 8 * KIB
    """S3's own limit of a header section: above it RequestHeaderSectionTooLarge."""
    hard_head_bytes: int = 16 * KIB
    """Above it nothing is read any more, however the bytes arrive: header, chunk extensions or trailers."""
    header_count: int = 200
    head_seconds: float = 10.0
    """From the first byte of a header section (or the connection itself) to its end."""
    idle_seconds: float = 75.0
    """A kept-alive connection without a request."""
    body_bytes_per_second: int = 1 * KIB
    body_window_seconds: float = 20.0
    """The least rate of a body that an operation waits for, measured over windows this long."""
    download_bytes_per_second: int = 1 * KIB
    download_window_seconds: float = 60.0
    """The least rate at which a client takes what it asked for."""
    crowded_seconds: float = 2.0
    """For how long somebody must have waited for memory until slow clients, who hold it, have to be quicker."""
    crowded_bytes_per_second: int = 16 * KIB
    crowded_window_seconds: float = 8.0
    """Then this is the least rate, of bodies and downloads."""
    body_buffer_bytes: int = 1 * MIB
    """Received and not yet taken by the operation: above it reading pauses."""
    drain_bytes: int = 64 * KIB
    """At most this much of an unread body is read and dropped to keep the connection; else it is closed."""
    linger_seconds: float = 3.0
    """How long a connection with an unread body stays open, so that its answer is not lost."""
    connections_per_address: int = 4096
    connections: int = 10_000
    sweep_seconds: float = 1.0
    """How often deadlines are looked at: their precision."""
