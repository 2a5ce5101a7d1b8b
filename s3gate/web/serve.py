"""A gate from its start to its end: opens what it needs, serves two ports, stops in order.

    allocator -> catalog (a session) -> store -> fleet -> S3 port and internal port -> one line on stdout
    SIGTERM   -> no new connections -> requests finish -> session closed -> connections to nodes closed

Everything that lives as long as the process is made here, and only here; the rest receives it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import uvloop

from chunkd import wire
from s3gate.catalog import schema
from s3gate.catalog.catalog import Catalog
from s3gate.catalog.limits import Limits as CatalogLimits
from s3gate.catalog.starting import when_up
from s3gate.crypto.errors import KeyFileError
from s3gate.crypto.kms import LocalKms
from s3gate.gate import Gate
from s3gate.iam_api.handle import IamService
from s3gate.iam_api.jwks import ProviderKeys, fetch
from s3gate.identity.identities import Identities
from s3gate.identity.naming import MAIN_ACCOUNT_ID
from s3gate.process import log_to_stderr, stopped_by_signals
from s3gate.s3.credentials import Credential
from s3gate.settings import Address, SettingsError
from s3gate.store.budget import Budget
from s3gate.store.limits import SMALL_BYTES, SMALL_SHARE, StoreLimits
from s3gate.store.store import Store
from s3gate.web.access_log import AccessLog
from s3gate.web.app import make_app
from s3gate.web.audit_log import AuditLog
from s3gate.web.brakes import Brakes
from s3gate.web.cycle import Application
from s3gate.web.dispatch import dispatch_table
from s3gate.web.door import Door
from s3gate.web.fleet_watch import FleetWatch
from s3gate.web.iam_door import IamDoor
from s3gate.web.internal import Internal
from s3gate.web.limits import Limits
from s3gate.web.listeners import Server, listening_socket, make_server
from s3gate.web.meters import Meters, Sample
from s3gate.web.tuning import tune_allocator, tune_collector
from s3gate.web.website import WebsiteDoor, by_host

if TYPE_CHECKING:
    from s3gate.settings import Settings

log = logging.getLogger("s3gate.web")

KIND = "gate"
CANCELLED_SECONDS = 0.2
"""How long requests that were cancelled at the end may take to clean up."""
NOTE_USED_SECONDS = 10.0
CLOSE_SECONDS = 0.5
"""How long closing the session may take: one that is not closed is closed by a worker later."""


def run(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT, on the fastest event loop there is."""
    log_to_stderr()
    uvloop.run(serve(settings))


async def serve(settings: Settings, stop: asyncio.Event | None = None) -> None:
    """Serves until `stop` is set, or a signal sets it."""
    stop = stopped_by_signals() if stop is None else stop
    _check_certificate(settings)
    tune_allocator()
    key = wire.ClusterKey.parse(settings.cluster_key_text())
    async with contextlib.AsyncExitStack() as stack:
        gate, watch = await _open_gate(settings, key, stack, stop)
        meters, access_log, audit_log = Meters(), _access_log(settings), _audit_log(settings)
        logs = [each for each in (access_log, audit_log) if each is not None]
        for work in (watch.run(), _note_used_keys(gate.identities), *(each.run() for each in logs)):
            stack.push_async_callback(_cancel, asyncio.create_task(work))
        brakes = Brakes(settings.failed_signatures_per_minute, settings.failed_signature_delay_seconds)
        iam = IamDoor(gate.identities, IamService(gate.identities, ProviderKeys(fetch, time.time)), brakes)
        door = Door(gate, dispatch_table(), iam, meters, brakes, access_log, audit_log)
        app = make_app(door, watch.readiness, _samples(gate, meters, brakes, audit_log))
        if settings.website_domains:
            site = WebsiteDoor(gate, dispatch_table(), iam, meters, brakes, access_log, audit_log)
            app = by_host(settings.website_domains, site, app)
        internal = Internal(gate.catalog, key.derive(wire.INTERNAL_PURPOSE), time.time, watch.node_joined)
        await _serve_ports(settings, app, internal, gate.budget.longest_wait_seconds, stop)


def _access_log(settings: Settings) -> AccessLog | None:
    return AccessLog(settings.access_log) if settings.access_log else None


def _audit_log(settings: Settings) -> AuditLog | None:
    if not settings.audit_log:
        return None
    return AuditLog(settings.audit_log, settings.audit_log_bytes, settings.audit_log_files)


async def _open_catalog(settings: Settings, key: wire.ClusterKey) -> Catalog:
    await schema.prepare(settings.database_url, key.cluster_id)
    limits = CatalogLimits.for_session_timeout(settings.session_timeout_seconds)
    return await Catalog.open(settings.database_url, kind=KIND, limits=limits)


async def _open_gate(
    settings: Settings, key: wire.ClusterKey, stack: contextlib.AsyncExitStack, stop: asyncio.Event
) -> tuple[Gate, FleetWatch]:
    catalog = await when_up(lambda: _open_catalog(settings, key), stop)
    stack.push_async_callback(_close_catalog, catalog)
    wanted = (settings.layout, settings.unit_bytes, settings.floor_bytes, settings.segment_bytes)
    layout = await when_up(lambda: catalog.find_or_make_layout(*wanted), stop)
    for_rows = settings.body_budget_bytes
    budget = Budget(for_rows, max(SMALL_BYTES, for_rows // SMALL_SHARE))
    limits = StoreLimits(
        placement=settings.placement,
        cache_bytes=settings.cache_bytes,
        write_wait_seconds=settings.write_wait_seconds,
        read_wait_seconds=settings.read_wait_seconds,
    )
    store = Store(key, limits, catalog.ids, time.time, layout=layout, budget=budget)
    stack.push_async_callback(store.close)
    watch = FleetWatch(catalog, store)
    with contextlib.suppress(Exception):  # its loop will say so if it goes on failing
        await watch.refresh()
    return Gate(settings, catalog, store, budget, await _open_identities(settings, key, catalog), _kms(settings)), watch


def _kms(settings: Settings) -> LocalKms | None:
    """Who keeps keys: the file that the setting names."""
    if settings.kms_keys_file is None:
        return None
    try:
        return LocalKms(settings.kms_keys_file, settings.region, MAIN_ACCOUNT_ID)
    except KeyFileError as error:
        raise SettingsError(f"S3GATE_KMS_KEYS_FILE: {error}") from None


async def _open_identities(settings: Settings, key: wire.ClusterKey, catalog: Catalog) -> Identities:
    """Who may sign: whom the catalog knows, and the installation's own key pair."""
    root = Credential(settings.root_access_key, settings.root_secret_key) if settings.root_access_key else None
    identities = Identities(catalog.identities, key, root, settings.region, time.time)
    await identities.start()
    return identities


async def _note_used_keys(identities: Identities) -> None:
    """When keys were used is written down now and then: nobody waits for it, and losing some of it loses nothing."""
    while True:
        await asyncio.sleep(NOTE_USED_SECONDS)
        with contextlib.suppress(Exception):
            await identities.flush()


async def _serve_ports(
    settings: Settings, app: Application, internal: Internal, waited_seconds: Callable[[], float], stop: asyncio.Event
) -> None:
    limits = Limits()
    public = _listen("S3GATE_LISTEN", settings.listen, settings.listen_fd)
    private = _listen("S3GATE_INTERNAL_LISTEN", settings.internal_listen, settings.internal_fd)
    outside = make_server(app, limits, settings.tls_cert, settings.tls_key, waited_seconds=waited_seconds)
    servers = [outside, make_server(internal, limits)]
    serving = [
        asyncio.create_task(server.serve(sockets=[listener]))
        for server, listener in zip(servers, (public, private), strict=True)
    ]
    for server, task in zip(servers, serving, strict=True):
        await server.wait_started(task)
    tune_collector()
    scheme = "https" if settings.tls_cert else "http"
    _announce(scheme, public.getsockname(), private.getsockname())
    waiting = asyncio.create_task(stop.wait())
    await asyncio.wait([waiting, *serving], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    await _stop(servers, serving)


def _listen(variable: str, address: Address, inherited: int | None) -> socket.socket:
    try:
        return listening_socket(address, inherited)
    except OSError as error:
        raise SettingsError(f"{variable}: cannot listen on {address}: {error.strerror or error}") from None


def _check_certificate(settings: Settings) -> None:
    """Whether it can be served: said before anything is opened, and in words."""
    if settings.tls_cert is None or settings.tls_key is None:
        return
    try:
        for path in (settings.tls_cert, settings.tls_key):
            path.read_bytes()  # the library's own error names no file
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(settings.tls_cert, settings.tls_key, password="")  # or it would ask the terminal
    except ssl.SSLError as error:
        what = f"{settings.tls_cert} and {settings.tls_key} are no certificate (PEM) and its key without a passphrase"
        raise SettingsError(f"S3GATE_TLS_CERT, S3GATE_TLS_KEY: {what}: {error.reason}") from None
    except OSError as error:
        raise SettingsError(f"S3GATE_TLS_CERT, S3GATE_TLS_KEY: {error}") from None


def _announce(scheme: str, public: tuple[str, int], private: tuple[str, int]) -> None:
    """The line by which a supervisor knows that connections are accepted, and where."""
    line = {"ready": True, "s3": f"{scheme}://{public[0]}:{public[1]}", "internal": f"{private[0]}:{private[1]}"}
    print(json.dumps(line), flush=True)


async def _stop(servers: Iterable[Server], serving: Iterable[asyncio.Task[None]]) -> None:
    for server in servers:
        server.should_exit = True
    outcomes = await asyncio.gather(*serving, return_exceptions=True)
    for server in servers:
        await server.wait_ended(CANCELLED_SECONDS)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def _close_catalog(catalog: Catalog) -> None:
    try:
        await asyncio.wait_for(catalog.close(), CLOSE_SECONDS)
    except Exception as error:
        log.warning("the session was not closed, a worker will do it: %r", error)


def _samples(gate: Gate, meters: Meters, brakes: Brakes, audit_log: AuditLog | None) -> Callable[[], Iterable[Sample]]:
    """The metrics page: the door's counters, and what the other rooms know of themselves."""

    def collect() -> Iterable[Sample]:
        yield from meters.samples()
        budget, view = gate.budget, gate.store.local_view()
        yield Sample("s3gate_body_budget_bytes", "Bytes that bodies may hold.", "gauge", budget.total)
        yield Sample("s3gate_body_budget_free_bytes", "Of them, held by nobody.", "gauge", budget.free)
        yield Sample("s3gate_body_budget_waiting", "Bodies that wait for theirs.", "gauge", budget.waiting)
        yield Sample("s3gate_failed_signatures_total", "Nobody's keys, wrong signatures.", "counter", brakes.failed)
        yield Sample("s3gate_slowed_signatures_total", "Of them, held back.", "counter", brakes.slowed)
        if audit_log is not None:
            yield Sample("s3gate_audit_lines_lost_total", "Never written.", "counter", audit_log.lost)
        lent = "Read where nodes on this host lent them: no node has sent these."
        yield Sample("s3gate_lent_bytes_total", lent, "counter", gate.store.lent_bytes)
        for kind, batches, batched in gate.catalog.batches():
            label = f'kind="{kind}"'
            yield Sample("s3gate_catalog_batches_total", "Statements for many requests.", "counter", batches, label)
            yield Sample("s3gate_catalog_batched_total", "Requests in them.", "counter", batched, label)
        yield Sample("s3gate_nodes", "Nodes known.", "gauge", view.nodes)
        yield Sample("s3gate_nodes_up", "Nodes that take writes.", "gauge", view.nodes_up)
        yield Sample("s3gate_nodes_full", "Nodes without room.", "gauge", view.nodes_full)
        yield Sample("s3gate_nodes_read_only", "Nodes whose disk failed a sync.", "gauge", view.nodes_read_only)
        yield Sample("s3gate_groups", "Groups that may take writes.", "gauge", view.groups)
        yield Sample("s3gate_groups_writable", "Groups that do now.", "gauge", view.groups_writable)

    return collect
