"""What a decision is made from, and what comes out."""

from __future__ import annotations

import msgspec

from rbee.contract.policy import WorkerView
from rbee.contract.types import Device, EngineInfo, WorkerState


class Reason(msgspec.Struct, frozen=True):
    """Why a worker or a hive fell out.

    Attributes:
        subject: ``worker NAME`` or ``hive NAME``.
        text: the reason, with its numbers.
    """

    subject: str
    text: str


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A worker that serves or loads the wanted model.

    Attributes:
        view: what a policy sees of it.
        state: as last told.
        presence: ``online``, ``unobserved``, ``hung`` or ``offline``.
        routable: presence, state and the last connection allow a request.
        capabilities: None when it has not told.
        device: id of its device.
    """

    view: WorkerView
    state: WorkerState
    presence: str
    routable: bool
    capabilities: tuple[str, ...] | None = None
    device: str | None = None


class IdleWorker(msgspec.Struct, frozen=True, kw_only=True):
    """A worker of another model that could make room.

    Attributes:
        worker_id: identity.
        idle_s: seconds since its last request.
        memory_bytes: memory it holds; None when unknown.
    """

    worker_id: str
    idle_s: float
    memory_bytes: int | None = None


class HiveView(msgspec.Struct, frozen=True, kw_only=True):
    """A hive as a place for a new worker.

    Attributes:
        hive_id: identity and last tie-break.
        online: it beats.
        accepting: neither draining nor stopping.
        devices: None until it has told them.
        engines: None until it has told them.
        threads_free: processor threads not promised to a worker; None when unknown.
        ram_free_bytes: None when unknown.
        idle: workers that could make room, in any order.
        failed_s: seconds since the model last failed to load there; None when it has not.
        failed_why: what went wrong then.
    """

    hive_id: str
    online: bool
    accepting: bool = True
    devices: tuple[Device, ...] | None = None
    engines: tuple[EngineInfo, ...] | None = None
    threads_free: int | None = None
    ram_free_bytes: int | None = None
    idle: tuple[IdleWorker, ...] = ()
    failed_s: float | None = None
    failed_why: str | None = None


class PlaceRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is wanted.

    Attributes:
        model_id: canonical name.
        format: of the model's files.
        size_bytes: of the files; None when unknown.
        capability: what the route needs.
        hive_id: only there, when given.
        worker_id: only that one, when given.
        device: only on that device, when given.
    """

    model_id: str
    format: str
    size_bytes: int | None = None
    capability: str | None = None
    hive_id: str | None = None
    worker_id: str | None = None
    device: str | None = None


class Use(msgspec.Struct, frozen=True, kw_only=True, tag="use"):
    """Send the request to this worker."""

    worker_id: str
    reasons: tuple[Reason, ...] = ()


class Start(msgspec.Struct, frozen=True, kw_only=True, tag="start"):
    """Start a worker there, after stopping `evict`."""

    hive_id: str
    engine: str
    device: str
    evict: tuple[str, ...] = ()
    reasons: tuple[Reason, ...] = ()


class Wait(msgspec.Struct, frozen=True, kw_only=True, tag="wait"):
    """Workers serve or load the model, and none is free."""

    loading: bool
    reasons: tuple[Reason, ...] = ()


class Refusal(msgspec.Struct, frozen=True, kw_only=True, tag="refusal"):
    """It cannot be done, and why: one reason a machine.

    Attributes:
        reasons: why.
        code: error code for the caller.
    """

    reasons: tuple[Reason, ...]
    code: str = "NO_PLACEMENT"


Decision = Use | Start | Wait | Refusal
