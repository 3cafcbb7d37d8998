"""Telemetry: every second, what the machine and the workers use."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import msgspec

from rbee.builtin.one_thread import OneThread
from rbee.contract.probe import NodeSample, Probe, ProcessSample
from rbee.contract.types import Device, WorkerState
from rbee.contract.wire import NodeStats, ProcessStats
from rbee.hive.asking import ProbeThread
from rbee.hive.children import Child, is_alive
from rbee.hive.clashes import Clashes
from rbee.hive.peaks import Peaks

log = logging.getLogger(__name__)

S = TypeVar("S", NodeSample, ProcessSample)

_MIB = 1024 * 1024

DEVICES_S = 10.0
"""How long the hive's start waits for a probe to tell its devices: a driver may have to wake its cards."""


class Sampler:
    """Asks all probes at once and puts together what they answer in time.

    Args:
        probes: in the order of registration; of two that know a figure the first one counts, so that no
            plugin's takes the place of core's own, which are registered before all others.
        observe: told each worker's sample, for plugins; called in a thread of its own.
        timeout_s: how long a sample waits for a probe.
        devices_s: how long `devices` does.
    """

    def __init__(
        self,
        probes: Sequence[Probe],
        observe: Callable[[ProcessStats], None],
        timeout_s: float,
        devices_s: float = DEVICES_S,
    ) -> None:
        self._probes = [ProbeThread(probe) for probe in probes]
        self._observe = observe
        self._timeout_s = timeout_s
        self._devices_s = devices_s
        self._one_at_a_time = asyncio.Lock()
        self._clashes = Clashes()
        self._devices: dict[str, tuple[Device, ...]] = {}
        self._peaks = Peaks()
        self._observers = OneThread("telemetry observers")
        self._telling: asyncio.Task[None] | None = None

    @property
    def devices(self) -> tuple[Device, ...]:
        """All devices known so far, the processor first."""
        found = [device for devices in self._devices.values() for device in devices]
        return tuple(sorted(found, key=lambda device: (device.device_type != "cpu", device.id)))

    async def find_devices(self) -> tuple[Device, ...]:
        """Ask every probe for its devices; those of a late one come into `devices` when it answers."""
        await asyncio.gather(
            *(one.ask("devices", partial(self._note_devices, one.probe), self._devices_s) for one in self._probes)
        )
        return self.devices

    async def sample(
        self, children: Sequence[Child], states: Mapping[str, WorkerState]
    ) -> tuple[NodeStats, tuple[ProcessStats, ...]]:
        """One sample of everything.

        A worker of which no probe says anything is in it with unknown figures, as long as its process lives.

        Args:
            children: workers to measure.
            states: by worker, those the hive knows.
        """
        roots = [child.pid for child in children]
        async with self._one_at_a_time:
            answers = await asyncio.gather(*(self._ask(one, roots) for one in self._probes))
        self._heed(answers)
        node = NodeSample()
        processes: dict[int, ProcessSample] = {}
        for machine, workers in answers:
            node = _merge(node, machine)
            for pid, sample in workers.items():
                processes[pid] = _merge(processes.get(pid, ProcessSample()), sample)
        stats = self._peaks.raised(
            [
                _stats(child, processes.get(child.pid, ProcessSample()), states.get(child.worker_id))
                for child in children
                if child.pid in processes or is_alive(child)
            ]
        )
        self._tell(stats)
        return NodeStats(**msgspec.structs.asdict(node)), stats

    def close(self) -> None:
        """Ask nothing more; what hangs is left behind."""
        if self._telling is not None:
            self._telling.cancel()
        for one in self._probes:
            one.close()
        self._observers.close()

    async def _ask(self, one: ProbeThread, roots: Sequence[int]) -> tuple[NodeSample, dict[int, ProcessSample]]:
        """Both questions within one deadline."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._timeout_s
        node = await one.ask("sample_node", one.probe.sample_node, self._timeout_s)
        left = max(0.0, until - loop.time())
        processes = await one.ask("sample_processes", partial(one.probe.sample_processes, roots), left)
        return node or NodeSample(), processes or {}

    def _heed(self, answers: Sequence[tuple[NodeSample, dict[int, ProcessSample]]]) -> None:
        """Say which figures are told twice."""
        names = [one.probe.name for one in self._probes]
        self._clashes.heed(zip(names, (machine for machine, _ in answers), strict=True))
        for pid in {pid for _, workers in answers for pid in workers}:
            self._clashes.heed(
                (name, workers[pid]) for name, (_, workers) in zip(names, answers, strict=True) if pid in workers
            )

    def _note_devices(self, probe: Probe) -> None:
        self._devices[probe.name] = tuple(probe.devices())

    def _tell(self, stats: Sequence[ProcessStats]) -> None:
        # Observers that are still busy with the sample before miss this one: they must not pile up.
        if stats and (self._telling is None or self._telling.done()):
            self._telling = asyncio.create_task(self._tell_observers(stats), name="telemetry observers")

    async def _tell_observers(self, stats: Sequence[ProcessStats]) -> None:
        try:
            await self._observers.call(lambda: [self._observe(one) for one in stats])
        except Exception:
            log.exception("an observer of telemetry failed")


def _merge(base: S, more: S) -> S:
    known: dict[str, Any] = {
        name: value
        for name, value in msgspec.structs.asdict(more).items()
        if _is_known(value) and not _is_known(getattr(base, name))
    }
    # Each probe knows its own maker's cards; processes have no such field.
    cards: tuple[Any, ...] = getattr(base, "gpus", ())
    if cards:
        known["gpus"] = (*cards, *getattr(more, "gpus", ()))
    return msgspec.structs.replace(base, **known)


def _is_known(value: Any) -> bool:
    return value is not None and value != ()


def _granted(child: Child) -> dict[str, int] | None:
    """What a worker on several GPUs was promised of each; None for one, and when unknown."""
    return {one.device: one.memory_bytes // _MIB for one in child.shares if one.memory_bytes is not None} or None


def _stats(child: Child, sample: ProcessSample, state: WorkerState | None) -> ProcessStats:
    return ProcessStats(
        pid=child.pid,
        group="llm",
        instance=str(child.port),
        model=child.model_id,
        worker_id=child.worker_id,
        port=child.port,
        state=state,
        threads=child.threads,
        memory_granted_mb=None if child.memory_bytes is None else child.memory_bytes // _MIB,
        granted_by_gpu_mb=_granted(child),
        **msgspec.structs.asdict(sample),
    )
