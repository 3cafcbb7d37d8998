"""NVML's calls with this plugin's types; what a card does not tell is None.

Functions and units: https://docs.nvidia.com/deploy/nvml-api/
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeVar

import msgspec

log = logging.getLogger(__name__)

T = TypeVar("T")


class Card(msgspec.Struct, frozen=True):
    """One GPU.

    Attributes:
        id: ``GPU-0``, by NVML's index.
        handle: NVML's own.
    """

    id: str
    handle: Any


class Memory(msgspec.Struct, frozen=True):
    """Device memory in bytes."""

    used: int
    total: int


class Nvml:
    """The library, opened at the first question.

    Args:
        library: the module ``pynvml``, or one with the same functions.
    """

    def __init__(self, library: ModuleType) -> None:
        self._library = library
        self._opened: bool | None = None
        self._lost = False
        self.reason: str | None = None
        """Why there is no driver; None where there is one, or before the first question."""

    def cards(self) -> list[Card]:
        """All GPUs; none where there is no driver."""
        if not self._open():
            return []
        count = self.ask(self._library.nvmlDeviceGetCount) or 0
        found = []
        for index in range(count):
            handle = self.ask(self._library.nvmlDeviceGetHandleByIndex, index)
            if handle is not None:
                found.append(Card(f"GPU-{index}", handle))
        return found

    def driver(self) -> str | None:
        """The driver's version; None where there is no driver."""
        if not self._open():
            return None
        version = self.ask(self._library.nvmlSystemGetDriverVersion)
        return version.decode("ascii", "replace") if isinstance(version, bytes) else version

    def name(self, card: Card) -> str | None:
        """What the maker calls it."""
        name = self.ask(self._library.nvmlDeviceGetName, card.handle)
        return name.decode("utf-8", "replace") if isinstance(name, bytes) else name

    def compute_capability(self, card: Card) -> str | None:
        """``9.0`` and the like."""
        found = self.ask(self._library.nvmlDeviceGetCudaComputeCapability, card.handle)
        return None if found is None else f"{found[0]}.{found[1]}"

    def memory(self, card: Card) -> Memory | None:
        """None on devices that share the machine's memory."""
        found = self.ask(self._library.nvmlDeviceGetMemoryInfo, card.handle)
        return None if found is None else Memory(int(found.used), int(found.total))

    def utilization(self, card: Card) -> float | None:
        """Per cent of the last moments in which a kernel ran."""
        found = self.ask(self._library.nvmlDeviceGetUtilizationRates, card.handle)
        return None if found is None else float(found.gpu)

    def temperature(self, card: Card) -> float | None:
        """Degrees Celsius."""
        found = self.ask(self._library.nvmlDeviceGetTemperature, card.handle, self._library.NVML_TEMPERATURE_GPU)
        return None if found is None else float(found)

    def power(self, card: Card) -> float | None:
        """Watts; NVML tells milliwatts."""
        found = self.ask(self._library.nvmlDeviceGetPowerUsage, card.handle)
        return None if found is None else round(found / 1000, 1)

    def process_memory(self, card: Card) -> dict[int, int | None]:
        """Bytes by process id; None where the driver does not tell the size."""
        found: dict[int, int | None] = {}
        for question in (
            self._library.nvmlDeviceGetComputeRunningProcesses,
            self._library.nvmlDeviceGetGraphicsRunningProcesses,
        ):
            for process in self.ask(question, card.handle) or ():
                used = process.usedGpuMemory
                found[int(process.pid)] = None if used is None else int(used)
        return found

    def process_utilization(self, card: Card, since_us: int) -> tuple[dict[int, float], int]:
        """Per cent of the GPU by process id since a moment of the driver's clock, and the moment to ask from next."""
        latest = since_us
        newest: dict[int, tuple[int, float]] = {}
        for sample in self.ask(self._library.nvmlDeviceGetProcessUtilization, card.handle, since_us) or ():
            moment = int(sample.timeStamp)
            latest = max(latest, moment)
            # The buffer keeps samples of processes that have long ended, with rubbish in some drivers.
            if moment > since_us and 0 <= sample.smUtil <= 100 and moment >= newest.get(int(sample.pid), (0, 0.0))[0]:
                newest[int(sample.pid)] = (moment, float(sample.smUtil))
        return {pid: share for pid, (_, share) in newest.items()}, latest

    def ask(self, question: Callable[..., T], *facts: Any) -> T | None:
        """One call; None where card or driver has no answer."""
        try:
            return question(*facts)
        except self._library.NVMLError as error:
            if isinstance(error, self._library.NVMLError_Uninitialized | self._library.NVMLError_GpuIsLost):
                # The driver went away under us, as it does for an upgrade: begin anew at the next question.
                self._opened, self._lost = None, True
            log.debug("%s: %s", getattr(question, "__name__", question), error)
            return None

    def _open(self) -> bool:
        if self._opened is None:
            try:
                self._library.nvmlInit()
                self._opened, self._lost, self.reason = True, False, None
            except self._library.NVMLError as error:
                if self.reason is None:
                    log.info("no NVIDIA driver here: %s", error)
                # One that was here comes back, and is asked for each time; one that never was is not.
                self._opened, self.reason = None if self._lost else False, str(error)
        return self._opened is True
