"""The application of the S3 port: `/-/` is ours, everything else is S3.

No bucket can be named "-", so health and metrics shadow nothing. Only here, and never on the way of an S3
request, is Starlette at work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from s3gate.web.cycle import Application
from s3gate.web.meters import Sample, render

OWN_PREFIX = b"/-/"
METRICS_TYPE = "text/plain; version=0.0.4"


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether a PUT would be accepted now, and what that depends on."""

    postgres: bool
    nodes_up: int
    nodes_full: int
    nodes_read_only: int
    groups_writable: int

    @property
    def ready(self) -> bool:
        return self.postgres and self.groups_writable > 0


def make_app(
    door: Application, readiness: Callable[[], Readiness], samples: Callable[[], Iterable[Sample]]
) -> Application:
    """One application out of the S3 door and our own pages."""
    pages: Application = own_pages(readiness, samples)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        # An exact "/-/": the bucket-like path "/-x" is S3's to refuse.
        if scope["raw_path"].startswith(OWN_PREFIX):
            await pages(scope, receive, send)
        else:
            await door(scope, receive, send)

    return app


def own_pages(readiness: Callable[[], Readiness], samples: Callable[[], Iterable[Sample]]) -> Application:
    """Health for supervisors and load balancers, metrics for Prometheus."""

    async def live(_: Request) -> Response:
        return JSONResponse({"live": True})

    async def ready(_: Request) -> Response:
        now = readiness()
        found = {
            "ready": now.ready,
            "postgres": now.postgres,
            "nodes_up": now.nodes_up,
            "nodes_full": now.nodes_full,
            "nodes_read_only": now.nodes_read_only,
            "groups_writable": now.groups_writable,
        }
        return JSONResponse(found, 200 if now.ready else 503)

    async def metrics(_: Request) -> Response:
        return Response(render(samples()), media_type=METRICS_TYPE)

    return Starlette(
        routes=[
            Route("/-/live", live),
            Route("/-/ready", ready),
            Route("/-/health/live", live),
            Route("/-/health/ready", ready),
            Route("/-/metrics", metrics),
        ]
    )
