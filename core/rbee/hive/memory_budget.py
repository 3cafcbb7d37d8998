"""Memory of the devices, promised to workers before they take it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from rbee.contract.errors import InsufficientMemoryError
from rbee.contract.types import Backend, Device, DeviceShare, DeviceType
from rbee.contract.wire import DeviceBudget, HiveHeartbeat, ProcessStats
from rbee.scheduler import gpu_free, ram_free, shares_of
from rbee.scheduler.spread import together
from rbee.scheduler.wording import free_on, size

_MIB = 1024 * 1024
_PART = 8
_LEAST = 256 * _MIB
"""What is added to the estimate on a GPU: one part in so many, and no less than this."""


class MemoryBudget:
    """Memory by device and worker; what all hold never exceeds what the device has.

    A worker holds what it was promised, or what it is measured to use where that is more: the promise is an estimate.
    One of which nothing was known when it started holds what it uses.

    On a GPU the promise is the estimate and an eighth, at least 256 MiB, as far as that is left: engines keep to it as
    to a wall, and what an engine takes besides weights and cache the estimate can only guess.

    What is left for another is the least of two: the device's memory less what workers hold, and the memory measured to
    be free, which knows of other programs, less what workers were promised and have not taken yet.  So with a share
    below 1 all workers together have that share, or what other programs leave where that is less.  A GPU that shares
    the memory of the machine has no more left than that has, and what its workers hold is held of both.

    Args:
        devices: gives those of the machine.
        beat: gives what was measured last; None before the first sample.
        share: times the memory of a device that may be promised in all.
        most_mb: memory of the machine, in MiB, that the system lets one worker have; None for no limit.
    """

    def __init__(
        self,
        devices: Callable[[], Sequence[Device]],
        beat: Callable[[], HiveHeartbeat | None],
        share: float = 1.0,
        most_mb: int | None = None,
    ) -> None:
        self._devices = devices
        self._beat = beat
        self._share = share
        self._most = None if most_mb is None else most_mb * _MIB
        self._promised: dict[str, tuple[DeviceShare, ...]] = {}
        """Of each device; None for the bytes where nobody could tell what the worker needs."""

    def grant(self, worker_id: str, model: str, device_id: str, need: int | None) -> int | None:
        """Promise memory of a device to a worker.

        Args:
            worker_id: whose.
            model: for the message.
            device_id: of which device.
            need: None when it is unknown; such a worker is let in, and counts with what it uses.

        Returns:
            Bytes that are promised; None where the need is unknown.

        Raises:
            InsufficientMemoryError: there is not so much left, with the figures.
        """
        if worker_id in self._promised:
            return together([share.memory_bytes for share in self._promised[worker_id]])
        device = self._device(device_id)
        free = None if device is None else self._free(device)
        if device is not None and need is not None and free is not None and need > free:
            raise self._refusal(model, device, need, free)
        if device is not None and need is not None and _is_host(device) and self._most is not None:
            _check_limit(model, need, self._most)
        promised = need
        if device is not None and need is not None and not _is_host(device):
            promised = _roomy(need, free)
        self._promised[worker_id] = (DeviceShare(device=device_id, memory_bytes=promised),)
        return promised

    def spread(self, worker_id: str, model: str, ids: Sequence[str], need: int | None) -> tuple[DeviceShare, ...]:
        """Promise a worker memory of several devices: of all of them, or of none.

        Args:
            worker_id: whose.
            model: for the message.
            ids: of the devices.
            need: of all together; None when it is unknown, as in `grant`.

        Returns:
            Bytes of each that are promised, in proportion to what is left of it; None where the need is unknown.

        Raises:
            InsufficientMemoryError: together they have not so much left, with the figures of each.
        """
        if worker_id in self._promised:
            return self._promised[worker_id]
        devices = [device for one in ids if (device := self._device(one)) is not None]
        free = [self._free(device) for device in devices] if len(devices) == len(ids) else [None] * len(ids)
        have = together(free)
        if need is not None and have is not None and need > have:
            raise self._refusal_of_all(model, devices, need, free)
        shares = tuple(
            DeviceShare(
                device=share.device,
                memory_bytes=None if share.memory_bytes is None else _roomy(share.memory_bytes, left),
            )
            for share, left in zip(shares_of(need, ids, free), free, strict=True)
        )
        self._promised[worker_id] = shares
        return shares

    def note(self, worker_id: str, device_id: str | None, memory_bytes: int | None) -> None:
        """A worker found running was promised this."""
        known = () if device_id is None else (DeviceShare(device=device_id, memory_bytes=memory_bytes),)
        self.note_shares(worker_id, known)

    def note_shares(self, worker_id: str, shares: tuple[DeviceShare, ...]) -> None:
        """A worker found running was promised this of several devices."""
        self._promised[worker_id] = shares

    def give_back(self, worker_id: str) -> None:
        """The worker has ended; harmless when it had none."""
        self._promised.pop(worker_id, None)

    def shares(self) -> tuple[DeviceBudget, ...]:
        """The state of each device."""
        return tuple(
            DeviceBudget(
                device=device.id,
                total_bytes=device.memory_bytes,
                granted_bytes=sum(promise.memory_bytes or 0 for promise in self._of(device).values()),
                free_bytes=self._free(device),
                workers=tuple(sorted(self._of(device))),
            )
            for device in self._devices()
        )

    def _free(self, device: Device) -> int | None:
        """Memory that can be promised; None when nothing is known of the device's."""
        total, measured = device.memory_bytes, self._measured(device)
        held, coming = self._held(device)
        bounds = []
        if total is not None:
            bounds.append(int(total * self._share) - held)
        if measured is not None:
            # A share above 1 is more than there is, and trusts workers to need less.  Below 1 what is left to other
            # programs is outside of the share: what they use of it is not taken from the share once more.
            more = 0 if total is None else max(0, int(total * (self._share - 1)))
            bounds.append(measured - coming + more)
        if _is_shared(device):
            bounds += [free for one in self._devices() if _is_host(one) and (free := self._free(one)) is not None]
        return max(0, min(bounds)) if bounds else None

    def _measured(self, device: Device) -> int | None:
        beat = self._beat()
        node = None if beat is None else beat.node
        return ram_free(node) if _is_host(device) else gpu_free(node, [device]).get(device.id)

    def _held(self, device: Device) -> tuple[int, int]:
        """Bytes of a device that workers hold, and of these what they have still to take."""
        beat = self._beat()
        samples = {} if beat is None else {one.worker_id: one for one in beat.workers}
        backends = {one.id: one.backend for one in self._devices()}
        held = coming = 0
        for worker_id, promise in self._of(device).items():
            several = len(self._promised[worker_id]) > 1
            used = _used(samples.get(worker_id), promise.device, backends, several=several)
            promised = promise.memory_bytes or 0
            held += max(promised, used or 0)
            # Of one that is measured without this figure, what the device has in use tells.
            unseen = worker_id not in samples
            coming += max(0, promised - used) if used is not None else promised if unseen else 0
        return held, coming

    def _of(self, device: Device) -> Mapping[str, DeviceShare]:
        """Promises that are taken from the memory of a device."""
        sharing = {device.id}
        if _is_host(device):
            sharing |= {one.id for one in self._devices() if _is_shared(one)}
        return {name: one for name, shares in self._promised.items() for one in shares if one.device in sharing}

    def _device(self, device_id: str) -> Device | None:
        return next((one for one in self._devices() if one.id == device_id), None)

    def _refusal_of_all(
        self, model: str, devices: Sequence[Device], need: int, free: Sequence[int | None]
    ) -> InsufficientMemoryError:
        workers = sorted({name for device in devices for name in self._of(device)})
        others = f" Workers hold the rest: {', '.join(workers)}." if workers else ""
        stop = f"Stop one of them (rbee worker stop {workers[0]}), name" if workers else "Name"
        return InsufficientMemoryError(
            f"{model!r} needs about {size(need)} of {len(devices)} devices together, and "
            f"{free_on(devices, free, 'are left')}.{others} {stop} another device as well, ask for less context or "
            "fewer slots, or take a smaller quantisation.",
            details={
                "devices": [device.id for device in devices],
                "needed_bytes": need,
                "free_bytes": list(free),
                "workers": workers,
            },
        )

    def _refusal(self, model: str, device: Device, need: int, free: int) -> InsufficientMemoryError:
        workers = sorted(self._of(device))
        held, _ = self._held(device)
        of = "" if device.memory_bytes is None else f" of {size(device.memory_bytes)}"
        others = f" Workers hold {size(held)}: {', '.join(workers)}." if workers else ""
        stop = f"Stop one of them (rbee worker stop {workers[0]}), ask" if workers else "Ask"
        return InsufficientMemoryError(
            f"{model!r} needs about {size(need)} of {device.id}, and {size(free)}{of} are left.{others} {stop} for "
            "less context or fewer slots, or take a smaller quantisation. An estimate known to be too high is "
            "overruled by the setting hive.memory_share.",
            details={
                "device": device.id,
                "needed_bytes": need,
                "free_bytes": free,
                "total_bytes": device.memory_bytes,
                "held_bytes": held,
                "workers": workers,
            },
        )


def _roomy(need: int, free: int | None) -> int:
    """What is promised of a GPU for a need that fits it."""
    promised = need + max(_LEAST, need // _PART)
    return promised if free is None else min(promised, free)


def _check_limit(model: str, need: int, most: int) -> None:
    """Refuse what the system would kill."""
    if need > most:
        raise InsufficientMemoryError(
            f"{model!r} needs about {size(need)}, and a worker may use {size(most)} here. Raise the setting "
            "hive.worker_memory_max_mb, ask for less context or fewer slots, or take a smaller quantisation.",
            details={"needed_bytes": need, "limit_bytes": most},
        )


def _is_host(device: Device) -> bool:
    return device.device_type is DeviceType.CPU


def _is_shared(device: Device) -> bool:
    """Whether it is a GPU without memory of its own."""
    return device.device_type is DeviceType.GPU and device.backend == Backend.METAL


def _used(sample: ProcessStats | None, device_id: str, backends: Mapping[str, str], *, several: bool) -> int | None:
    """Memory of a device that a worker is measured to use; None when unknown."""
    if sample is None:
        return None
    if several:
        used = (sample.vram_by_gpu_mb or {}).get(device_id)
        return None if used is None else used * _MIB
    backend = backends.get(device_id, "")
    of_process = backend in {Backend.CPU, Backend.METAL}
    used = sample.vram_mb if sample.vram_mb is not None or not of_process else sample.rss_mb
    return None if used is None else used * _MIB
