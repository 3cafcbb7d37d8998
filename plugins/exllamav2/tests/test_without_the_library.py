"""What the plugin says where its libraries cannot run, which is everywhere without CUDA."""

from __future__ import annotations

import importlib.machinery
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest
from rbee.contract import Backend, Capability
from rbee.contract.errors import EngineUnavailableError
from rbee.testing.conformance import EngineContract
from rbee_exllamav2 import ExLlamaV2Engine, ExLlamaV3Engine, availability, plugin
from rbee_exllamav2.availability import Library


class TestExLlamaV2EngineWithoutItsLibrary(EngineContract):
    @pytest.fixture
    def engine_class(self):
        return ExLlamaV2Engine


class TestExLlamaV3EngineWithoutItsLibrary(EngineContract):
    @pytest.fixture
    def engine_class(self):
        return ExLlamaV3Engine


LIBRARY = Library(module="exllamav2", extension="exllamav2_ext")


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine that has everything; tests take away one thing or the other."""
    versions = {"exllamav2": "0.3.2", "torch": "2.13.0+cu130"}
    there = {"exllamav2", "torch"}
    kernels = tmp_path / f"exllamav2_ext{importlib.machinery.EXTENSION_SUFFIXES[0]}"
    origins = {"exllamav2_ext": None}

    def find_spec(name):
        if name in origins:
            return SimpleNamespace(origin=origins[name]) if origins[name] else None
        return SimpleNamespace(origin="/x/__init__.py") if name in there else None

    def version(name):
        if name not in versions:
            raise importlib.metadata.PackageNotFoundError(name)
        return versions[name]

    driver = tmp_path / "version"
    driver.touch()
    toolkit = tmp_path / "cuda"
    toolkit.mkdir()
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    monkeypatch.setattr(availability, "DRIVER", (tmp_path / "nothing", driver))
    monkeypatch.setattr(availability, "TOOLKIT", toolkit)
    for name in availability.TOOLKIT_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return SimpleNamespace(
        there=there, versions=versions, driver=driver, toolkit=toolkit, kernels=kernels, origins=origins
    )


def reason():
    found = availability.availability(LIBRARY)
    assert not found.available
    return found.reason


def test_a_machine_that_has_everything_is_told_with_its_version(machine):
    found = availability.availability(LIBRARY)
    assert (found.available, found.version, found.reason) == (True, "0.3.2", None)


def test_a_missing_library_comes_with_its_install_command(machine):
    machine.there.remove("exllamav2")
    assert reason() == "exllamav2 is not installed; pip install 'rbee-exllamav2[engine]'"


def test_a_missing_pytorch_comes_with_its_install_command(machine):
    machine.there.remove("torch")
    assert reason() == "exllamav2 needs PyTorch, which is not installed; pip install 'rbee-exllamav2[engine]'"


def test_a_pytorch_without_cuda_is_told(machine):
    machine.versions["torch"] = "2.13.0+cpu"
    assert reason().startswith("PyTorch 2.13.0+cpu is built without CUDA; pip uninstall torch and pip install")


def test_a_missing_driver_is_told(machine):
    machine.driver.unlink()
    assert reason().startswith("no NVIDIA driver was found; install NVIDIA's driver")


def test_a_missing_compiler_is_told_unless_kernels_are_there(machine, monkeypatch):
    machine.toolkit.rmdir()
    assert "nvcc was not found; install the CUDA toolkit and set CUDA_HOME" in reason()
    machine.origins["exllamav2_ext"] = "/x/exllamav2_ext/__init__.py"  # sources are no kernels
    assert "nvcc was not found" in reason()
    machine.origins["exllamav2_ext"] = str(machine.kernels)
    assert availability.availability(LIBRARY).available
    machine.origins["exllamav2_ext"] = None
    monkeypatch.setenv("CUDA_HOME", "/opt/cuda")
    assert availability.availability(LIBRARY).available


def test_a_mac_is_told_what_it_needs(machine, monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert reason() == "exllamav2 needs CUDA, which darwin does not have; use Linux or Windows, with an NVIDIA GPU"


def test_windows_keeps_its_driver_elsewhere(machine, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("SYSTEMROOT", str(tmp_path))
    assert "no NVIDIA driver" in reason()
    (tmp_path / "System32").mkdir()
    (tmp_path / "System32" / "nvcuda.dll").touch()
    assert availability.availability(LIBRARY).available


def test_every_reason_ends_with_one_remedy(machine):
    machine.toolkit.rmdir()
    reasons = [reason()]
    machine.driver.unlink()
    reasons.append(reason())
    machine.versions["torch"] = "2+cpu"
    reasons.append(reason())
    for name in ("torch", "exllamav2"):
        machine.there.remove(name)
        reasons.append(reason())
    assert [text.count("; ") for text in reasons] == [1] * 5


def test_loading_where_it_cannot_run_says_why(engine_class, make_spec, machine):
    machine.there.clear()
    with pytest.raises(EngineUnavailableError, match=f"engine '{engine_class.name}' cannot run here: .*pip install"):
        engine_class().load(make_spec(), lambda _stage: None)


def test_neither_the_plugin_nor_its_availability_imports_what_is_heavy():
    code = (
        "import sys, rbee_exllamav2.plugin as p;"
        "p.ExLlamaV2Engine.info(), p.ExLlamaV3Engine.info();"
        "assert not {'torch', 'exllamav2', 'exllamav3', 'tokenizers'} & set(sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, env=environment)


def test_the_list_of_plugins_tells_that_upstream_is_archived(tmp_path):
    environment = {**os.environ, "RBEE_HOME": str(tmp_path / "home"), "RBEE_PLUGINS": "exllamav2"}
    argv = [sys.executable, "-m", "rbee", "plugins"]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert "exllamav2, exllamav3" in done.stdout
    assert "Engine exllamav2: Upstream archived ExLlamaV2 in 2026" in done.stderr
    assert "Engine exllamav3" not in done.stderr


def test_both_engines_are_registered_with_what_they_can():
    registered = []
    plugin.rbee_register(SimpleNamespace(engine=registered.append))
    assert registered == [ExLlamaV2Engine, ExLlamaV3Engine]
    two, three = (engine.info() for engine in registered)
    assert (two.formats, three.formats) == (("exl2", "safetensors"), ("exl3", "safetensors"))
    assert two.backends == three.backends == (Backend.CUDA,)
    assert three.preference["cuda"] > two.preference["cuda"] > 20
    assert Capability.SPECULATIVE in two.capabilities
    assert "archived" in two.note
    assert three.note is None
    assert {option.name for option in two.options} >= {"cache_tokens", "cache_type", "gpu_split", "draft_model"}
    assert two.optional
