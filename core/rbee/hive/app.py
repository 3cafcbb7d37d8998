"""The hive's HTTP face."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator

from litestar import get, post
from litestar.response import Stream

from rbee.contract.version import __version__
from rbee.contract.wire import HiveCapabilities
from rbee.hive.service import HiveService, telemetry_line
from rbee.http.app import build, event_stream
from rbee.http.front import Front
from rbee.http.guard import Guard
from rbee.http.jobs import JOB_ROUTES
from rbee.http.sse import encode as sse


@get("/health")
async def health(service: HiveService) -> dict[str, str]:
    """Alive."""
    return {"status": "ok", "program": "hive", "hive_id": service.hive_id, "version": __version__}


@get(["/v1/capabilities", "/capabilities"])
async def capabilities(service: HiveService) -> HiveCapabilities:
    """Devices and engines."""
    return service.capabilities()


@get("/v1/heartbeats/stream")
async def heartbeats(service: HiveService) -> Stream:
    """Telemetry, every second."""

    async def body() -> AsyncGenerator[bytes]:
        async with contextlib.aclosing(service.beats()) as beats:
            async for beat in beats:
                yield sse(telemetry_line(beat), event="heartbeat")

    return event_stream(body())


@post("/v1/shutdown", status_code=202)
async def shutdown(service: HiveService) -> dict[str, str]:
    """Stop the workers, then the program."""
    service.shutdown_asked.set()
    return {"status": "stopping"}


def make_app(service: HiveService, guard: Guard) -> Front:
    """The hive's application behind its guard."""
    return Front(build([health, capabilities, heartbeats, shutdown, *JOB_ROUTES], service), guard)
