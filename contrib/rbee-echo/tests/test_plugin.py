from __future__ import annotations

import tomllib
from importlib import import_module
from pathlib import Path
from typing import ClassVar
from unittest.mock import create_autospec

import pytest
import rbee_echo
from rbee.builtin.python_workers import PythonWorkerVendor
from rbee.catalog.provisioner import Cancel
from rbee.contract import CONTRACT_VERSION, LoadSpec, Register
from rbee.contract.errors import ModelNotFoundError, NotFoundError
from rbee.contract.wire import InferRequest
from rbee.worker.tokens import TokenFace
from rbee_echo import plugin
from rbee_echo.engine import EchoEngine
from rbee_echo.vendor import EchoVendor


def project():
    return tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_entry_point_names_the_plugin_module():
    assert import_module(project()["entry-points"]["rbee"]["echo"]) is plugin


def test_the_version_stands_in_both_places():
    assert project()["version"] == rbee_echo.__version__


def test_the_plugin_registers_its_engine_and_its_vendor():
    register = create_autospec(Register, instance=True)
    plugin.rbee_register(register)
    register.engine.assert_called_once_with(EchoEngine)
    register.model_vendor.assert_called_once_with(EchoVendor)


def test_the_plugin_states_a_range_that_holds_the_contract():
    packaging = pytest.importorskip("packaging.specifiers")
    assert CONTRACT_VERSION in packaging.SpecifierSet(plugin.RBEE_CONTRACT)


def test_a_malformed_name_is_a_model_that_is_not_found():
    with pytest.raises(ModelNotFoundError, match="no parameter 'x'"):
        EchoVendor().resolve("echo:a?x=1")


def test_a_resolved_name_resolves_to_itself():
    (variant,) = EchoVendor().resolve("echo")
    assert (variant.model_id, variant.name, variant.size_bytes) == ("echo:echo", "echo", 0)
    assert EchoVendor().resolve(variant.model_id) == (variant,)


async def test_the_worker_host_answers_through_it():
    (variant,) = EchoVendor().resolve("echo")
    spec = LoadSpec(model_id=variant.model_id, model_path=None, variant=variant, slots=2)
    face = TokenFace(EchoEngine(), spec, max_body=1_000_000)
    assert await face.start(lambda stage: None) == 4096
    try:
        deltas = [delta async for delta in face.infer(InferRequest(prompt="hear me"), "r")]
    finally:
        await face.stop()
    assert "".join(delta.text for delta in deltas) == "hear me"
    assert deltas[-1].stop_reason == "EOS"


def test_an_engine_that_is_part_of_the_distribution_itself_is_not_removed():
    class Own(PythonWorkerVendor):
        distribution: ClassVar[str] = "rbee-echo"

    (echo,) = [offer for offer in Own().catalog() if offer.worker == "echo"]
    with pytest.raises(NotFoundError, match="part of rbee itself"):
        Own().remove(echo, lambda _line: None, Cancel())
