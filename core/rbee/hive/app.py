"""The hive's HTTP face."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator

from litestar import delete, get, post
from litestar.response import Stream

from rbee.contract.version import __version__
from rbee.contract.wire import HiveCapabilities, HiveDrain
from rbee.hive.catalog_routes import CATALOG_ROUTES
from rbee.hive.log_routes import worker_log
from rbee.hive.service import HiveService
from rbee.http.app import build, event_stream
from rbee.http.front import Front
from rbee.http.guard import Guard
from rbee.http.jobs import JOB_ROUTES
from rbee.http.sse import MEDIA_TYPE
from rbee.http.sse import encode as sse


@get("/health")
async def health(service: HiveService) -> dict[str, str]:
    """Alive."""
    return {"status": "ok", "program": "hive", "hive_id": service.hive_id, "version": __version__}


@get(["/v1/capabilities", "/capabilities"])
async def capabilities(service: HiveService, queen_url: str | None = None) -> HiveCapabilities:
    """Devices and engines; ``queen_url`` introduces a queen to a hive that was given none."""
    return service.capabilities(queen_url)


@get("/v1/heartbeats/stream", media_type=MEDIA_TYPE)
async def heartbeats(service: HiveService) -> Stream:
    """Telemetry, every second."""

    async def body() -> AsyncGenerator[bytes]:
        async with contextlib.aclosing(service.lines()) as lines:
            async for line in lines:
                yield sse(line, event="heartbeat")

    return event_stream(body())


@post("/v1/drain", status_code=200)
async def drain(service: HiveService) -> HiveDrain:
    """Start no workers; those there are take no more requests.  Again, how many are still open."""
    return await service.drain(on=True)


@delete("/v1/drain", status_code=200)
async def resume(service: HiveService) -> HiveDrain:
    """Work again."""
    return await service.drain(on=False)


@post("/v1/shutdown", status_code=202)
async def shutdown(service: HiveService, keep_workers: bool = False) -> dict[str, str]:
    """Stop the workers, or leave those that serve for the next life of the hive, then the program."""
    service.shut_down(keep_workers=keep_workers)
    return {"status": "stopping"}


def make_app(service: HiveService, guard: Guard) -> Front:
    """The hive's application behind its guard."""
    handlers = [health, capabilities, heartbeats, worker_log, *CATALOG_ROUTES, drain, resume, shutdown, *JOB_ROUTES]
    return Front(build(handlers, service, title="rbee hive"), guard)
