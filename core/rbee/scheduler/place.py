"""The decision: pure, and every filter says why it let somebody fall."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from rbee.contract.devices import find_device
from rbee.contract.policy import Policy
from rbee.contract.types import Device, DeviceType, EngineInfo, WorkerState
from rbee.scheduler.values import (
    Candidate,
    Decision,
    HiveView,
    IdleWorker,
    PlaceRequest,
    Reason,
    Refusal,
    Start,
    Use,
    Wait,
)

_MIB = 1024 * 1024
_OVERHEAD = 1.2
"""Memory over file size that is asked for while no measurement exists."""
_NO_PLACEMENT = "NO_PLACEMENT"
_HEARD = ("online", "unobserved")
_LOADING = frozenset({WorkerState.STARTING, WorkerState.LOADING})
_RETRY_S = 10.0
"""A hive where the model has just failed to load is left alone this long."""


def place(
    request: PlaceRequest, candidates: Sequence[Candidate], hives: Callable[[], Sequence[HiveView]], policy: Policy
) -> Decision:
    """Where the request goes.

    Args:
        request: what is wanted.
        candidates: the model's workers, in any state.
        hives: gives the hives; only called when no worker will do, so that the common decision costs no more than
            the model's workers.
        policy: orders workers that would all do.
    """
    able, reasons = _filter_candidates(request, candidates)
    free = [one for one in able if one.view.slots_free is None or one.view.slots_free > 0]
    if free:
        best = policy.rank([one.view for one in free])[0]
        return Use(worker_id=best.worker_id, reasons=tuple(reasons))
    if able:
        reasons += [_worker(one, "all slots are busy") for one in able]
        return Wait(loading=False, reasons=tuple(reasons))
    if any(one.state in _LOADING and one.presence in _HEARD and _unwanted(request, one) is None for one in candidates):
        return Wait(loading=True, reasons=tuple(reasons))
    if request.worker_id is not None:
        known = any(one.view.worker_id == request.worker_id for one in candidates)
        if not known:
            reasons.append(Reason(f"worker {request.worker_id}", "serves another model or is not known"))
        return Refusal(reasons=tuple(reasons))
    return _start(request, hives(), reasons)


def _filter_candidates(request: PlaceRequest, candidates: Sequence[Candidate]) -> tuple[list[Candidate], list[Reason]]:
    survivors, reasons = [], []
    for one in candidates:
        why = _unfit(request, one)
        if why is None:
            survivors.append(one)
        else:
            reasons.append(_worker(one, why))
    return survivors, reasons


def _unwanted(request: PlaceRequest, one: Candidate) -> str | None:
    """What the request itself says against a worker."""
    if request.worker_id is not None and one.view.worker_id != request.worker_id:
        return f"the request names worker {request.worker_id}"
    if request.hive_id is not None and one.view.hive_id != request.hive_id:
        return f"the request names hive {request.hive_id}"
    if request.device is not None and not _is_device(one.device, request.device):
        return f"it runs on {one.device}, and the request names {request.device}"
    return None


def _is_device(device: str | None, wanted: str) -> bool:
    return device == wanted or (wanted.isdecimal() and device is not None and device.rpartition("-")[2] == wanted)


def _unfit(request: PlaceRequest, one: Candidate) -> str | None:
    unwanted = _unwanted(request, one)
    if unwanted is not None:
        return unwanted
    if not one.routable:
        return f"it is {one.presence}, state {one.state}"
    if request.capability is not None and one.capabilities is not None and request.capability not in one.capabilities:
        return f"its engine offers no {request.capability}"
    return None


class _Option(msgspec.Struct, frozen=True, kw_only=True):
    """A start that would do, with what orders it."""

    order: tuple[int, int, int, str]
    start: Start


class _Unfit(msgspec.Struct, frozen=True):
    """Why a hive will not do, and the error code if that were so everywhere."""

    why: str
    code: str = _NO_PLACEMENT


def _start(request: PlaceRequest, hives: Sequence[HiveView], reasons: list[Reason]) -> Decision:
    if not hives:
        return Refusal(reasons=(*reasons, Reason("colony", "no hive is known; start one with `rbee up`")))
    options: list[_Option] = []
    codes = set()
    for hive in hives:
        found = _option(request, hive)
        if isinstance(found, _Option):
            options.append(found)
        else:
            codes.add(found.code)
            reasons.append(Reason(f"hive {hive.hive_id}", found.why))
    if options:
        best = min(options, key=lambda option: option.order)
        return msgspec.structs.replace(best.start, reasons=tuple(reasons))
    # One cause everywhere is the cause; of several, time or another machine may mend one.
    return Refusal(reasons=tuple(reasons), code=codes.pop() if len(codes) == 1 else _NO_PLACEMENT)


def _option(request: PlaceRequest, hive: HiveView) -> _Option | _Unfit:
    """A start on the hive, or why not."""
    if request.hive_id is not None and hive.hive_id != request.hive_id:
        return _Unfit(f"the request names hive {request.hive_id}")
    if not hive.online:
        return _Unfit("it is down")
    if not hive.accepting:
        return _Unfit("it accepts no new workers")
    if hive.devices is None or hive.engines is None:
        return _Unfit("it has not told its devices and engines yet")
    if hive.failed_s is not None and hive.failed_s < _RETRY_S:
        return _Unfit(
            f"the model failed to load there again {hive.failed_s:.0f} s ago and is next tried in "
            f"{_RETRY_S - hive.failed_s:.0f} s ({hive.failed_why})"
        )
    opening = [engine for engine in hive.engines if request.format in engine.formats]
    if not opening:
        return _Unfit(f"no engine there opens the format {request.format!r}", "ENGINE_UNAVAILABLE")
    usable = [engine for engine in opening if engine.available]
    if not usable:
        why = "; ".join(engine.reason or f"engine {engine.name} is not available" for engine in opening)
        return _Unfit(why, "ENGINE_UNAVAILABLE")
    capable = [engine for engine in usable if request.capability is None or request.capability in engine.capabilities]
    if not capable:
        names = ", ".join(engine.name for engine in usable)
        return _Unfit(f"no engine there offers {request.capability} (engines: {names})", "INVALID_REQUEST")
    matched = _match(request, hive.devices, capable)
    if matched is None:
        wanted = f" {request.device}" if request.device else ""
        return _Unfit(f"no device{wanted} there suits the engines {', '.join(e.name for e in capable)}")
    device, engine = matched
    room = _make_room(request, hive)
    if isinstance(room, str):
        return _Unfit(room)
    order = (
        0 if device.device_type is DeviceType.GPU else 1,
        len(room),
        -(hive.threads_free or 0),
        hive.hive_id,
    )
    start = Start(hive_id=hive.hive_id, engine=engine.name, device=device.id, evict=tuple(room))
    return _Option(order=order, start=start)


def _match(
    request: PlaceRequest, devices: Sequence[Device], engines: Sequence[EngineInfo]
) -> tuple[Device, EngineInfo] | None:
    """The first pair that suits, GPUs before processors, engines in the order of their names."""
    wanted = None if request.device is None else find_device(devices, request.device)
    ordered = sorted(devices, key=lambda device: (device.device_type is not DeviceType.GPU, device.id))
    for device in ordered:
        if request.device is not None and device is not wanted:
            continue
        for engine in sorted(engines, key=lambda engine: engine.name):
            if device.backend in engine.backends:
                return device, engine
    return None


def _make_room(request: PlaceRequest, hive: HiveView) -> list[str] | str:
    """Workers to stop, the longest idle first, until thread and memory are there; or why that is not enough."""
    threads = hive.threads_free
    memory = hive.ram_free_bytes
    needed = None if request.size_bytes is None else int(request.size_bytes * _OVERHEAD)
    evict: list[str] = []
    waiting: list[IdleWorker] = sorted(hive.idle, key=lambda worker: (-worker.idle_s, worker.worker_id))
    while True:
        short_of_threads = threads is not None and threads < 1
        short_of_memory = memory is not None and needed is not None and memory < needed
        if not short_of_threads and not short_of_memory:
            return evict
        if not waiting:
            if short_of_memory and memory is not None and needed is not None:
                return f"it needs about {needed // _MIB} MiB and {memory // _MIB} MiB are free"
            return "all its processor threads are taken by workers that are busy"
        victim = waiting.pop(0)
        evict.append(victim.worker_id)
        threads = None if threads is None else threads + 1
        memory = None if memory is None else memory + (victim.memory_bytes or 0)


def _worker(one: Candidate, why: str) -> Reason:
    return Reason(f"worker {one.view.worker_id}", why)
