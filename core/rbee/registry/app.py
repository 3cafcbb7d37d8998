"""The registry's HTTP face."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Mapping
from types import MappingProxyType
from typing import Any

import msgspec
from litestar import Request, delete, get, post, put
from litestar.response import Stream

from rbee.contract.errors import PermissionDeniedError
from rbee.contract.version import __version__
from rbee.contract.wire import Component, LeaseRenewal, Registration, Revocations
from rbee.http.app import build, event_stream
from rbee.http.front import Front
from rbee.http.guard import Guard
from rbee.http.peers import check_speaks_for, peer_of
from rbee.http.sse import MEDIA_TYPE
from rbee.http.sse import encode as sse
from rbee.registry.service import RegistryService
from rbee.trust.names import Role
from rbee.trust.spawned import SpawnTokens


@get("/health")
async def health(service: RegistryService) -> dict[str, str]:
    """Alive."""
    return {"status": "ok", "program": "registry", "version": __version__}


@post("/v1/registry/register", status_code=200)
async def register(service: RegistryService, request: Request[Any, Any, Any], data: Registration) -> Component:
    """Enter or update a component, in either form."""
    _check_own(request, data.component_type, data.identity)
    return await service.register(data)


@post("/v1/registry/heartbeat", status_code=200)
async def heartbeat(service: RegistryService, request: Request[Any, Any, Any], data: LeaseRenewal) -> dict[str, Any]:
    """Keep a lease, and hear where the queen is; 404 means register again."""
    _check_own(request, data.component_type, data.component_id or data.worker_id)
    return {"status": "ok", "queen": await service.renew(data)}


@delete("/v1/registry/unregister", status_code=204)
async def unregister(service: RegistryService, request: Request[Any, Any, Any], data: LeaseRenewal) -> None:
    """End a lease; harmless when there is none."""
    _check_own(request, data.component_type, data.component_id or data.worker_id)
    await service.drop(data)


@get("/v1/registry/components")
async def components(service: RegistryService) -> dict[str, list[Component]]:
    """Everything with a living lease."""
    return {"components": await service.components()}


@get("/v1/registry/hives")
async def hives(service: RegistryService) -> dict[str, Any]:
    """Hives; under their own name and as components."""
    found = await service.components("hive")
    return {"components": found, "hives": found}


@get("/v1/registry/workers")
async def workers(service: RegistryService) -> dict[str, Any]:
    """Workers; under their own name and as components."""
    found = await service.components("worker")
    return {"components": found, "workers": found}


@get("/v1/registry/queen")
async def queen(service: RegistryService) -> dict[str, Component | None]:
    """The queen, null when there is none."""
    return {"queen": await service.queen()}


@get("/v1/registry/events", media_type=MEDIA_TYPE)
async def events(service: RegistryService, request: Request[Any, Any, Any]) -> Stream:
    """What is there, then every change, as server-sent events; after ``Last-Event-ID`` only what came behind it."""
    after = request.headers.get("last-event-id")

    async def body() -> AsyncGenerator[bytes]:
        async with contextlib.aclosing(service.events(after)) as changes:
            async for event_id, change in changes:
                yield sse(msgspec.json.encode(change), event=change.type, event_id=event_id)

    return event_stream(body())


@put("/v1/registry/revoked", status_code=204)
async def revoked(service: RegistryService, data: Revocations) -> None:
    """Whose certificates hold no more: all of them; the queen's to say."""
    service.revoke(frozenset(int(one, 16) for one in data.revoked))


_SPEAK_FOR: Mapping[Role, frozenset[str]] = MappingProxyType(
    {
        Role.QUEEN: frozenset({"queen"}),
        # A hive ends the lease of a worker that has crashed.
        Role.HIVE: frozenset({"hive", "worker"}),
        Role.WORKER: frozenset({"worker"}),
    }
)


def _check_own(request: Request[Any, Any, Any], kind: str | None, subject: str | None) -> None:
    """Whether the caller may speak of a component: itself, a hive of its workers, or an operator of all.

    Raises:
        PermissionDeniedError: it is another one's.
    """
    peer = peer_of(request)
    if peer is None:
        return
    kind = kind or "worker"
    if kind not in _SPEAK_FOR.get(peer.role, ()):
        raise PermissionDeniedError(f"The {peer.role} {peer.id!r} may not speak for a {kind}.")
    if kind == peer.role:
        check_speaks_for(peer, peer.role, subject)


def make_app(service: RegistryService, guard: Guard, spawned: SpawnTokens | None = None) -> Front:
    """The registry's application behind its guard, which knows the tokens of workers."""
    handlers = [health, register, heartbeat, unregister, components, hives, workers, queen, events, revoked]
    return Front(build(handlers, service, title="rbee registry"), guard, spawned=spawned)
