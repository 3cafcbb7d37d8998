"""What the probe tells, and what it leaves to rbee's own."""

from __future__ import annotations

import os

import pytest
from rbee.contract import NodeSample
from rbee_example.probe import ExampleProbe


def test_figures_that_rbee_measures_itself_are_left_to_it():
    probe = ExampleProbe()
    for _ in range(2):
        assert probe.sample_node() == NodeSample()
        assert probe.sample_processes([os.getpid()]) == {}


@pytest.mark.parametrize(("load", "status"), [(0.5, "ok"), (2.0, "ok"), (7.5, "warn")])
def test_a_machine_that_is_wanted_by_more_than_it_can_serve_is_said(monkeypatch, load, status):
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    (check,) = ExampleProbe().diagnose()
    assert (check.status, check.detail.split()[0]) == (status, str(load))
    assert (check.remedy is None) == (status == "ok")


def test_a_system_without_that_figure_is_no_error(monkeypatch):
    def unknown():
        raise OSError

    monkeypatch.setattr(os, "getloadavg", unknown, raising=False)
    assert ExampleProbe().diagnose() == ()
