"""What a worker says of itself, and that it is true."""

from __future__ import annotations

from rbee.conformance.checks import BrokenPromiseError, Check, NotAskedError, require
from rbee.conformance.subject import Subject
from rbee.contract.types import Capability, WorkerState
from rbee.contract.version import CONTRACT_VERSION
from rbee.contract.wire import WorkerHeartbeat
from rbee.contract.wire.openai_api import ModelEntries
from rbee.contract.wire.worker_api import ErrorEnvelope, WorkerCapabilities, WorkerHealth, WorkerReady

_REFUSED = range(400, 500)


def _state(text: str, where: str) -> WorkerState:
    try:
        return WorkerState.parse(text)
    except ValueError:
        raise BrokenPromiseError(f"{where}: {text!r} is no state of a worker") from None


async def _health(subject: Subject) -> None:
    told = (await subject.http.ask("GET", "/health", with_token=False)).read(WorkerHealth)
    require(told.status == "ok", f"GET /health: status is {told.status!r}, not 'ok'")
    require(told.worker_id, "GET /health: worker_id is empty")
    _state(told.state, "GET /health")


async def _ready(subject: Subject) -> None:
    told = (await subject.http.ask("GET", "/ready", with_token=False)).read(WorkerReady)
    require(told.status == "ready", f"GET /ready: status is {told.status!r}, not 'ready'")
    require(told.worker_id, "GET /ready: worker_id is empty")


async def _info(subject: Subject) -> None:
    worker = (await subject.http.ask("GET", "/info")).read(WorkerHeartbeat).worker
    require(worker.id and worker.implementation, "GET /info: id or implementation is empty")
    require(0 < worker.port < 65536, f"GET /info: port is {worker.port}")
    require(_state(worker.status, "GET /info").serving, f"GET /info: status is {worker.status!r} while it is ready")
    health = (await subject.http.ask("GET", "/health", with_token=False)).read(WorkerHealth)
    require(worker.id == health.worker_id, f"GET /info says id {worker.id!r}, GET /health {health.worker_id!r}")


async def _version(subject: Subject) -> None:
    info = (await subject.http.ask("GET", "/info")).json()
    said = info.get("contract_version") if isinstance(info, dict) else None
    require(isinstance(said, str), f"GET /info: contract_version is {said!r}, not a version")
    ours = CONTRACT_VERSION.split(".")
    # Below 1 a minor version may break; from 1 on only a major one.
    binding = ours[:2] if ours[0] == "0" else ours[:1]
    require(
        str(said).split(".")[: len(binding)] == binding,
        f"GET /info: contract_version is {said!r}, these checks are of {CONTRACT_VERSION!r}",
    )


async def _beats(subject: Subject) -> None:
    first = (await subject.http.ask("GET", "/info")).read(WorkerHeartbeat).worker
    second = (await subject.http.ask("GET", "/info")).read(WorkerHeartbeat).worker
    if first.instance_id is None or first.seq is None:
        raise NotAskedError("GET /info tells no instance_id and seq")
    require(second.instance_id == first.instance_id, "GET /info: instance_id is another one in the second answer")
    require(
        second.seq is not None and second.seq > first.seq,
        f"GET /info: seq was {first.seq}, then {second.seq}; it has to rise",
    )


async def _slots(subject: Subject) -> None:
    worker = (await subject.http.ask("GET", "/info")).read(WorkerHeartbeat).worker
    total, free = worker.slots_total, worker.slots_available
    if total is None or free is None:
        raise NotAskedError("GET /info does not tell the worker's slots")
    require(total >= 1 and 0 <= free <= total, f"GET /info: {free} of {total} slots are free")
    require(worker.queue_depth is None or worker.queue_depth >= 0, f"GET /info: queue_depth is {worker.queue_depth}")


async def _capabilities(subject: Subject) -> None:
    told = (await subject.http.ask("GET", "/capabilities")).read(WorkerCapabilities)
    info = (await subject.http.ask("GET", "/info")).read(WorkerHeartbeat)
    require(
        info.worker.capabilities is not None and set(told.capabilities) == set(info.worker.capabilities),
        f"GET /capabilities says {sorted(told.capabilities)}, GET /info {info.worker.capabilities}",
    )
    for name, here, there in (
        ("contract_version", told.contract_version, info.contract_version),
        ("implementation", told.implementation, info.worker.implementation),
        ("model_id", told.model_id, info.worker.model_id),
    ):
        require(there is None or here == there, f"GET /capabilities says {name} {here!r}, GET /info {there!r}")


async def _truthful(subject: Subject) -> None:
    asks = {
        Capability.CHAT: ("/v1/chat/completions", subject.chat("Hello.", max_tokens=1)),
        Capability.COMPLETIONS: ("/v1/completions", subject.completion("Hello", max_tokens=1)),
        Capability.EMBEDDINGS: ("/v1/embeddings", {"model": subject.model, "input": "Hello."}),
        Capability.RERANK: (
            "/v1/rerank",
            {"model": subject.model, "query": "Which is red?", "documents": ["A rose.", "Snow."]},
        ),
    }
    for capability, (path, body) in asks.items():
        answer = await subject.http.ask("POST", path, body)
        if subject.can(capability):
            require(answer.status == 200, f"{answer}, though the worker declares {capability!r}")
        else:
            refused = answer.status in _REFUSED or answer.status == 501
            require(refused, f"{answer}, though the worker does not declare {capability!r}; 400 was expected")


async def _models(subject: Subject) -> None:
    told = (await subject.http.ask("GET", "/v1/models")).read(ModelEntries)
    require(told.data, "GET /v1/models: the list is empty")
    require(all(one.id for one in told.data), "GET /v1/models: a model without id")


async def _routes(subject: Subject) -> None:
    unknown = await subject.http.ask("GET", "/v1/no-such-route")
    unknown.read(ErrorEnvelope, status=404)
    wrong = await subject.http.ask("GET", "/v1/infer")
    require(wrong.status == 405, f"{wrong}; 405 was expected")


async def _request_id(subject: Subject) -> None:
    name = "conformance-1"
    answer = await subject.http.ask("GET", "/v1/no-such-route", headers={"x-request-id": name})
    told = answer.read(ErrorEnvelope, status=404)
    require(
        told.error.correlation_id == name,
        f"{answer.asked} with x-request-id {name!r}: correlation_id is {told.error.correlation_id!r}",
    )


CHECKS = (
    Check(
        id="W-HEALTH-1",
        promise="GET /health answers 200 without a token: status ok, the worker's id and its state.",
        run=_health,
    ),
    Check(id="W-READY-1", promise="GET /ready answers 200 without a token once requests are taken.", run=_ready),
    Check(id="W-INFO-1", promise="GET /info answers the worker's heartbeat, in a serving state.", run=_info),
    Check(id="W-INFO-2", promise="GET /info says the version of the contract, which is that of the kit.", run=_version),
    Check(id="W-INFO-3", promise="An instance keeps its instance_id, and its seq rises.", run=_beats),
    Check(id="W-INFO-4", promise="Free slots lie between none and all, and there is at least one.", run=_slots),
    Check(id="W-CAPS-1", promise="GET /capabilities and GET /info say the same.", run=_capabilities),
    Check(
        id="W-CAPS-2",
        promise="An OpenAI route answers where its capability is declared, and refuses where it is not.",
        run=_truthful,
    ),
    Check(id="W-MODELS-1", promise="GET /v1/models lists the model as OpenAI does.", run=_models),
    Check(
        id="W-ROUTE-1",
        promise="An unknown path is 404 with the error envelope, a wrong method 405.",
        run=_routes,
    ),
    Check(id="W-ROUTE-2", promise="An error's correlation_id is the request's x-request-id.", run=_request_id),
)
