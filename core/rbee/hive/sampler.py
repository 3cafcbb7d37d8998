"""Telemetry: every second, what the machine and the workers use."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import msgspec

from rbee.contract.probe import NodeSample, Probe, ProcessSample
from rbee.contract.types import Device
from rbee.contract.wire import NodeStats, ProcessStats
from rbee.hive.children import Child

log = logging.getLogger(__name__)

T = TypeVar("T")
S = TypeVar("S", NodeSample, ProcessSample)


class Sampler:
    """Asks all probes; lives in one thread.

    Args:
        probes: in the order of registration; of two that know a figure the later one counts.
        observe: told each worker's sample, for plugins.
    """

    def __init__(self, probes: Sequence[Probe], observe: Callable[[ProcessStats], None]) -> None:
        self._probes = probes
        self._observe = observe
        self._complained: set[tuple[str, str]] = set()

    def devices(self) -> tuple[Device, ...]:
        """All devices, the processor first."""
        found: list[Device] = []
        for probe in self._probes:
            found.extend(self._ask(probe, "devices", probe.devices) or ())
        return tuple(sorted(found, key=lambda device: (device.device_type != "cpu", device.id)))

    def sample(self, children: Sequence[Child]) -> tuple[NodeStats, tuple[ProcessStats, ...]]:
        """One sample of everything."""
        roots = [child.pid for child in children]
        node = NodeSample()
        processes: dict[int, ProcessSample] = {}
        for probe in self._probes:
            node = _merge(node, self._ask(probe, "sample_node", probe.sample_node))
            found = self._ask(probe, "sample_processes", partial(probe.sample_processes, roots)) or {}
            for pid, sample in found.items():
                processes[pid] = _merge(processes.get(pid, ProcessSample()), sample)
        stats = tuple(_stats(child, processes[child.pid]) for child in children if child.pid in processes)
        for one in stats:
            self._observe(one)
        return NodeStats(**msgspec.structs.asdict(node)), stats

    def _ask(self, probe: Probe, what: str, question: Callable[[], T]) -> T | None:
        try:
            return question()
        except Exception:
            if (probe.name, what) not in self._complained:
                self._complained.add((probe.name, what))
                log.exception("probe %r failed in %s; said once", probe.name, what)
            return None


def _merge(base: S, more: S | None) -> S:
    if more is None:
        return base
    known: dict[str, Any] = {
        name: value for name, value in msgspec.structs.asdict(more).items() if value is not None and value != ()
    }
    # Each probe knows its own maker's cards; processes have no such field.
    cards: tuple[Any, ...] = getattr(base, "gpus", ())
    if cards and "gpus" in known:
        known["gpus"] = (*cards, *known["gpus"])
    return msgspec.structs.replace(base, **known)


def _stats(child: Child, sample: ProcessSample) -> ProcessStats:
    return ProcessStats(
        pid=child.pid,
        group="llm",
        instance=str(child.port),
        model=child.model_id,
        worker_id=child.worker_id,
        port=child.port,
        **msgspec.structs.asdict(sample),
    )
