"""The worker's HTTP face."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

from litestar import MediaType, Request, Response, Router, delete, get, post
from litestar.response import Stream

from rbee.contract.wire import ColonyAddresses, InferAnswer, InferRequest, WorkerDrain, WorkerHeartbeat
from rbee.contract.wire.openai_api import ModelEntries, ModelEntry
from rbee.contract.wire.worker_api import WorkerAcknowledged, WorkerCapabilities, WorkerHealth, WorkerReady
from rbee.gateway.deadline import HEADER as DEADLINE
from rbee.gateway.deadline import seconds_of
from rbee.http.app import build, event_stream
from rbee.http.front import Front, Receive, Scope, Send, send_error
from rbee.http.guard import Guard
from rbee.http.sse import encode as sse
from rbee.worker.ending import Ending
from rbee.worker.figures import CONTENT_TYPE, exposition, figures
from rbee.worker.host import WorkerHost
from rbee.worker.infer import as_events, as_whole, encode
from rbee.worker.leaving import unless_gone
from rbee.worker.offers import check_offered
from rbee.worker.underway import UnderWay


class StrictInferRequest(InferRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`InferRequest` that refuses what it does not know: dropped, it would change the answer unnoticed."""


@get("/health")
async def health(service: WorkerHost) -> WorkerHealth:
    """Alive, whatever the model does."""
    return WorkerHealth(status="ok", worker_id=service.worker_id, state=service.state)


@get("/ready")
async def ready(service: WorkerHost) -> WorkerReady:
    """200 once the model is loaded, 503 with the stage before."""
    service.check_ready()
    return WorkerReady(status="ready", worker_id=service.worker_id)


@get("/info")
async def info(service: WorkerHost, queen_url: str | None = None) -> WorkerHeartbeat:
    """The worker as its heartbeat tells it; ``queen_url`` introduces a queen to a worker that was given none."""
    if queen_url is not None:
        service.introduce_queen(queen_url)
    return await service.beat()


@get("/capabilities")
async def capabilities(service: WorkerHost) -> WorkerCapabilities:
    """What it can do, and by which version of the contract."""
    return service.contract()


@get("/metrics", media_type=MediaType.TEXT)
async def metrics(service: WorkerHost) -> Response[bytes]:
    """Figures for Prometheus; those that are not known are left out."""
    told = figures(await service.status(), open_requests=service.open_requests)
    return Response(exposition(told), headers={"content-type": CONTENT_TYPE})


@get("/v1/models")
async def models(service: WorkerHost) -> ModelEntries:
    """The one model, as OpenAI lists models."""
    variant = service.spec.variant
    entry = ModelEntry(id=variant.name, object="model", created=0, owned_by=variant.vendor)
    return ModelEntries(object="list", data=[entry])


@post("/v1/infer", status_code=200)
async def infer(
    service: WorkerHost, data: StrictInferRequest, request: Request[Any, Any, Any]
) -> Stream | Response[InferAnswer]:
    """Generate text, streamed unless ``stream`` is false.  A field that it does not know is refused, not dropped."""
    request_id = data.request_id or request.scope["state"]["request_id"]
    if not data.stream:
        whole = as_whole(service.infer(data, request_id))
        return Response(await unless_gone(_receive_of(request), whole))
    events = as_events(service.infer(data, request_id), request_id, service.spec.model_id)
    # Drawn here, so that a refusal is an error with its status and not a stream with one event.
    first = await anext(events)

    async def body() -> AsyncIterator[bytes]:
        async with contextlib.aclosing(events):
            yield sse(encode(first))
            async for event in events:
                yield sse(encode(event))

    return event_stream(body())


def _receive_of(request: Request[Any, Any, Any]) -> Receive:
    """What comes from the client behind the body, which has been read by now."""

    async def receive() -> dict[str, Any]:
        return dict(await request.receive())

    return receive


@delete("/v1/infer/{request_id:str}", status_code=204)
async def cancel(service: WorkerHost, request_id: str) -> None:
    """End a request; harmless when it has ended."""
    service.cancel(request_id)


@post("/v1/colony", status_code=200)
async def colony(service: WorkerHost, data: ColonyAddresses) -> WorkerAcknowledged:
    """Queen and registry are elsewhere now; a hive that found this worker after a restart says so."""
    service.move(data)
    return WorkerAcknowledged(status="ok")


@post("/v1/drain", status_code=200)
async def drain(service: WorkerHost) -> WorkerDrain:
    """Take no more requests, finish those under way, stay; again, how many are still open."""
    return service.rest()


@delete("/v1/drain", status_code=200)
async def resume(service: WorkerHost) -> WorkerDrain:
    """Take requests again."""
    return service.resume()


@post("/v1/shutdown", status_code=202)
async def shutdown(service: WorkerHost) -> WorkerAcknowledged:
    """Finish open requests, then exit."""
    service.shutdown_asked.set()
    return WorkerAcknowledged(status="stopping")


HANDLERS = (health, ready, info, capabilities, metrics, models, infer, cancel, colony, drain, resume, shutdown)
"""Every route but OpenAI's, in the order in which the description has them."""


@contextlib.contextmanager
def _expiring(one: UnderWay, seconds: float | None) -> Iterator[None]:
    """A block at whose deadline the request is ended."""
    if seconds is None:
        yield
        return
    timer = asyncio.get_running_loop().call_later(seconds, one.expire)
    try:
        yield
    finally:
        timer.cancel()


def make_app(service: WorkerHost, guard: Guard, max_body: int) -> Front:
    """The worker's application with its guard and the OpenAI routes.

    Args:
        service: the worker.
        guard: who may call what.
        max_body: bytes an inference request may have; the OpenAI routes' is the engine's face's to keep.
    """
    inference = Router("/", route_handlers=[infer], request_max_body_size=max_body)
    handlers = [inference, *(one for one in HANDLERS if one is not infer)]

    async def openai(scope: Scope, receive: Receive, send: Send, *, path: str, request_id: str) -> None:
        ending = Ending(send, request_id)
        try:
            check_offered(path, service.capabilities, service.spec.model_id)
            value = next((value for name, value in scope["headers"] if name == DEADLINE), None)
            seconds = None if value is None else seconds_of(value)
            with service.request(request_id) as one, _expiring(one, seconds), one.interruptible():
                state = {**scope.get("state", {}), "request_id": request_id}
                await service.face.openai(dict(scope, path=path, state=state), receive, ending.send)
        except Exception as error:
            await send_error(send, error, openai=True, request_id=request_id)
            return
        if one.cancelled:
            await ending.cancelled(late=one.late)

    return Front(build(handlers, service, title="rbee worker"), guard, data_plane=openai)
