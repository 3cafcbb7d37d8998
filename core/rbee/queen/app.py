"""The queen's HTTP face: control routes by Litestar, inference by the relay in front of it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, delete, get, post
from litestar.openapi import ResponseSpec
from litestar.params import Parameter
from litestar.response import Stream

from rbee.contract.errors import ModelNotFoundError, NotFoundError
from rbee.contract.version import __version__
from rbee.contract.wire import AggregateHeartbeat, HiveBeatAnswer, Registration, WorkerHeartbeat, WorkerRecord
from rbee.doors import door_error, make_doors, make_plane
from rbee.gateway import RelayCalls
from rbee.http.app import build, event_stream
from rbee.http.errors import STATUS_BY_CODE
from rbee.http.front import Front
from rbee.http.guard import Guard
from rbee.http.jobs import JOB_ROUTES
from rbee.http.peers import check_speaks_for, peer_of
from rbee.http.sse import MEDIA_TYPE
from rbee.http.sse import encode as sse
from rbee.queen.alias_routes import ALIAS_ROUTES
from rbee.queen.beehive_routes import BEEHIVE_ROUTES
from rbee.queen.ca_routes import CA_ROUTES, OPEN_CA_PATHS
from rbee.queen.drain_routes import DRAIN_ROUTES
from rbee.queen.explain_routes import EXPLAIN_ROUTES
from rbee.queen.hive_beats import hive_beat
from rbee.queen.inference_paths import inference_paths
from rbee.queen.memory_routes import MEMORY_ROUTES
from rbee.queen.metrics_routes import METRICS_ROUTES
from rbee.queen.service import QueenService
from rbee.trust.names import Role
from rbee.trust.spawned import SpawnTokens


class StateUpdate(msgspec.Struct, frozen=True):
    """Body of ``POST /v1/workers/update``."""

    worker_id: str
    state: str


class HiveReady(msgspec.Struct, frozen=True):
    """Body of ``POST /v1/hive/ready``."""

    hive_id: str
    hive_url: str


@get("/health")
async def health(service: QueenService) -> dict[str, str]:
    """Alive."""
    return {"status": "ok", "program": "queen", "version": __version__, "instance_id": service.instance_id}


@get("/v1/info")
async def info(service: QueenService) -> dict[str, Any]:
    """The queen and her colony in figures."""
    return service.info()


@get("/v1/models")
async def models(service: QueenService, request: Request[Any, Any, Any]) -> dict[str, Any]:
    """Models that can be asked for."""
    return {"object": "list", "data": await service.models(trusted=_is_trusted(request))}


@get("/v1/models/{name:path}")
async def model(service: QueenService, request: Request[Any, Any, Any], name: str) -> dict[str, Any]:
    """One model, by its short or canonical name."""
    wanted = name.removeprefix("/")
    for found in await service.models(trusted=_is_trusted(request)):
        # A canonical name is the model's own, not that of its aliases.
        if wanted == found["id"] or (wanted == found["rbee"]["model_id"] and "alias_of" not in found["rbee"]):
            return found
    raise ModelNotFoundError(f"There is no model {wanted!r}; GET /v1/models lists what there is.")


@post("/v1/queen/register-worker", status_code=200)
async def register_worker(service: QueenService, request: Request[Any, Any, Any], data: Registration) -> dict[str, str]:
    """The fast path: a spawner tells of a worker."""
    _check_of_worker(service, request, data.identity)
    created = service.reports.register_worker(data)
    return {"status": "ok", "message": "registered" if created else "updated"}


@post(
    "/v1/workers/register",
    status_code=201,
    responses={200: ResponseSpec(dict[str, str], generate_examples=False, description="It was known.")},
)
async def ready_callback(
    service: QueenService, request: Request[Any, Any, Any], data: Registration
) -> Response[dict[str, str]]:
    """The ready callback: 201 registered, 200 updated."""
    _check_of_worker(service, request, data.identity)
    created = service.reports.register_worker(data)
    return Response(
        {"status": "ok", "message": "registered" if created else "updated"}, status_code=201 if created else 200
    )


@post("/v1/queen/register-hive", status_code=200)
async def register_hive(service: QueenService, request: Request[Any, Any, Any], data: Registration) -> dict[str, str]:
    """The fast path for a hive."""
    check_speaks_for(peer_of(request), Role.HIVE, data.identity)
    service.reports.register_hive(data)
    return _taken(True)


@post("/v1/hive/ready", status_code=200)
async def hive_ready(service: QueenService, request: Request[Any, Any, Any], data: HiveReady) -> dict[str, str]:
    """A hive introduces itself."""
    check_speaks_for(peer_of(request), Role.HIVE, data.hive_id)
    service.reports.register_hive(Registration(component_type="hive", component_id=data.hive_id, url=data.hive_url))
    return _taken(True)


@get("/v1/workers/list")
async def workers(service: QueenService) -> dict[str, list[WorkerRecord]]:
    """Every worker known."""
    return {"workers": service.workers()}


@post("/v1/workers/update", status_code=200)
async def update_worker(service: QueenService, request: Request[Any, Any, Any], data: StateUpdate) -> dict[str, str]:
    """A worker's state, told by somebody."""
    _check_of_worker(service, request, data.worker_id)
    if not service.reports.set_state(data.worker_id, data.state):
        raise NotFoundError(f"Worker {data.worker_id!r} is not known.")
    return _taken(True)


@delete("/v1/workers/{worker_id:str}", status_code=204)
async def remove_worker(
    service: QueenService,
    request: Request[Any, Any, Any],
    worker_id: str,
    instance_id: str | None = None,
    pid: int | None = None,
    crashed: Annotated[str | None, Parameter(max_length=1000)] = None,
) -> None:
    """A worker is gone; harmless when it is not known, or when another process has its id by now."""
    _check_of_worker(service, request, worker_id)
    service.reports.remove_worker(worker_id, instance_id, pid, crashed)


@post("/v1/worker-heartbeat", status_code=200)
async def worker_heartbeat(
    service: QueenService, request: Request[Any, Any, Any], data: WorkerHeartbeat
) -> dict[str, str]:
    """A worker's beat."""
    _check_of_worker(service, request, data.worker.id)
    return _taken(service.reports.beat_worker(data))


@post("/v1/hive-heartbeat", status_code=200)
async def hive_heartbeat(service: QueenService, request: Request[Any, Any, Any]) -> HiveBeatAnswer:
    """A hive's beat with telemetry, in either form; says whether the queen hears the hive's own stream."""
    beat = hive_beat(await request.body())
    peer = peer_of(request)
    if isinstance(beat, AggregateHeartbeat):
        check_speaks_for(peer, Role.HIVE, beat.hive_id)
        told = _taken(service.reports.beat_aggregate(beat))["message"]
        return HiveBeatAnswer(message=told, revoked=service.certificates.revoked())
    check_speaks_for(peer, Role.HIVE, beat.hive.id)
    message = _taken(service.reports.beat_hive(beat))["message"]
    hears = service.subscriptions.hears(beat.hive.id)
    return HiveBeatAnswer(message=message, subscribed=hears, revoked=service.certificates.revoked())


@get("/v1/heartbeats/stream", media_type=MEDIA_TYPE)
async def heartbeats(service: QueenService) -> Stream:
    """The colony as it lives."""

    async def body() -> AsyncGenerator[bytes]:
        async with contextlib.aclosing(service.reports.heartbeats()) as lines:
            async for line in lines:
                yield sse(line, event="heartbeat")

    return event_stream(body())


@post("/v1/shutdown", status_code=202)
async def shutdown(service: QueenService) -> dict[str, str]:
    """Stop the queen and whatever shares her process."""
    service.shutdown_asked.set()
    return {"status": "stopping"}


HANDLERS = (
    health,
    info,
    models,
    model,
    register_worker,
    ready_callback,
    register_hive,
    hive_ready,
    workers,
    update_worker,
    remove_worker,
    worker_heartbeat,
    hive_heartbeat,
    heartbeats,
    shutdown,
    *ALIAS_ROUTES,
    *BEEHIVE_ROUTES,
    *CA_ROUTES,
    *DRAIN_ROUTES,
    *EXPLAIN_ROUTES,
    *MEMORY_ROUTES,
    *JOB_ROUTES,
    *METRICS_ROUTES,
)


def make_app(
    service: QueenService,
    guard: Guard,
    max_body: int,
    *,
    open_metrics: bool = False,
    spawned: SpawnTokens | None = None,
) -> Front:
    """The queen's application: guard, relay, control routes.

    Args:
        service: the queen.
        guard: who may call what.
        max_body: bytes that a request for inference may have.
        open_metrics: whether ``GET /metrics`` asks for no token.
        spawned: judges the tokens of workers.
    """
    calls = RelayCalls(service.relay, lambda error: STATUS_BY_CODE[error.code])
    return Front(
        build(HANDLERS, service, title="rbee queen", further=inference_paths()),
        guard,
        direct=make_plane(service.relay, guard, max_body),
        doors=make_doors(calls, service, max_body),
        door_error=door_error,
        open_paths=(*OPEN_CA_PATHS, "/metrics") if open_metrics else OPEN_CA_PATHS,
        spawned=spawned,
    )


def _is_trusted(request: Request[Any, Any, Any]) -> bool:
    """Whether the caller has sent the colony's token, where none was asked for."""
    return bool(request.scope["state"].get("trusted"))


def _check_of_worker(service: QueenService, request: Request[Any, Any, Any], worker_id: str | None) -> None:
    """Whether the caller may speak of a worker: itself, its hive, or an operator.

    Raises:
        PermissionDeniedError: it is another one's.
    """
    peer = peer_of(request)
    check_speaks_for(peer, Role.WORKER, worker_id)
    owner = None if worker_id is None else service.hive_of(worker_id)
    if owner is not None:
        check_speaks_for(peer, Role.HIVE, owner)


def _taken(taken: bool) -> dict[str, str]:
    return {"status": "ok", "message": "taken" if taken else "late or repeated; ignored"}
