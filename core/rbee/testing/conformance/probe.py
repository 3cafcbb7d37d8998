"""The promises of `rbee.contract.Probe`."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from rbee.contract import Check, Device, DeviceType, Probe
from rbee.testing.conformance.promises import Promises

QUICK_S = 1.0
"""A probe is asked every second."""


class ProbeContract(Promises, kit=True):
    """Subclass it and give the fixture `probe`."""

    @pytest.fixture
    def probe(self) -> Probe:
        """The probe under test, made afresh; also where its hardware is absent."""
        raise NotImplementedError("give the fixture `probe`: return YourProbe()")

    def test_the_probe_has_a_name_of_its_own(self, probe: Probe) -> None:
        """A name is a word in lower case."""
        name = type(probe).name
        assert isinstance(name, str)
        assert name
        assert name == name.strip().lower()

    def test_devices_are_well_formed_and_stay_the_same(self, probe: Probe) -> None:
        """Ids are unique and stable; memory is positive or unknown."""
        devices = probe.devices()
        assert all(isinstance(device, Device) for device in devices)
        ids = [device.id for device in devices]
        assert len(set(ids)) == len(ids)
        assert [device.id for device in probe.devices()] == ids
        for device in devices:
            assert device.id
            assert device.name
            assert device.memory_bytes is None or device.memory_bytes > 0
            assert device.vram_gb is None or device.vram_gb > 0
            assert device.cores is None or device.cores > 0
            assert device.device_type is DeviceType.CPU or device.cores is None

    def test_node_samples_are_quick_and_in_range(self, probe: Probe) -> None:
        """The first sample and a later one; shares lie between 0 and 100."""
        for _ in range(2):
            started = time.monotonic()
            sample = probe.sample_node()
            assert time.monotonic() - started < QUICK_S
            assert sample.cpu_pct is None or 0 <= sample.cpu_pct <= 100
            assert sample.ram_used_mb is None or sample.ram_used_mb >= 0
            assert sample.ram_total_mb is None or sample.ram_total_mb > 0
            for gpu in sample.gpus:
                assert gpu.id
                assert gpu.util_pct is None or 0 <= gpu.util_pct <= 100

    def test_process_samples_speak_only_of_the_processes_asked_for(self, probe: Probe) -> None:
        """A process may be left out, but none is added."""
        assert dict(probe.sample_processes([])) == {}
        for _ in range(2):
            started = time.monotonic()
            samples = probe.sample_processes([os.getpid()])
            assert time.monotonic() - started < QUICK_S
            assert set(samples) <= {os.getpid()}
            for sample in samples.values():
                assert sample.cpu_pct is None or sample.cpu_pct >= 0
                assert sample.rss_mb is None or sample.rss_mb > 0
                assert sample.gpu_util_pct is None or 0 <= sample.gpu_util_pct <= 100

    def test_a_process_that_is_gone_is_no_error(self, probe: Probe) -> None:
        """Workers die between the listing and the measuring."""
        with subprocess.Popen([sys.executable, "-c", ""]) as child:  # the interpreter itself
            child.wait(timeout=30)
        samples = probe.sample_processes([child.pid, os.getpid()])
        assert child.pid not in samples

    def test_what_it_says_to_the_doctor_is_well_formed(self, probe: Probe) -> None:
        """Each line names what was looked at and what was found; what is wrong comes with a remedy."""
        for check in probe.diagnose():
            assert isinstance(check, Check)
            assert check.name
            assert check.detail
            assert "\n" not in check.detail
            assert check.status == "ok" or check.remedy
