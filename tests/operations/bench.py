"""A gate on the fakes, and a door that is only as wide as an operation needs."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping

import pytest
from lxml import etree

from s3gate.gate import Gate
from s3gate.operations.body import Body
from s3gate.operations.exchange import Call, Response
from s3gate.s3.credentials import Authentication, PayloadMode
from s3gate.s3.errors import S3Error
from s3gate.s3.operation import refusal, resolve
from s3gate.s3.request import Request
from s3gate.settings import Settings
from s3gate.store.budget import Budget
from s3gate.web.dispatch import dispatch_table
from tests.operations.fake_identities import FakeIdentities
from tests.operations.fake_store import ROW_BYTES, FakeStore
from tests.operations.fakes import NOW, FakeCatalog

FUNCTIONS = dispatch_table()
ROOT = Authentication("ROOT", PayloadMode.UNSIGNED, scope="20261123/us-east-1/s3/aws4_request")


class Bench:
    """A gate on the fakes, and `ask`, which performs one request as the door would."""

    def __init__(self) -> None:
        self.catalog = FakeCatalog()
        self.store = FakeStore(self.catalog.ids)
        self.budget = Budget(16 * ROW_BYTES)
        self.identities = FakeIdentities(NOW)
        self.gate = Gate(Settings(), self.catalog, self.store, self.budget, self.identities)

    async def ask(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        headers: Mapping[str, str | None] | None = None,
        *,
        cut: int | None = None,
        chunk: int = 30_000,
        auth: Authentication = ROOT,
    ) -> Reply:
        """A header that is None is left out. `cut` ends the body after so many bytes, as if the client went away."""
        path, _, query = target.partition("?")
        given = {"host": "gate:9000", "content-length": str(len(body)), **(headers or {})}
        raw = [(name.encode(), value.encode("latin-1")) for name, value in given.items() if value is not None]
        request = Request.parse(method, path.encode(), query.encode(), raw)
        pieces = [body[i : i + chunk] for i in range(0, len(body if cut is None else body[:cut]), chunk)]
        if cut is not None:
            pieces = [body[:cut]] if cut else []

        async def receive() -> dict:
            await asyncio.sleep(0)
            if pieces:
                data = pieces.pop(0)
                return {"type": "http.request", "body": data, "more_body": bool(pieces) or cut is not None}
            if cut is not None:
                return {"type": "http.disconnect"}
            return {"type": "http.request", "body": b"", "more_body": False}

        operation = resolve(method, request.bucket != "", request.key != b"", request.query, request.headers)
        if not operation.built:
            raise refusal(operation)
        identity = self.identities.remembered(auth.access_key)
        sent = Body(receive, request.headers, auth)
        call = Call(self.gate, request, operation, auth, sent, NOW, "REQUESTID", identity)
        return await Reply.of(await FUNCTIONS[operation.name](call))

    async def put(self, target: str, body: bytes = b"hello", headers: dict[str, str] | None = None) -> Reply:
        return await self.ask("PUT", target, body, headers)


class Reply:
    """An answer that has been read to its end."""

    def __init__(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes, streamed: bool) -> None:
        self.status = status
        self.raw = headers
        self.headers = {name.decode(): value.decode("latin-1") for name, value in headers}
        assert len(self.headers) == len(headers), "a header twice"
        self.body = body
        self.streamed = streamed

    @classmethod
    async def of(cls, response: Response) -> Reply:
        if isinstance(response.body, bytes):
            return cls(response.status, response.headers, response.body, False)
        data = b"".join([bytes(piece) async for piece in response.body])
        reply = cls(response.status, response.headers, data, True)
        assert int(reply.headers["content-length"]) == len(data)
        return reply

    def text(self, name: str) -> str | None:
        """The text of the first element of this name."""
        found = self.texts(name)
        return found[0] if found else None

    def texts(self, name: str) -> list[str]:
        root = etree.fromstring(self.body)
        return [node.text or "" for node in root.iter() if etree.QName(node).localname == name]


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


async def code(awaited) -> str:
    """The code of the S3Error that it must end with."""
    with pytest.raises(S3Error) as caught:
        await awaited
    return caught.value.code
