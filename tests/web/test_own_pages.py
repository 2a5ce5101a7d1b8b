"""Our own pages, the counters behind them, the access log, sockets and the dispatch table."""

from __future__ import annotations

import asyncio
import json
import platform
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from s3gate.s3.operation import OPERATIONS
from s3gate.web import line_log
from s3gate.web.access_log import AccessLog, Entry
from s3gate.web.app import Readiness, make_app
from s3gate.web.dispatch import dispatch_table, function_name
from s3gate.web.limits import Limits
from s3gate.web.listeners import listening_socket, make_server
from s3gate.web.meters import Meters, Sample, render
from s3gate.web.tuning import tune_allocator

NOW = datetime(2026, 1, 2, 3, 4, 5, 678_000, UTC)
ENTRY = Entry(NOW, "ID", "::1", "AK", "PUT", b"/b/k", "PutObject", 200, "", 5, 0, 0.0123, b'a"g\xff')


async def s3(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"s3"})


async def test_own_pages_are_beside_s3(listen: Any) -> None:
    states = [Readiness(True, 6, 0, 0, 1)]
    app = make_app(s3, lambda: states[-1], lambda: [Sample("x", "X.", "gauge", 1)])
    async with listen(app) as listener:
        wire = await listener.connect()

        async def ask(path: str) -> tuple[int, bytes]:
            reply = await wire.ask(f"GET {path} HTTP/1.1\r\nhost: h\r\n\r\n".encode())
            return reply.status, reply.body

        for path in ("/", "/-", "/-x", "/b/-/live", "/%2D/live"):
            assert await ask(path) == (200, b"s3")
        for path in ("/-/live", "/-/health/live", "/-/ready", "/-/health/ready", "/-/metrics"):
            assert (await ask(path))[0] == 200
        assert (await ask("/-/other"))[0] == 404
        for unready in (Readiness(False, 6, 0, 0, 1), Readiness(True, 5, 1, 0, 0)):
            states.append(unready)
            assert (await ask("/-/ready"))[0] == 503
        assert (await ask("/-/live"))[0] == 200


def test_prometheus_text() -> None:
    meters = Meters()
    meters.count("PutObject", 200, 0.5, 10, 0)
    meters.count("PutObject", 503, 0.25, 0, 100)
    meters.count("GetObject", 206, 0.1, 0, 7)
    page = render(meters.samples()).decode()
    lines = page.splitlines()
    assert 's3gate_requests_total{operation="PutObject",status="5xx"} 1' in lines
    assert 's3gate_request_seconds_total{operation="PutObject"} 0.75' in lines
    assert 's3gate_sent_bytes_total{operation="GetObject"} 7' in lines
    names = [line.split("{")[0].split(" ")[0] for line in lines if not line.startswith("#")]
    assert names == sorted(names, key=names.index), "samples of one name stand together"
    for name in set(names):
        assert lines.count(next(line for line in lines if line.startswith(f"# TYPE {name} "))) == 1


async def test_access_log_is_written_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_log, "FLUSH_SECONDS", 0.02)
    file = tmp_path / "access.log"
    log = AccessLog(str(file), queued_lines=2)
    writer = asyncio.create_task(log.run())
    for _ in range(3):
        log.add(ENTRY)
    await asyncio.sleep(0.1)
    first = [json.loads(line) for line in file.read_text().splitlines()]
    assert first[2] == {"dropped": 1}
    assert first[0] == {
        "time": "2026-01-02T03:04:05.678+00:00",
        "request_id": "ID",
        "remote": "::1",
        "access_key": "AK",
        "method": "PUT",
        "path": "/b/k",
        "operation": "PutObject",
        "status": 200,
        "error": "",
        "bytes_in": 5,
        "bytes_out": 0,
        "milliseconds": 12.3,
        "user_agent": 'a"gÿ',
    }
    file.rename(tmp_path / "rotated")
    log.add(ENTRY)
    writer.cancel()
    await asyncio.wait([writer])
    assert len(file.read_text().splitlines()) == 1


async def test_a_log_that_cannot_be_written_harms_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_log, "FLUSH_SECONDS", 0.01)
    target = tmp_path / "missing" / "access.log"
    log = AccessLog(str(target))
    writer = asyncio.create_task(log.run())
    log.add(ENTRY)
    await asyncio.sleep(0.05)
    target.parent.mkdir()
    await asyncio.sleep(0.05)
    assert json.loads(target.read_text().splitlines()[0]) == {"dropped": 1}
    writer.cancel()
    await asyncio.wait([writer])


def test_every_built_operation_has_its_function() -> None:
    assert set(dispatch_table()) == {name for name, row in OPERATIONS.items() if row.built}
    assert function_name("ListObjectsV2") == "list_objects_v2"
    assert function_name("CreateMultipartUpload") == "create_multipart_upload"


async def serving(server: uvicorn.Server, listener: socket.socket) -> asyncio.Task[None]:
    task = asyncio.create_task(server.serve(sockets=[listener]))
    await server.wait_started(task)  # type: ignore[attr-defined]
    return task


async def test_two_servers_share_an_inherited_socket() -> None:
    parent = listening_socket(("127.0.0.1", 0), None)
    port = parent.getsockname()[1]
    inherited = [socket.fromfd(parent.fileno(), parent.family, parent.type).detach() for _ in range(2)]
    servers = [make_server(s3, Limits()) for _ in inherited]
    tasks = [
        await serving(server, listening_socket(("unused", 0), fd))
        for server, fd in zip(servers, inherited, strict=True)
    ]
    servers[0].should_exit = True
    await asyncio.wait_for(tasks[0], 5)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /x HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n")
    assert (await reader.read()).endswith(b"\r\n\r\ns3")
    servers[1].should_exit = True
    await asyncio.wait_for(tasks[1], 5)
    parent.close()


async def test_requests_under_way_are_cut_after_the_grace_period() -> None:
    started = asyncio.Event()

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        started.set()
        await asyncio.sleep(100)

    listener = listening_socket(("127.0.0.1", 0), None)
    port = listener.getsockname()[1]
    server = make_server(endless, Limits())
    task = await serving(server, listener)
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /x HTTP/1.1\r\nhost: h\r\n\r\n")
    await started.wait()
    began = asyncio.get_running_loop().time()
    server.should_exit = True
    await asyncio.wait_for(task, 5)
    await server.wait_ended(1)
    assert asyncio.get_running_loop().time() - began < 2.7
    assert not server.server_state.tasks
    writer.close()


def test_the_allocator_is_told() -> None:
    assert tune_allocator() is (platform.libc_ver()[0] == "glibc")
