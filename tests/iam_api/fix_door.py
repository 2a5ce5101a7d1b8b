"""IAM and STS behind their door and nothing else: signatures, forms and the answers as boto3 reads them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree

import boto3
import uvicorn
from botocore.config import Config

from chunkd.wire import ClusterKey
from s3gate.catalog import schema
from s3gate.catalog.catalog import Catalog
from s3gate.iam_api.handle import IamService
from s3gate.iam_api.jwks import ProviderKeys, fetch
from s3gate.identity.identities import Identities
from s3gate.s3.credentials import Credential
from s3gate.s3.request import Request
from s3gate.web.brakes import Brakes
from s3gate.web.iam_door import IamDoor

KEY = ClusterKey(b"c" * 16, b"s" * 32)
ROOT = Credential("AKIDTESTROOT00000000", "secretKey/with+odd=characters0123456789x")
REGION = "us-east-1"


class Running:
    """A server with a catalog of its own, in a thread of its own."""

    def __init__(self, database: str, port: int) -> None:
        self.database = database
        self.endpoint = f"http://127.0.0.1:{port}"
        self.port = port
        self.offset = 0.0
        self.identities: Identities
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._server: uvicorn.Server
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._main(),), daemon=True)
        self._thread.start()
        assert self._ready.wait(30)

    def clock(self) -> float:
        """The time, and what a test has added to it."""
        return time.time() + self.offset

    async def _main(self) -> None:
        await asyncio.to_thread(schema.adopt, self.database, KEY.cluster_id)
        catalog = await Catalog.open(self.database, kind="gate")
        self.identities = Identities(catalog.identities, KEY, ROOT, REGION, self.clock)
        await self.identities.start()
        self._door = IamDoor(
            self.identities, IamService(self.identities, ProviderKeys(fetch, self.clock)), Brakes(0, 0)
        )
        config = uvicorn.Config(self._app, port=self.port, log_level="warning", lifespan="off", interface="asgi3")
        self._server = uvicorn.Server(config)
        serving = asyncio.ensure_future(self._server.serve())
        while not self._server.started:  # noqa: ASYNC110 (uvicorn has no event for it)
            await asyncio.sleep(0.01)
        self._ready.set()
        await serving
        await catalog.close()

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request.parse(
            scope["method"], scope["raw_path"], scope["query_string"], scope["headers"], remote=scope["client"][0]
        )
        now = datetime.fromtimestamp(self.clock(), UTC)
        response = (await self._door.answer(request, receive, now, "request-1")).response
        await send({"type": "http.response.start", "status": response.status, "headers": response.headers})
        await send({"type": "http.response.body", "body": response.body})

    def call(self, function: Callable[[], Any]) -> Any:
        """Run a coroutine in the server's loop."""
        return asyncio.run_coroutine_threadsafe(function(), self._loop).result(30)

    def stop(self) -> None:
        """And wait."""
        self._server.should_exit = True
        self._thread.join(30)
        self._loop.close()

    def client(self, service: str, keys: Any = None, **more: Any) -> Any:
        """boto3's client: of the root, or with these keys (an answer's AccessKey or Credentials)."""
        keys = keys or {"AccessKeyId": ROOT.access_key, "SecretAccessKey": ROOT.secret_key}
        session = boto3.session.Session(
            keys["AccessKeyId"], keys["SecretAccessKey"], keys.get("SessionToken"), region_name=REGION
        )
        config = Config(retries={"max_attempts": 1}, parameter_validation=False, **more)
        client = session.client(service, endpoint_url=self.endpoint, config=config)
        client.meta.events.register("after-call", check_form)
        return client


def check_form(http_response: Any, model: Any, **_: Any) -> None:
    """A success says what the service's model has, in its places, and leaves out nothing that is required."""
    if http_response.status_code != 200:
        return
    root = ElementTree.fromstring(http_response.content)
    result = root.find(f"{{*}}{model.name}Result")
    assert (result is not None) == (model.output_shape is not None), model.name
    if result is not None:
        check_shape(result, model.output_shape, model.name)


def check_shape(element: ElementTree.Element, shape: Any, where: str) -> None:
    """One element against its shape."""
    names = [child.tag.partition("}")[2] for child in element]
    if shape.type_name == "structure":
        assert set(names) <= set(shape.members), f"{where}: {set(names) - set(shape.members)}"
        assert set(shape.required_members) <= set(names), f"{where}: {set(shape.required_members) - set(names)}"
        assert len(names) == len(set(names)), where
        for name, child in zip(names, element, strict=True):
            check_shape(child, shape.members[name], f"{where}.{name}")
    elif shape.type_name == "list":
        assert set(names) <= {"member"}, where
        for child in element:
            check_shape(child, shape.member, where)


@contextmanager
def running(database: str, port: int) -> Iterator[Running]:
    """A server, stopped at the end."""
    server = Running(database, port)
    try:
        yield server
    finally:
        server.stop()
