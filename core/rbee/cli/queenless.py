"""Asking a worker without a queen: the registry says where workers are, each worker says whether it is free."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import msgspec

from rbee.cli.asking import Answer
from rbee.cli.console import Talk, say
from rbee.cli.context import Context
from rbee.cli.format import duration
from rbee.cli.known import KnownFile
from rbee.cli.locate import refused, registry_url
from rbee.clients import Credentials, RegistryClient, Transport, WorkerClient
from rbee.clients.who import REGISTRY, the_worker
from rbee.contract.errors import (
    AuthenticationError,
    ModelNotFoundError,
    NotFoundError,
    RbeeError,
    UnavailableError,
    UnreachableError,
)
from rbee.contract.types import WorkerState
from rbee.contract.wire import Component, InferRequest, WorkerBeat

_LOOKUP_S = 3.0
_ASKED_AT_ONCE = 16


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A worker that could answer.

    Attributes:
        worker_id: its id.
        url: its address.
        told: what it says of itself.
    """

    worker_id: str
    url: str
    told: WorkerBeat


async def ask_worker(
    context: Context, request: Mapping[str, Any], talk: Talk, on_text: Callable[[str], None]
) -> Answer:
    """Answer a request by the best worker that answers; cancelled, the line is closed, which frees the slot.

    Args:
        context: of the command.
        request: fields of the operation ``infer``.
        talk: shows what is done until the first text.
        on_text: given each piece of text.

    Raises:
        ModelNotFoundError: no worker serves the model.
        UnavailableError: those that do all refuse for now.
        RbeeError: why there is no answer.
    """
    talk.note("Asking the registry for workers")
    components = await _workers(context)
    suited = suitable(components, request)
    if not suited:
        raise _nobody(components, request)
    candidates = best_first(await _told(suited, context.credentials()), request)
    if not candidates:
        raise _nobody(components, request, answered=False)
    body = InferRequest(**{k: v for k, v in request.items() if v is not None and k in _FIELDS})
    for candidate in candidates:
        talk.note(f"{candidate.worker_id} answers")
        parts: list[str] = []

        def heard(piece: str, parts: list[str] = parts) -> None:
            talk.done()
            parts.append(piece)
            on_text(piece)

        try:
            return await _generate(candidate, context.credentials(), body, heard, parts)
        except (UnreachableError, UnavailableError):
            if parts or candidate is candidates[-1]:
                raise
    raise AssertionError("the last candidate answers or raises")


def suitable(components: Sequence[Component], request: Mapping[str, Any]) -> list[Component]:
    """Workers that may serve a request, by what they have registered; those that have not told their model are left in.

    Args:
        components: as the registry lists them.
        request: fields of the operation ``infer``.
    """
    model, worker_id, hive_id = request["model"], request.get("worker_id"), request.get("hive_id")
    found = []
    for one in components:
        names = {name for key in ("model", "model_name") if isinstance(name := one.metadata.get(key), str)}
        if one.component_type != "worker" or worker_id not in {None, one.component_id}:
            continue
        if names and not names & _names_of(model):
            continue
        if hive_id is not None and one.metadata.get("hive_id") not in {None, hive_id}:
            continue
        found.append(one)
    return found


def best_first(candidates: Sequence[Candidate], request: Mapping[str, Any]) -> list[Candidate]:
    """Those that serve the request, the one with the most free slots first.

    Args:
        candidates: who has answered.
        request: fields of the operation ``infer``.
    """
    wanted, hive_id, device = _names_of(request["model"]), request.get("hive_id"), request.get("device")
    fitting = [
        one
        for one in candidates
        if {one.told.model_id, one.told.model_name} & wanted
        and _serves(one.told.status)
        and hive_id in {None, one.told.hive_id}
        and device in {None, one.told.device}
    ]
    return sorted(fitting, key=lambda one: (-(one.told.slots_available or 0), one.told.queue_depth or 0, one.worker_id))


_FIELDS = frozenset(InferRequest.__struct_fields__) - {"model", "stream", "hive_id", "device", "worker_id"}
"""What is sent on: the worker has one model, and the others choose the worker."""


def _names_of(model: str) -> set[str | None]:
    """The names under which a worker may have it; a path is also a canonical name."""
    return {model, f"file:{model}"} if model.startswith("/") else {model}


def _serves(status: str) -> bool:
    try:
        return WorkerState.parse(status).serving
    except ValueError:
        return False


async def _workers(context: Context) -> list[Component]:
    """Components from the registry; the last list seen, with a note, when it does not answer.

    Raises:
        UnreachableError: it does not answer, and no list was kept.
        NotFoundError: no registry is known, likewise.
        AuthenticationError: it refuses this home's token.
    """
    url = registry_url(context)
    file = KnownFile(context.folders)
    away: RbeeError = NotFoundError("No registry is known. Start one (rbee registry start), or set registry.url.")
    if url is not None:
        credentials = context.present_credentials()
        transport = Transport(url, credentials, REGISTRY, timeout_s=_LOOKUP_S)
        try:
            found = await RegistryClient(transport).components()
        except UnreachableError as error:
            away = error
        except AuthenticationError as error:
            raise refused(context, url, credentials) from error
        else:
            file.save(url, found)
            return found
        finally:
            await transport.close()
    known = file.load()
    if known is None:
        raise away
    say(f"The registry is away; going by its list of {duration(known.age_s)} ago.")
    return list(known.components)


async def _told(components: Sequence[Component], credentials: Credentials) -> list[Candidate]:
    """What each worker says of itself, of those that answer."""
    gate = asyncio.Semaphore(_ASKED_AT_ONCE)

    async def ask(one: Component) -> Candidate | None:
        async with gate, _worker(one.component_id, one.url, credentials) as worker:
            try:
                return Candidate(worker_id=one.component_id, url=one.url, told=(await worker.info()).worker)
            except UnreachableError:
                return None

    return [found for found in await asyncio.gather(*map(ask, components)) if found is not None]


async def _generate(
    candidate: Candidate,
    credentials: Credentials,
    body: InferRequest,
    heard: Callable[[str], None],
    parts: Sequence[str],
) -> Answer:
    async with (
        _worker(candidate.worker_id, candidate.url, credentials) as worker,
        contextlib.aclosing(worker.infer(body)) as events,
    ):
        async for event in events:
            if event["type"] == "token":
                heard(event["t"])
            elif event["type"] == "end":
                return Answer(
                    text="".join(parts),
                    tokens=event["tokens_out"],
                    duration_ms=event["decode_time_ms"],
                    stop_reason=event["stop_reason"],
                    worker_id=candidate.worker_id,
                )
    raise UnreachableError(f"Worker {candidate.worker_id!r} ended its answer without saying how.")


@contextlib.asynccontextmanager
async def _worker(worker_id: str, url: str, credentials: Credentials) -> AsyncIterator[WorkerClient]:
    transport = Transport(url, credentials, the_worker(worker_id), timeout_s=_LOOKUP_S)
    try:
        yield WorkerClient(transport)
    finally:
        await transport.close()


def _hive_of(one: Component) -> object:
    """The hive that a component is, or that started it; None for neither."""
    return one.component_id if one.component_type == "hive" else one.metadata.get("hive_id")


def _nobody(components: Sequence[Component], request: Mapping[str, Any], *, answered: bool = True) -> RbeeError:
    workers = [one for one in components if one.component_type == "worker"]
    if request.get("worker_id") is not None and not any(one.component_id == request["worker_id"] for one in workers):
        return NotFoundError(f"The registry knows no worker {request['worker_id']!r}.")
    hives = sorted({str(hive) for one in components if (hive := _hive_of(one)) is not None})
    hive_id = request.get("hive_id")
    if hive_id is not None and hive_id not in hives:
        known = f"Known are: {', '.join(hives)}." if hives else "It knows none."
        return NotFoundError(f"The registry knows no hive {hive_id!r}. {known}")
    served = sorted({str(one.metadata["model_name"]) for one in workers if one.metadata.get("model_name")})
    offers = f" Workers serve: {', '.join(served)}." if served else " No worker is registered."
    how = "" if answered else " that answers and is ready"
    start = f"Start one: rbee worker spawn {request['model']}"
    return ModelNotFoundError(f"No worker{how} serves {request['model']!r} as it was asked for.{offers} {start}")
