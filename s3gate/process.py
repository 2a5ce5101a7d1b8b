"""What every long-running process of s3gate does about itself: where its log goes, and what makes it stop.

It knows nothing of what the process does.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys


def log_to_stderr() -> None:
    """Warnings and worse, each with its time: what runs well says nothing."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(asctime)s %(name)s %(message)s")


def stopped_by_signals() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop
