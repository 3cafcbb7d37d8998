"""The decision: pure, and every filter says why it let somebody fall."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import msgspec

from rbee.contract.devices import device_ids
from rbee.contract.policy import Policy
from rbee.contract.types import DeviceShare, DeviceType, WorkerState
from rbee.scheduler.artefacts import NO_PLACEMENT, Choice, Unsuitable, choose, estimates
from rbee.scheduler.groups import concerns, frees
from rbee.scheduler.memory import Estimate
from rbee.scheduler.spread import fits
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
    Wish,
)
from rbee.scheduler.wording import free_on, size
from rbee.scheduler.wording import needed as told

BUSY = "all slots are busy"

_FETCH_BYTES_S = 20e6
"""Of a machine that has fetched nothing yet."""

_LEAST_LOAD_S = 1.0
"""A start takes this long, whatever is loaded; also where it was not measured."""

_HEARD = ("online", "unobserved")
_LOADING = frozenset({WorkerState.STARTING, WorkerState.LOADING})


def place(
    request: PlaceRequest, candidates: Sequence[Candidate], hives: Callable[[], Sequence[HiveView]], policy: Policy
) -> Decision:
    """Where the request goes.

    Args:
        request: what is wanted.
        candidates: workers of any of the variants, in any state.
        hives: gives the hives; only called when no worker will do, so that the common decision costs no more than
            the model's workers.
        policy: orders workers that would all do.
    """
    able, reasons = _filter_candidates(request, candidates)
    free = [one for one in able if has_slot(one)]
    if free:
        best = policy.rank([one.view for one in free], request.view)[0]
        return Use(worker_id=best.worker_id, reasons=tuple(reasons))
    if able:
        reasons += [_worker(one, BUSY) for one in able]
        return Wait(loading=False, reasons=tuple(reasons))
    if any(one.state in _LOADING and one.presence in _HEARD and _unwanted(request, one) is None for one in candidates):
        return Wait(loading=True, reasons=tuple(reasons))
    if request.worker_id is not None:
        known = any(one.view.worker_id == request.worker_id for one in candidates)
        if not known:
            reasons.append(Reason(f"worker {request.worker_id}", "serves another model or is not known"))
        return Refusal(reasons=tuple(reasons))
    return _start(request, hives(), reasons)


def suits(wish: Wish, one: Candidate) -> bool:
    """Whether a worker that has the model, or a variant of it, would do for a request; its slots are not looked at."""
    return unfit(wish, one) is None


def _filter_candidates(request: PlaceRequest, candidates: Sequence[Candidate]) -> tuple[list[Candidate], list[Reason]]:
    survivors, reasons = [], []
    for one in candidates:
        why = unfit(request, one)
        if why is None:
            survivors.append(one)
        else:
            reasons.append(_worker(one, why))
    return survivors, reasons


def _unwanted(request: Wish, one: Candidate) -> str | None:
    """What the request itself says against a worker."""
    if request.worker_id is not None and one.view.worker_id != request.worker_id:
        return f"the request names worker {request.worker_id}"
    if request.hive_id is not None and one.view.hive_id != request.hive_id:
        return f"the request names hive {request.hive_id}"
    if request.device is not None and not _is_device(one.device, request.device):
        return f"it runs on {one.device}, and the request names {request.device}"
    return None


def _is_device(device: str | None, wanted: str) -> bool:
    if device == wanted:
        return True
    has, asked = device_ids(device), device_ids(wanted)
    # A number is enough, and the order of several makes no difference.
    return len(has) == len(asked) and all(any(_is_called(one, part) for one in has) for part in asked)


def _is_called(device: str, wanted: str) -> bool:
    return device == wanted or (wanted.isdecimal() and device.rpartition("-")[2] == wanted)


def has_slot(one: Candidate) -> bool:
    """Whether a slot of a worker is free, as far as is known."""
    return one.view.slots_free is None or one.view.slots_free > 0


def unfit(request: Wish, one: Candidate) -> str | None:
    """Why a worker will not do for a request, whether or not it has a slot; None when it will."""
    unwanted = _unwanted(request, one)
    if unwanted is not None:
        return unwanted
    if not one.routable:
        return f"it is {one.presence}, state {one.state}"
    if one.barred is not None:
        return one.barred
    if request.capability is not None and one.capabilities is not None and request.capability not in one.capabilities:
        return f"its engine offers no {request.capability}"
    return None


ORDER = ("too_large", "no_gpu", "further_gpus", "to_stop", "to_fetch", "rank", "fetch_steps", "minus_threads_free")
"""Names of what orders options, the most important first; the hive's name comes last."""


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """A start that would do, with what orders it: see `ORDER`."""

    order: tuple[int, int, int, int, int, int, int, int, str]
    start: Start

    def scores(self) -> dict[str, float]:
        """What orders it, by name, without the hive's name, which is the last word."""
        *numbers, _ = self.order
        return dict(zip(ORDER, (float(number) for number in numbers), strict=True))


def _start(request: PlaceRequest, hives: Sequence[HiveView], reasons: list[Reason]) -> Decision:
    if not hives:
        return Refusal(reasons=(*reasons, Reason("colony", "no hive is known; start one with `rbee up`")))
    options: list[Option] = []
    codes = set()
    needs = estimates(request)
    for hive in hives:
        found = option(request, hive, needs)
        if isinstance(found, Option):
            options.append(found)
        else:
            codes.add(found.code)
            reasons.append(Reason(f"hive {hive.hive_id}", "; ".join(found.reasons)))
    if options:
        best = min(options, key=lambda option: option.order)
        return msgspec.structs.replace(best.start, reasons=tuple(reasons))
    # One cause everywhere is the cause; of several, time or another machine may mend one.
    return Refusal(reasons=tuple(reasons), code=codes.pop() if len(codes) == 1 else NO_PLACEMENT)


def option(request: PlaceRequest, hive: HiveView, needs: Sequence[Estimate]) -> Option | Unsuitable:
    """A start on the hive, or why not."""
    if request.hive_id is not None and hive.hive_id != request.hive_id:
        return Unsuitable(reasons=(f"the request names hive {request.hive_id}",))
    choice = choose(request, hive, needs)
    if isinstance(choice, Unsuitable):
        return choice
    because = choice.reasons
    room = _make_room(hive, choice, named=request.device is not None)
    if isinstance(room, str):
        return Unsuitable(reasons=(room,))
    if request.device is not None and choice.fits is False:
        # An estimate is no measurement, and an engine may get by with less: what was named is tried.
        because = (*because, f"it is tried all the same, since the request names {choice.device_name}")
    order = (
        1 if choice.fits is False else 0,
        0 if choice.device.device_type is DeviceType.GPU else 1,
        len(choice.group) - 1,
        len(room),
        0 if choice.present else 1,
        choice.rank,
        _fetch_steps(hive, choice),
        -(hive.threads_free or 0),
        hive.hive_id,
    )
    start = Start(
        hive_id=hive.hive_id,
        engine=choice.engine.name,
        device=choice.device_name,
        model_id=choice.variant.model_id,
        evict=tuple(room),
        present=choice.present or choice.variant.in_place is not None or not choice.variant.files,
        memory_bytes=None if choice.engine.remote else choice.estimate.total_bytes,
        threads=0 if choice.engine.remote else 1,
        because=because,
        shares=_shares(hive, choice, room),
    )
    return Option(order=order, start=start)


def _shares(hive: HiveView, choice: Choice, evict: Sequence[str]) -> tuple[DeviceShare, ...]:
    """What each of several devices gives, once those who make room have gone."""
    if len(choice.group) == 1:
        return ()
    going = [worker for worker in hive.idle if worker.worker_id in evict]
    free = [
        None if now is None else now + sum(frees(worker, device) for worker in going)
        for device, now in zip(choice.group, choice.free, strict=True)
    ]
    return choice.shares(free)


def _fetch_steps(hive: HiveView, choice: Choice) -> int:
    """How long a fetch takes that comes first: 0 for none, then in steps of twice as long; finer ones are noise."""
    size_bytes = choice.variant.size_bytes
    if choice.present or choice.variant.in_place is not None or not choice.variant.files:
        return 0
    seconds = (size_bytes or 0) / (hive.fetch_bytes_s or _FETCH_BYTES_S)
    return 1 + math.ceil(math.log2(1 + seconds))


def dispensable(worker: IdleWorker) -> float:
    """How little an idle worker would be missed: seconds that it was idle, for each that its model takes to load.

    So the least recently used goes first, and what is slow to come back is kept for longer.
    """
    return worker.idle_s / max(_LEAST_LOAD_S, worker.load_s or 0.0)


def _make_room(hive: HiveView, choice: Choice, *, named: bool) -> list[str] | str:
    """Workers to stop, those that are missed least first, until thread and memory are there; or why it is not enough.

    On a device that was named, whatever there is has to be enough.  Who computes elsewhere needs no room.
    """
    if choice.engine.remote:
        return []
    threads = hive.threads_free
    memory = choice.free
    evict: list[str] = []
    spare = [worker for worker in hive.idle if not worker.pinned]
    waiting = sorted(spare, key=lambda worker: (-dispensable(worker), worker.worker_id))
    while True:
        short_of_threads = threads is not None and threads < 1
        short_of_memory = fits(choice.estimate, memory) is False
        if not short_of_threads and not short_of_memory:
            return evict
        # Who has no thread gives none, and who is on another device would make no room on this one.
        helping = [
            worker
            for worker in waiting
            if (worker.threads != 0 if short_of_threads else any(concerns(worker, one) for one in choice.group))
        ]
        if not helping:
            if named and not short_of_threads:
                return evict
            if not named and short_of_memory:
                free = f"{size(memory[0] or 0)} are free" if len(memory) == 1 else free_on(choice.group, memory)
                return f"it {told(choice.estimate)} and {free}{_but_for_pinned(hive, choice)}"
            return f"all its processor threads are taken by workers that are busy{_or_pinned(hive)}"
        victim = helping[0]
        waiting.remove(victim)
        evict.append(victim.worker_id)
        threads = None if threads is None else threads + 1
        memory = tuple(
            None if now is None else now + frees(victim, device)
            for device, now in zip(choice.group, memory, strict=True)
        )


def _or_pinned(hive: HiveView) -> str:
    stay = sorted(worker.worker_id for worker in hive.idle if worker.pinned)
    return f" or pinned; pinned: {', '.join(stay)}" if stay else ""


def _but_for_pinned(hive: HiveView, choice: Choice) -> str:
    """Who would make room if it had not to stay."""
    stay = sorted(
        one.worker_id for one in hive.idle if one.pinned and any(concerns(one, device) for device in choice.group)
    )
    return f"; pinned: {', '.join(stay)}" if stay else ""


def _worker(one: Candidate, why: str) -> Reason:
    return Reason(f"worker {one.view.worker_id}", why)
