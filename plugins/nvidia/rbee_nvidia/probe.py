"""The probe."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType

import psutil
import pynvml
from rbee.contract import Backend, Check, Device, DeviceType, GpuStats, NodeSample, Probe, ProcessSample

from rbee_nvidia.nvml import Card, Memory, Nvml
from rbee_nvidia.pci import visible_cards

_MIB = 1024 * 1024
_GIB = 1024 * _MIB
_BUS = Path("/sys/bus/pci/devices")


class NvidiaProbe(Probe):
    """GPUs of NVIDIA: each card, and each worker's share of it.

    Where processes have other ids inside a container than outside, the driver tells the outer ones, and a worker's
    share stays unknown.

    Args:
        library: the module ``pynvml``; tests give another with the same functions.
        bus: the kernel's folder of PCI devices; tests give another of the same shape.
    """

    name = "nvidia"

    def __init__(self, library: ModuleType = pynvml, bus: Path = _BUS) -> None:
        self._nvml = Nvml(library)
        self._bus = bus
        self._asked_until: dict[str, int] = {}

    def devices(self) -> Sequence[Device]:
        """All cards, by NVML's index."""
        return tuple(self._device(card) for card in self._nvml.cards())

    def sample_node(self) -> NodeSample:
        """Figures of each card."""
        return NodeSample(gpus=tuple(self._stats(card) for card in self._nvml.cards()))

    def sample_processes(self, roots: Sequence[int]) -> dict[int, ProcessSample]:
        """Each worker's share: of several cards, memory is summed and told of each, load is the largest."""
        cards = self._nvml.cards()
        if not cards or not roots:
            return {}
        owner = _owners(roots)
        found: dict[int, ProcessSample] = {}
        for card in cards:
            memory = _by_root(self._nvml.process_memory(card).items(), owner)
            loads, self._asked_until[card.id] = self._nvml.process_utilization(card, self._asked_until.get(card.id, 0))
            load = {root: sum(shares) for root, shares in _grouped(loads.items(), owner).items()}
            total = self._nvml.memory(card)
            for root, used in memory.items():
                found[root] = _add(found.get(root), card, used, load.get(root), total)
        return found

    def diagnose(self) -> Sequence[Check]:
        """One line: the cards in use, or why there are none."""
        cards = self._nvml.cards()
        if cards:
            names = ", ".join(f"{card.id} {self._nvml.name(card) or 'of unknown name'}" for card in cards)
            return (Check(name="NVIDIA", status="ok", detail=f"{names}; driver {self._nvml.driver() or 'unknown'}"),)
        seen = visible_cards(self._bus)
        why = self._nvml.reason
        if not seen:
            detail = "no driver: no GPU is used" if why is not None else "a driver and no card: no GPU is used"
            return (Check(name="NVIDIA", status="ok", detail=detail),)
        return (
            Check(
                name="NVIDIA",
                status="warn",
                detail=f"{len(seen)} of NVIDIA's cards on the PCI bus ({', '.join(seen)}), and none can be used: "
                + (why or "the driver knows none"),
                remedy="Install NVIDIA's driver, or give the container its cards, then start the hive again; "
                "`nvidia-smi` shows when it works",
            ),
        )

    def _device(self, card: Card) -> Device:
        memory = self._nvml.memory(card)
        return Device(
            id=card.id,
            name=self._nvml.name(card) or "NVIDIA GPU",
            device_type=DeviceType.GPU,
            vram_gb=None if memory is None else round(memory.total / _GIB, 1),
            compute_capability=self._nvml.compute_capability(card),
            backend=Backend.CUDA,
            memory_bytes=None if memory is None else memory.total,
        )

    def _stats(self, card: Card) -> GpuStats:
        memory = self._nvml.memory(card)
        return GpuStats(
            id=card.id,
            util_pct=self._nvml.utilization(card),
            vram_used_mb=None if memory is None else memory.used // _MIB,
            vram_total_mb=None if memory is None else memory.total // _MIB,
            temp_c=self._nvml.temperature(card),
            power_w=self._nvml.power(card),
        )


def _owners(roots: Sequence[int]) -> dict[int, int]:
    """The worker by each process of its tree."""
    owner = {}
    for root in roots:
        owner[root] = root
        try:
            children = psutil.Process(root).children(recursive=True)
        except psutil.Error:
            continue
        owner.update({child.pid: root for child in children})
    return owner


def _grouped(values: Iterable[tuple[int, float]], owner: dict[int, int]) -> dict[int, list[float]]:
    found: dict[int, list[float]] = {}
    for pid, value in values:
        if pid in owner:
            found.setdefault(owner[pid], []).append(value)
    return found


def _by_root(values: Iterable[tuple[int, int | None]], owner: dict[int, int]) -> dict[int, int | None]:
    """Bytes by worker; one process of unknown size makes the sum unknown."""
    found: dict[int, int | None] = {}
    for pid, used in values:
        if pid in owner:
            before = found.get(owner[pid], 0)
            found[owner[pid]] = None if used is None or before is None else before + used
    return found


def _add(
    before: ProcessSample | None, card: Card, used: int | None, load: float | None, total: Memory | None
) -> ProcessSample:
    vram = None if used is None else used // _MIB
    whole = None if total is None else total.total // _MIB
    share = None if load is None else min(100.0, load)
    if before is None:
        return ProcessSample(gpu=card.id, vram_mb=vram, total_vram_mb=whole, gpu_util_pct=share)
    loads = [one for one in (before.gpu_util_pct, share) if one is not None]
    by_card = before.vram_by_gpu_mb or _known(before.gpu, before.vram_mb)
    return ProcessSample(
        gpu=f"{before.gpu},{card.id}",
        vram_mb=None if vram is None or before.vram_mb is None else before.vram_mb + vram,
        total_vram_mb=None if whole is None or before.total_vram_mb is None else before.total_vram_mb + whole,
        gpu_util_pct=max(loads) if loads else None,
        vram_by_gpu_mb={**by_card, **_known(card.id, vram)},
    )


def _known(card: str | None, vram: int | None) -> dict[str, int]:
    return {} if card is None or vram is None else {card: vram}
