"""What a decision is made from, and what comes out."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from rbee.contract.policy import RequestView, WorkerView
from rbee.contract.types import Device, DeviceShare, EngineInfo, ModelVariant, WorkerState
from rbee.contract.wire import LearnedMemory


class Selector(msgspec.Struct, frozen=True):
    """One demand on a machine or a device.

    Attributes:
        key: ``hive``, or what is asked of a device: ``gpu`` (a part of the name of a GPU), ``device`` (``cpu`` or
            ``gpu``), ``backend``, ``vram`` (GiB of a GPU), ``cores``; any other is a label of the hive.
        operator: ``=``, ``!=``; for numbers ``>=`` and ``<=`` as well.
        value: compared without regard to case.
    """

    key: str
    operator: str
    value: str

    def __str__(self) -> str:
        return f"{self.key}{self.operator}{self.value}"


class Reason(msgspec.Struct, frozen=True):
    """Why a worker or a hive fell out.

    Attributes:
        subject: ``worker NAME`` or ``hive NAME``.
        text: the reason, with its numbers.
    """

    subject: str
    text: str


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A worker that serves or loads a variant of the wanted model.

    Attributes:
        view: what a policy sees of it.
        state: as last told.
        presence: ``online``, ``unobserved``, ``hung`` or ``offline``.
        routable: presence, state and the last connection allow a request.
        capabilities: None when it has not told.
        device: id of its device.
        barred: why it is to get nothing for now, though all the rest is well; None when it may.
    """

    view: WorkerView
    state: WorkerState
    presence: str
    routable: bool
    capabilities: tuple[str, ...] | None = None
    device: str | None = None
    barred: str | None = None


class IdleWorker(msgspec.Struct, frozen=True, kw_only=True):
    """A worker of another model that could make room.

    Attributes:
        worker_id: identity.
        idle_s: seconds since its last request.
        load_s: seconds that its model lately took to load there; None when unknown.
        pinned: it has to stay.
        memory_bytes: memory of the machine that it holds; None when unknown.
        device: id of its device, of several with commas between; None when it has not told.
        vram_bytes: memory of that device that it holds, of several in all, where it has its own; None when unknown.
        threads: of the processor, that it was given; 0 where it computes elsewhere, None when unknown.
        gpu_bytes: of several devices, what it holds of each, by id; one of which it is unknown is left out.
    """

    worker_id: str
    idle_s: float
    load_s: float | None = None
    pinned: bool = False
    memory_bytes: int | None = None
    device: str | None = None
    vram_bytes: int | None = None
    threads: int | None = None
    gpu_bytes: Mapping[str, int] = {}


class Failure(msgspec.Struct, frozen=True):
    """A variant has failed to load on a hive, not for the first time.

    Attributes:
        ago_s: seconds since.
        why: what went wrong.
        times: in a row.
    """

    ago_s: float
    why: str
    times: int = 2


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
        gpu_free_bytes: free memory of GPUs by device id; one of which it is unknown is left out.
        idle: workers that could make room, in any order.
        held: canonical names of the wanted variants that lie on its disk.
        elsewhere: of those that are used where they lie, the ones that only other hives have.
        failed: of the wanted variants, those that have failed to load there, by canonical name.
        age_s: seconds since it was heard; None when unknown.
        learned: what workers of the wanted variants have needed, there or elsewhere.
        labels: that its operator has given it.
        fetch_bytes_s: bytes of a model that it lately fetched a second; None before it has fetched any.
    """

    hive_id: str
    online: bool
    accepting: bool = True
    devices: tuple[Device, ...] | None = None
    engines: tuple[EngineInfo, ...] | None = None
    threads_free: int | None = None
    ram_free_bytes: int | None = None
    gpu_free_bytes: Mapping[str, int] = {}
    idle: tuple[IdleWorker, ...] = ()
    held: frozenset[str] = frozenset()
    elsewhere: frozenset[str] = frozenset()
    failed: Mapping[str, Failure] = {}
    age_s: float | None = None
    learned: tuple[LearnedMemory, ...] = ()
    labels: Mapping[str, str] = {}
    fetch_bytes_s: float | None = None


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What a request asks of a worker, whichever model it has.

    Attributes:
        capability: what the route needs.
        hive_id: only there, when given.
        worker_id: only that one, when given.
        device: only on that device, when given, or on exactly these, with commas between.
    """

    capability: str | None = None
    hive_id: str | None = None
    worker_id: str | None = None
    device: str | None = None


class PlaceRequest(Wish, frozen=True, kw_only=True):
    """What is wanted.

    Attributes:
        variants: of the model, in the order of their vendor, best first; any of them will do.
        context_length: tokens a slot of a new worker, for its memory; None for the model's own, up to a bound.
        slots: requests that a new worker serves at the same time, likewise.
        view: what a policy sees of the request.
        where: demands on the hive and the device of a new worker; see `scheduler.selectors`.
    """

    variants: tuple[ModelVariant, ...]
    context_length: int | None = None
    slots: int = 1
    view: RequestView = RequestView()
    where: tuple[Selector, ...] = ()


class Use(msgspec.Struct, frozen=True, kw_only=True, tag="use"):
    """Send the request to this worker."""

    worker_id: str
    reasons: tuple[Reason, ...] = ()


class Start(msgspec.Struct, frozen=True, kw_only=True, tag="start"):
    """Start a worker there, after stopping `evict`.

    Attributes:
        hive_id: where.
        engine: with what.
        device: id of the device, of several with commas between.
        model_id: canonical name of the variant.
        evict: workers to stop before, in this order.
        present: nothing has to be fetched before.
        context_length: tokens a slot; None for the hive's setting.
        memory_bytes: of the device that it is thought to need, of several in all; None when unknown.
        threads: of the processor that it needs at least; 0 for what computes elsewhere.
        because: why this variant, in order, for a person.
        reasons: why other hives and workers fell out.
        shares: of several devices, what it is thought to need of each; empty for one.
    """

    hive_id: str
    engine: str
    device: str
    model_id: str
    evict: tuple[str, ...] = ()
    present: bool = False
    context_length: int | None = None
    memory_bytes: int | None = None
    threads: int = 1
    because: tuple[str, ...] = ()
    reasons: tuple[Reason, ...] = ()
    shares: tuple[DeviceShare, ...] = ()


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
