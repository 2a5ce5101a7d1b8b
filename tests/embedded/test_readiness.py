"""What `up` waits for, and what it says while it does."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from s3gate.embedded.readiness import Readiness, ask

STATE = {"ready": False, "postgres": True, "nodes_up": 3, "nodes_full": 2, "nodes_read_only": 1, "groups_writable": 0}


@pytest.fixture
def answering() -> Iterator[tuple[str, int]]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(503)
            self.end_headers()
            self.wfile.write(json.dumps(STATE).encode())

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield "127.0.0.1", server.server_port
    server.shutdown()
    server.server_close()


def test_nodes_that_take_no_writes_are_not_waited_for(answering: tuple[str, int]) -> None:
    found = ask(answering, tls=False)
    assert found == Readiness(False, True, 3, 2, 1)
    assert found.answers(6) and not found.answers(7)
    assert not Readiness(False, False, 6, 0, 0).answers(6), "Postgres is waited for"
    assert Readiness(True, True, 6, 0, 0).answers(7), "six are enough for whoever writes"
    assert str(found) == (
        "Postgres answers, 3 nodes take writes, 2 without room (see CHUNKD_FREE_FLOOR_BYTES), "
        "1 read-only (see their logs)"
    )


def test_a_gate_that_is_not_there_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        address = nobody.getsockname()
    assert ask(address, tls=False) is None
