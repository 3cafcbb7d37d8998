"""A simulated machine with its hive: its memory, its threads, and what the hive has told of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import floor

from rbee.contract.types import Backend, Device, DeviceShare, DeviceType, EngineInfo, ModelVariant
from rbee.scheduler import Estimate, HiveView, IdleWorker
from rbee.simulation.clock import Clock
from rbee.simulation.devices import SimulatedDevice, Stream
from rbee.simulation.fleet import Compute, Gpu, HiveGroup, blended, decode_curve
from rbee.simulation.requests import BLOCK_TOKENS
from rbee.simulation.workers import Worker

_GIB = 1024**3
_MIB = 1024**2


class _Told:
    """What the last beat said."""

    __slots__ = ("gpu_free", "ram_free", "threads_free")

    def __init__(self, ram_free: int, threads_free: int, gpu_free: dict[str, int]) -> None:
        self.ram_free = ram_free
        self.threads_free = threads_free
        self.gpu_free = gpu_free


class _Sample:
    """How busy a device was when it was last looked at."""

    __slots__ = ("at", "busy_s", "was_busy")

    def __init__(self) -> None:
        self.at = 0.0
        self.busy_s = 0.0
        self.was_busy = False


class Machine:
    """One machine.

    Args:
        hive_id: name of its hive.
        group: what it is.
        on_disk: names of the models that lie there.
        clock: simulated time.
        every_s: seconds between two beats.
        phase_s: when the first of them comes.
        ended: told of each stream that has ended.
        sampled: told of each worker of which another load or other memory is known.

    Attributes:
        workers: that run there, by id.
    """

    def __init__(
        self,
        hive_id: str,
        group: HiveGroup,
        on_disk: frozenset[str],
        clock: Clock,
        every_s: float,
        phase_s: float,
        ended: Callable[[Stream], None],
        sampled: Callable[[Worker], None],
    ) -> None:
        self.hive_id = hive_id
        self.group = group
        self.held = set(on_disk)
        self.workers: dict[str, Worker] = {}
        self.ram_free = int(group.ram_gib * _GIB)
        self.threads_free = group.threads
        self._clock = clock
        self._every_s = every_s
        self._phase_s = phase_s
        self._sampled = sampled
        self._beat_at: float | None = None
        self._compute: dict[str, Compute] = {}
        self.devices: dict[str, SimulatedDevice] = {}
        for device, compute, memory in _devices(group):
            self.devices[device.id] = SimulatedDevice(device, memory, clock, ended)
            self._compute[device.id] = compute
        self._samples = {name: _Sample() for name in self.devices}
        self._infos = tuple(one.device for one in self.devices.values())
        backends = tuple(sorted({one.backend for one in self._infos}))
        self._engines = tuple(
            EngineInfo(
                name=one,
                version="simulated",
                formats=(one,),
                backends=backends,
                capabilities=(),
                available=True,
                splits=backends if group.spread else (),
            )
            for one in group.formats
        )
        self._told = self._state()

    def view(self, model: str) -> HiveView:
        """As the queen sees it as a place for a model: memory and threads as told, workers as she knows them."""
        told, now = self._told, self._clock.now
        return HiveView(
            hive_id=self.hive_id,
            online=True,
            devices=self._infos,
            engines=self._engines,
            threads_free=told.threads_free,
            ram_free_bytes=told.ram_free,
            gpu_free_bytes=told.gpu_free,
            idle=tuple([_idle(one, now) for one in self.workers.values() if one.idle and one.model != model]),
            held=frozenset((model,)) if model in self.held else frozenset(),
        )

    def settle(self) -> None:
        """What it has now is what it has told, before anything begins."""
        self._told = self._state()
        for worker in self.workers.values():
            self._tell(worker)

    def room(self, device: str, need: Estimate, shares: Sequence[DeviceShare] = ()) -> bool:
        """Whether a worker fits this instant, which the queen cannot know: the hive has the last word."""
        holds = _holds(device, need, shares)
        return self.threads_free >= 1 and all(self.free(self.devices[one]) >= size for one, size in holds.items())

    def free(self, device: SimulatedDevice) -> int:
        """Bytes of a device that no worker has."""
        if device.memory_free is None:
            return self.ram_free
        if device.device.backend == Backend.METAL:
            return min(self.ram_free, device.memory_free)
        return device.memory_free

    def start(
        self,
        worker_id: str,
        variant: ModelVariant,
        device_id: str,
        need: Estimate,
        slots: int,
        scale: float,
        shares: Sequence[DeviceShare] = (),
    ) -> Worker:
        """A worker gets its memory and threads; it loads from now on.

        Args:
            worker_id: identity.
            variant: that it is to serve.
            device_id: on what, of several devices with commas between.
            need: its memory.
            slots: requests at the same time.
            scale: size of the model by that for which speeds are told.
            shares: of several devices, the memory of each.
        """
        holds = _holds(device_id, need, shares)
        device, compute = self.devices[next(iter(holds))], self._speed(holds, slots)
        most = self.group.worker_threads
        threads = (self.threads_free + 1) // 2 if most is None else min(most, self.threads_free)
        worker = Worker(
            worker_id,
            variant.model_id,
            self,
            device,
            slots=slots,
            prefill=compute.prefill_tok_s / scale,
            decode=decode_curve(compute, slots, 1 / scale),
            load_s=compute.load_s * scale,
            holds=holds,
            threads=threads,
            blocks=need.context_length * slots // BLOCK_TOKENS,
            now=self._clock.now,
        )
        self.workers[worker_id] = worker
        self.held.add(variant.model_id)
        self._take(worker, 1)
        self.beat(worker)
        return worker

    def stop(self, worker: Worker) -> None:
        """A worker gives back what it had."""
        del self.workers[worker.worker_id]
        self._take(worker, -1)
        self.changed()

    def beat(self, worker: Worker) -> None:
        """A worker's figures are told for the first time."""
        self._tell(worker)
        self.changed()

    def changed(self) -> None:
        """Something is to be told with the next beat."""
        if self._beat_at is not None:
            return
        now, every = self._clock.now, self._every_s
        self._beat_at = self._phase_s + every * (floor((now - self._phase_s) / every) + 1)
        for sample in self._samples.values():
            # Until now it was as busy as it was at the last look, for as long as there was no news.
            started = max(sample.at, self._beat_at - every)
            sample.busy_s += (started - sample.at) if sample.was_busy else 0.0
            sample.at = started
        self._clock.at(self._beat_at, self._beat)

    def _beat(self) -> None:
        self._beat_at = None
        self._told = self._state()
        now, settled = self._clock.now, True
        shares: dict[str, float] = {}
        for name, device in self.devices.items():
            sample, busy = self._samples[name], device.busy_until_now()
            share = (busy - sample.busy_s) / (now - sample.at) if now > sample.at else float(bool(device.streams))
            shares[name] = round(100.0 * min(1.0, max(0.0, share)), 1)
            sample.at, sample.busy_s, sample.was_busy = now, busy, bool(device.streams)
            settled = settled and shares[name] == (100.0 if device.streams else 0.0)
        for worker in self.workers.values():
            self._tell(worker, shares[worker.device.device.id])
        if not settled:
            self.changed()

    def _tell(self, worker: Worker, share: float = 0.0) -> None:
        if worker.device.device.device_type is not DeviceType.GPU:
            return
        free = sum(self._told.gpu_free[one] for one in worker.holds) // _MIB
        if (worker.gpu_pct, worker.vram_free_mb) != (share, free):
            worker.gpu_pct, worker.vram_free_mb = share, free
            self._sampled(worker)

    def _take(self, worker: Worker, sign: int) -> None:
        for name, size in worker.holds.items():
            device = self.devices[name]
            if device.memory_free is not None:
                device.memory_free -= sign * size
            if device.memory_free is None or device.device.backend == Backend.METAL:
                self.ram_free -= sign * size
        self.threads_free -= sign * worker.threads

    def _speed(self, holds: Mapping[str, int], slots: int) -> Compute:
        if len(holds) == 1:
            return self._compute[next(iter(holds))]
        whole = sum(holds.values()) or 1
        return blended([(self._compute[name], size / whole) for name, size in holds.items()], slots)

    def _state(self) -> _Told:
        gpus = {name: self.free(one) for name, one in self.devices.items() if one.memory_free is not None}
        return _Told(self.ram_free, self.threads_free, gpus)


def _idle(worker: Worker, now: float) -> IdleWorker:
    device = worker.device.device
    gpu = device.device_type is DeviceType.GPU
    return IdleWorker(
        worker_id=worker.worker_id,
        idle_s=now - worker.used_at,
        load_s=worker.known_load_s,
        memory_bytes=0 if gpu and device.backend != Backend.METAL else worker.memory_bytes,
        device=worker.device_name,
        vram_bytes=worker.memory_bytes if gpu else None,
        gpu_bytes=worker.holds if len(worker.holds) > 1 else {},
    )


def _holds(device: str, need: Estimate, shares: Sequence[DeviceShare]) -> dict[str, int]:
    """Bytes of each device that a worker has."""
    return {one.device: one.memory_bytes or 0 for one in shares} or {device: need.total_bytes or 0}


def _devices(group: HiveGroup) -> list[tuple[Device, Compute, int | None]]:
    found: list[tuple[Device, Compute, int | None]] = []
    if group.processor is not None:
        ram = int(group.ram_gib * _GIB)
        cpu = Device(id="CPU-0", name="processor", device_type=DeviceType.CPU, memory_bytes=ram, cores=group.threads)
        found.append((cpu, group.processor, None))
    for gpu in group.gpus:
        found += [
            (_gpu(gpu, len(found) + number - (group.processor is not None)), gpu, int(gpu.memory_gib * _GIB))
            for number in range(gpu.count)
        ]
    return found


def _gpu(gpu: Gpu, number: int) -> Device:
    return Device(
        id=f"GPU-{number}",
        name=gpu.name,
        device_type=DeviceType.GPU,
        backend=gpu.backend,
        vram_gb=gpu.memory_gib,
        memory_bytes=int(gpu.memory_gib * _GIB),
    )
