"""A proxy before Postgres that cuts a connection at a chosen statement: before forwarding it, or before its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from psycopg.conninfo import conninfo_to_dict, make_conninfo

SYNC = b"S\0\0\0\4"
CHUNK = 1 << 16
ANSWER_SECONDS = 0.5


class CuttingProxy:
    """Forwards a unix socket. `arm(name, forward=...)`: the next message that runs this statement is the last."""

    def __init__(self, dsn: str, directory: Path) -> None:
        given = conninfo_to_dict(dsn)
        name = f".s.PGSQL.{given.get('port') or 5432}"
        self._real = Path(str(given["host"])) / name
        self._own = directory / name
        self.dsn = make_conninfo(dsn, host=str(directory))
        self._armed: tuple[Callable[[bytes], bool], bool] | None = None
        self.cut = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self.refuses = False

    def arm(self, statement: str, *, forward: bool) -> None:
        """Cut when this statement comes by; `forward`: Postgres still gets it, the client never hears of it."""
        # Before it a Bind has the portal's name, which is empty; a Parse, which runs nothing, has its own length.
        name = b"\0" + statement.encode() + b"\0"
        self._armed = (lambda data: b"B" in data and name in data, forward)
        self.cut.clear()

    def arm_sync(self, *, forward: bool) -> None:
        """Cut when a sync comes by alone: the commit of what was sent ahead."""
        self._armed = (lambda data: data == SYNC, forward)
        self.cut.clear()

    def drop_all(self) -> None:
        """Cut every connection now."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def __aenter__(self) -> CuttingProxy:
        self._server = await asyncio.start_unix_server(self._serve, self._own)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        self.drop_all()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refuses:
            writer.transport.abort()
            return
        up_reader, up_writer = await asyncio.open_unix_connection(str(self._real))
        self._writers |= {writer, up_writer}
        down = asyncio.ensure_future(self._pump(up_reader, writer))
        try:
            with suppress(ConnectionError):
                while data := await reader.read(CHUNK):
                    if self._armed and self._armed[0](data):
                        forward, self._armed = self._armed[1], None
                        down.cancel()
                        await asyncio.wait([down])
                        if forward:
                            up_writer.write(data)
                            await self._until_run(up_reader)
                        writer.transport.abort()
                        self.cut.set()
                        # Leave Postgres its connection for a moment: it does not know that its client is gone.
                        await asyncio.sleep(0.3)
                        return
                    up_writer.write(data)
        finally:
            down.cancel()
            writer.transport.abort()
            up_writer.close()
            self._writers -= {writer, up_writer}

    async def _until_run(self, reader: asyncio.StreamReader) -> None:
        """Until Postgres has answered, or must be waiting for a lock: cut earlier, a raised fence could overtake it."""
        with suppress(TimeoutError):
            await asyncio.wait_for(reader.read(CHUNK), ANSWER_SECONDS)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(CHUNK):
                writer.write(data)
        writer.transport.abort()
