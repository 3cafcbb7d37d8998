"""Which of a model's variants one hive would take, on which device and with which engine: pure, with its reasons.

Engines say how well they suit the way in which a device is driven (`Engine.preference`), so that nothing here knows a
format: the order of formats on a device is that of the engines which open them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

import msgspec

from rbee.contract.devices import set_name
from rbee.contract.types import MODEL_CAPABILITIES, Device, DeviceShare, EngineInfo, ModelVariant
from rbee.scheduler.correction import as_seen
from rbee.scheduler.groups import free_of, groups, room
from rbee.scheduler.memory import Estimate, estimate
from rbee.scheduler.selectors import asked_of_devices, hive_lacks
from rbee.scheduler.spread import Group, fits, shares_of, together
from rbee.scheduler.values import Failure, HiveView, PlaceRequest
from rbee.scheduler.wording import called, has_room, too_large

NO_PLACEMENT = "NO_PLACEMENT"
RETRY_S = 10.0
"""A variant that has just failed to load on a hive for the second time is left alone there this long."""

_TWICE = 2
_DOUBLINGS = 16
_LONGEST_RETRY_S = 600.0


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """What a hive would take.

    Attributes:
        variant: the artefact.
        rank: its place in the vendor's order, from 0.
        engine: opens it there.
        group: the devices that it would run on, mostly one.
        estimate: memory that it needs, of all of them together.
        free: memory of each device that is free now; None when unknown.
        fits: it fits that, if need be once idle workers have been stopped; None when unknown.
        present: it lies on the hive's disk.
        reasons: why this one and not another, in order.
    """

    variant: ModelVariant
    rank: int
    engine: EngineInfo
    group: Group
    estimate: Estimate
    free: tuple[int | None, ...]
    fits: bool | None
    present: bool
    reasons: tuple[str, ...]

    @property
    def device(self) -> Device:
        """The device that has most of it."""
        return self.group[0]

    @property
    def device_name(self) -> str:
        """Id of the device, of several with commas between."""
        return set_name(tuple(device.id for device in self.group))

    @property
    def free_bytes(self) -> int | None:
        """Memory of all its devices that is free now; None when unknown."""
        return together(self.free)

    def shares(self, free: Sequence[int | None]) -> tuple[DeviceShare, ...]:
        """What each of several devices gives of so much that is free there; empty for one."""
        ids = [device.id for device in self.group]
        return shares_of(self.estimate.total_bytes, ids, free) if len(ids) > 1 else ()


class Unsuitable(msgspec.Struct, frozen=True, kw_only=True):
    """A hive that can take no variant.

    Attributes:
        reasons: why, in order.
        code: error code if it were so everywhere.
    """

    reasons: tuple[str, ...]
    code: str = NO_PLACEMENT


class _Offer(NamedTuple):
    """A variant with an engine that opens it on a device."""

    preference: int
    rank: int
    variant: ModelVariant
    engine: EngineInfo
    estimate: Estimate


def estimates(request: PlaceRequest) -> tuple[Estimate, ...]:
    """The memory of each variant of a request, in their order: the same for every hive."""
    return tuple(estimate(variant, request.context_length, request.slots) for variant in request.variants)


def choose(request: PlaceRequest, hive: HiveView, needs: Sequence[Estimate]) -> Choice | Unsuitable:
    """The variant for a hive.

    Devices are gone through with GPUs first, of these the one with the most free memory; then, for engines that spread
    a model, sets of GPUs, the smallest first (see `scheduler.spread`); then processors.  On a device the variants come
    in the order of the engines that open them, the one with the highest preference for the device's backend first; of
    those of equal preference, one that lies on the hive's disk and fits comes first, else the first in the vendor's
    order that fits the free memory.  An engine that suits less is only looked at for a variant for which workers have
    needed less memory with it.  Where none fits that, the same is tried with the memory that idle workers hold.
    Where none fits any device, the variant is chosen that is short of the least, and said not to fit.

    Args:
        request: what is wanted; the hive and the worker that it may name are not looked at.
        hive: where.
        needs: what `estimates` gives for the request.
    """
    if (closed := _closed(hive) or hive_lacks(request.where, hive)) is not None:
        return Unsuitable(reasons=(closed,))
    engines = _engines(request, hive)
    if isinstance(engines, Unsuitable):
        return engines
    variants, notes = _loadable(request, hive)
    if not variants:
        return Unsuitable(reasons=tuple(notes))
    short: list[tuple[int, int, Choice]] = []
    suited = False
    for group in groups(request, hive, engines):
        offers = _offers(request, hive, variants, engines, needs, group)
        suited = suited or bool(offers)
        found = _fitting(hive, group, offers, notes)
        if found is not None:
            return found
        if offers:
            lacking = _shortest(hive, group, offers, notes)
            short.append((_shortage(lacking), len(short), lacking))
            # Told of the next device, too: why it is not this one.
            notes += too_large([(lacking.variant, lacking.estimate)], lacking.free, group)
    if not suited:
        wanted = f" {request.device}" if request.device else ""
        asked = " and ".join(map(str, asked_of_devices(request.where)))
        has = f" with {asked}" if asked else ""
        why = f"no device{wanted}{has} there suits the engines {', '.join(engine.name for engine in engines)}"
        return Unsuitable(reasons=(*notes, why))
    return min(short)[2]


def _closed(hive: HiveView) -> str | None:
    if not hive.online:
        return "it is down"
    if not hive.accepting:
        return "it accepts no new workers"
    if hive.devices is None or hive.engines is None:
        return "it has not told its devices and engines yet"
    return None


def _engines(request: PlaceRequest, hive: HiveView) -> tuple[EngineInfo, ...] | Unsuitable:
    """Engines there that open some variant, can run and do what is asked, in the order of their names."""
    wanted = request.capability
    made_for = [one for one in request.variants if wanted not in MODEL_CAPABILITIES or wanted in one.capabilities]
    if not made_for:
        return Unsuitable(reasons=(f"the model is not made for {wanted}",), code="INVALID_REQUEST")
    formats = sorted({variant.format for variant in made_for})
    opening = [engine for engine in hive.engines or () if any(word in engine.formats for word in formats)]
    if not opening:
        told = "format" if len(formats) == 1 else "formats"
        why = f"no engine there opens the {told} {', '.join(map(repr, formats))}"
        return Unsuitable(reasons=(why,), code="ENGINE_UNAVAILABLE")
    usable = [engine for engine in opening if engine.available]
    if not usable:
        reasons = tuple(engine.reason or f"engine {engine.name} is not available" for engine in opening)
        return Unsuitable(reasons=reasons, code="ENGINE_UNAVAILABLE")
    capable = [engine for engine in usable if request.capability is None or request.capability in engine.capabilities]
    if not capable:
        names = ", ".join(engine.name for engine in usable)
        why = f"no engine there offers {request.capability} (engines: {names})"
        return Unsuitable(reasons=(why,), code="INVALID_REQUEST")
    return tuple(sorted(capable, key=lambda engine: engine.name))


def _loadable(request: PlaceRequest, hive: HiveView) -> tuple[list[int], list[str]]:
    """Places of the variants that may be loaded there now, and why the others may not."""
    places, notes = [], []
    single = len(request.variants) == 1
    for place, variant in enumerate(request.variants):
        failure = hive.failed.get(variant.model_id)
        if variant.model_id in hive.elsewhere:
            notes.append(f"{called(variant)} is used where it lies, which is on another machine")
        elif failure is not None and failure.ago_s < (rest_s := _rest_s(failure)):
            what = "the model" if single else called(variant)
            often = "again" if failure.times == _TWICE else f"{failure.times} times in a row, the last time"
            notes.append(
                f"{what} failed to load there {often} {failure.ago_s:.0f} s ago and is next tried in "
                f"{rest_s - failure.ago_s:.0f} s ({failure.why})"
            )
        else:
            places.append(place)
    return places, notes


def _rest_s(failure: Failure) -> float:
    """How long a variant is left alone that has failed: twice as long with each further time."""
    return min(_LONGEST_RETRY_S, RETRY_S * 2.0 ** min(failure.times - _TWICE, _DOUBLINGS))


def _offers(
    request: PlaceRequest,
    hive: HiveView,
    places: Sequence[int],
    engines: Sequence[EngineInfo],
    needs: Sequence[Estimate],
    group: Group,
) -> list[_Offer]:
    """What could run on a device, or spread over several, best first: each variant with the engine that suits it best,
    and with others only as far as they have needed less memory for it than those before.
    """
    device = group[0]
    driving = [engine for engine in engines if device.backend in engine.backends]
    if len(group) > 1:
        driving = [engine for engine in driving if device.backend in engine.splits]
    found = []
    for place in places:
        variant = request.variants[place]
        opening = [engine for engine in driving if variant.format in engine.formats]
        plain = needs[place].over(len(group))
        # The first by name among equals, whatever the order in which they were told.
        least: int | None = None
        for one in sorted(opening, key=lambda engine: (-_preference(engine, device), engine.name)):
            need = as_seen(plain, hive.learned, variant.model_id, one.name, device.backend, hive.hive_id)
            if least is None or (need.total_bytes is not None and need.total_bytes < least):
                found.append(_Offer(_preference(one, device), place, variant, one, need))
                least = need.total_bytes or 0
    return sorted(found, key=lambda offer: (-offer.preference, offer.rank))


def _preference(engine: EngineInfo, device: Device) -> int:
    return engine.preference.get(device.backend, 0)


def _fitting(hive: HiveView, group: Group, offers: Sequence[_Offer], notes: Sequence[str]) -> Choice | None:
    """The best of the offers that fits a device, or several: now, or once idle workers have been stopped."""
    free = free_of(hive, group)
    could = tuple(room(hive, device) for device in group)
    for limit in dict.fromkeys((free, could)):
        told = list(notes)
        for _, same in groupby(offers, key=lambda offer: offer.preference):
            equals = list(same)
            fitting = [offer for offer in equals if fits(offer.estimate, limit) is not False]
            if fitting:
                best = min(fitting, key=lambda offer: (offer.variant.model_id not in hive.held, offer.rank))
                passed = [offer for offer in equals if offer.rank <= best.rank and offer not in fitting]
                told += too_large(_needs(passed), limit, group, stopping=limit != free)
                told.append(_why(hive, group, best, offers, stopping=limit != free))
                return _choice(hive, group, best, told, suits=fits(best.estimate, limit))
            told += too_large(_needs(equals), limit, group, stopping=limit != free)
    return None


def _shortest(hive: HiveView, group: Group, offers: Sequence[_Offer], notes: Sequence[str]) -> Choice:
    """Of offers none of which fits, the one that needs the least."""
    least = min(offers, key=lambda offer: (offer.estimate.total_bytes or 0, -offer.preference, offer.rank))
    told = [*notes, *too_large(_needs([least]), free_of(hive, group), group)]
    others = {offer.rank for offer in offers} - {least.rank}
    if others:
        told.append(f"none of the other {len(others)} variants needs less")
    return _choice(hive, group, least, told, suits=False)


def _choice(hive: HiveView, group: Group, offer: _Offer, reasons: Sequence[str], *, suits: bool | None) -> Choice:
    return Choice(
        variant=offer.variant,
        rank=offer.rank,
        engine=offer.engine,
        group=group,
        estimate=offer.estimate,
        free=free_of(hive, group),
        fits=suits,
        present=offer.variant.model_id in hive.held,
        reasons=tuple(reasons),
    )


def _why(hive: HiveView, group: Group, best: _Offer, offers: Sequence[_Offer], *, stopping: bool) -> str:
    """Why the chosen one: the last of the reasons."""
    device = group[0]
    if len(group) > 1:
        cause = f"is spread over {' and '.join(one.id for one in group)}"
    elif all(offer.rank == best.rank for offer in offers):
        cause = f"is what there is for {device.id}"
    elif best.variant.model_id in hive.held:
        cause = "is on its disk already"
    elif best.preference > offers[-1].preference:
        cause = f"is for {best.engine.name}, which suits {device.id} ({device.backend}) better than others"
    else:
        cause = f"is the vendor's first that fits {device.id}"
    free = together(free_of(hive, group))
    return f"{called(best.variant)} {cause}; {has_room(best.estimate, free, stopping=stopping)}"


def _needs(offers: Sequence[_Offer]) -> list[tuple[ModelVariant, Estimate]]:
    return [(offer.variant, offer.estimate) for offer in offers]


def _shortage(choice: Choice) -> int:
    return (choice.estimate.total_bytes or 0) - (choice.free_bytes or 0)
