"""What a vendor of hardware figures writes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import msgspec

from rbee.contract.checks import Check
from rbee.contract.types import Device
from rbee.contract.wire import GpuStats


class NodeSample(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of the whole machine; a probe fills what it knows and leaves the rest None.

    Of two probes that tell the same figure the one registered first counts, and the log says so once.  rbee's own probe
    comes before all others and tells processor and memory; `gpus` of all probes stand side by side.

    Attributes:
        cpu_pct: of all cores together, 0 to 100, since the previous sample.
        ram_used_mb: memory in use, in MiB.
        ram_total_mb: memory the machine (or the cgroup) has, in MiB.
        gpus: one entry a device.
    """

    cpu_pct: float | None = None
    ram_used_mb: int | None = None
    ram_total_mb: int | None = None
    gpus: tuple[GpuStats, ...] = ()


class ProcessSample(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one worker: the process and all its descendants together.

    Of two probes that tell the same figure the one registered first counts, as for the machine.

    Attributes:
        cpu_pct: 100 is one core kept busy, since the previous sample.
        rss_mb: resident memory in MiB.
        rss_peak_mb: the most that was resident at the same time since they began, as far as the system tells; at least
            `rss_mb`, and None where it tells nothing.
        io_r_mb_s: bytes read from storage, in MiB a second, since the previous sample.
        io_w_mb_s: bytes written to storage, likewise.
        uptime_s: seconds since the process started.
        gpu: id of the device in use; of several with commas between, ``GPU-0,GPU-1``.
        gpu_util_pct: 0 to 100; of several devices the largest.
        vram_mb: device memory in use, in MiB, of several devices in all.
        total_vram_mb: the device's memory, in MiB, of several devices in all.
        cgroup: path of the cgroup it runs in, where it has one of its own.
        pids: ids of the process and its descendants.
        vram_by_gpu_mb: of `vram_mb`, what is in use of each of several devices, by id; None for one.
    """

    cpu_pct: float | None = None
    rss_mb: int | None = None
    rss_peak_mb: int | None = None
    io_r_mb_s: float | None = None
    io_w_mb_s: float | None = None
    uptime_s: int | None = None
    gpu: str | None = None
    gpu_util_pct: float | None = None
    vram_mb: int | None = None
    total_vram_mb: int | None = None
    cgroup: str | None = None
    pids: tuple[int, ...] = ()
    vram_by_gpu_mb: dict[str, int] | None = None


class Probe(ABC):
    """Reads figures of one kind of hardware.

    One object lives as long as the hive.  It has a thread of its own, in which all its methods are called, one after
    the other, never two at the same time; for `diagnose` alone a further object is made, which has its own thread too.
    A probe without its driver reports no devices and empty samples; it never raises for absence.  A raised exception is
    logged once and that probe's figures stay unknown for the sample.

    A sample is waited for `hive.probe_timeout_s` and the devices at start 10 s.  A probe that takes longer is asked
    nothing more until it has returned; its figures are unknown meanwhile, and those of the other probes come in time.
    Its late answer is dropped, but for devices, which are taken whenever they come.  A call that never returns does
    not keep the hive from ending.

    A whole plugin::

        class LampProbe(Probe):
            name = "lamp"

            def devices(self):
                return ()

            def sample_node(self):
                return NodeSample(gpus=(GpuStats(id="LAMP-0", util_pct=12.0),))

            def sample_processes(self, roots):
                return {}
    """

    name: ClassVar[str]

    @abstractmethod
    def devices(self) -> Sequence[Device]:
        """The devices present; called once, at the start of the hive, before any sample is asked for."""

    @abstractmethod
    def sample_node(self) -> NodeSample:
        """Figures of the machine; called every second.  Rates are None in the first call."""

    @abstractmethod
    def sample_processes(self, roots: Sequence[int]) -> dict[int, ProcessSample]:
        """Figures of workers; called every second.

        Args:
            roots: process ids of workers; one may be gone already, which is no error.

        Returns:
            Figures by process id, for those the probe knows something about.
        """

    def diagnose(self) -> Sequence[Check]:
        """What `rbee doctor` shall say of this hardware; called there alone, on an object made for it.

        Returns:
            One entry a line; none when there is nothing to say, as it is unless a probe says otherwise.
        """
        return ()
