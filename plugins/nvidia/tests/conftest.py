"""A stand-in for the NVML library: the functions that the probe calls, over cards described by a test."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest
from rbee_nvidia import NvidiaProbe


class FakeNvml:
    """Answers like `pynvml`, errors included.

    Attributes:
        cards: figures a card; a missing one raises NVMLError_NotSupported as real cards do.
        driver: False raises NVMLError_LibraryNotFound at the start.
    """

    NVMLError = pynvml.NVMLError
    NVMLError_Uninitialized = pynvml.NVMLError_Uninitialized
    NVMLError_GpuIsLost = pynvml.NVMLError_GpuIsLost
    NVML_TEMPERATURE_GPU = pynvml.NVML_TEMPERATURE_GPU

    def __init__(self) -> None:
        self.cards: list[dict[str, Any]] = []
        self.driver = True
        self.inits = 0
        self.version: str | bytes = "560.35.03"

    def nvmlInit(self) -> None:
        self.inits += 1
        if not self.driver:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    def nvmlSystemGetDriverVersion(self) -> str | bytes:
        return self.version

    def nvmlDeviceGetCount(self) -> int:
        if not self.driver:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_UNINITIALIZED)
        return len(self.cards)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> dict[str, Any]:
        return self.cards[index]

    def nvmlDeviceGetName(self, handle: dict) -> str:
        return self._told(handle, "name")

    def nvmlDeviceGetCudaComputeCapability(self, handle: dict) -> tuple[int, int]:
        return self._told(handle, "capability")

    def nvmlDeviceGetMemoryInfo(self, handle: dict) -> SimpleNamespace:
        used, total = self._told(handle, "memory")
        return SimpleNamespace(used=used, total=total)

    def nvmlDeviceGetUtilizationRates(self, handle: dict) -> SimpleNamespace:
        return SimpleNamespace(gpu=self._told(handle, "load"), memory=0)

    def nvmlDeviceGetTemperature(self, handle: dict, sensor: int) -> int:
        assert sensor == pynvml.NVML_TEMPERATURE_GPU
        return self._told(handle, "temperature")

    def nvmlDeviceGetPowerUsage(self, handle: dict) -> int:
        return self._told(handle, "milliwatts")

    def nvmlDeviceGetComputeRunningProcesses(self, handle: dict) -> list[SimpleNamespace]:
        return [SimpleNamespace(pid=pid, usedGpuMemory=used) for pid, used in self._told(handle, "compute").items()]

    def nvmlDeviceGetGraphicsRunningProcesses(self, handle: dict) -> list[SimpleNamespace]:
        return [SimpleNamespace(pid=pid, usedGpuMemory=used) for pid, used in self._told(handle, "graphics").items()]

    def nvmlDeviceGetProcessUtilization(self, handle: dict, since: int) -> list[SimpleNamespace]:
        samples = [
            SimpleNamespace(pid=pid, timeStamp=moment, smUtil=share)
            for pid, moment, share in self._told(handle, "samples")
            if moment > since
        ]
        if not samples:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return samples

    @staticmethod
    def _told(handle: dict, name: str) -> Any:
        if name not in handle:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return handle[name]


@pytest.fixture
def nvml() -> FakeNvml:
    return FakeNvml()


@pytest.fixture
def bus(tmp_path: Path) -> Path:
    """The kernel's folder of PCI devices, with nothing of NVIDIA's in it."""
    bus = tmp_path / "devices"
    _add_device(bus, "0000:00:02.0", vendor="0x8086", kind="0x030000")
    (bus / "odd").mkdir()
    return bus


def _add_device(bus: Path, address: str, *, vendor: str = "0x10de", kind: str = "0x030200") -> None:
    """Put a device on the bus; by default one of NVIDIA's cards."""
    (bus / address).mkdir(parents=True)
    (bus / address / "vendor").write_text(f"{vendor}\n", encoding="ascii")
    (bus / address / "class").write_text(f"{kind}\n", encoding="ascii")


@pytest.fixture
def add_device(bus: Path) -> Callable[..., None]:
    """Puts a device on the bus."""
    return partial(_add_device, bus)


@pytest.fixture
def probe(nvml: FakeNvml, bus: Path) -> NvidiaProbe:
    return NvidiaProbe(nvml, bus)
