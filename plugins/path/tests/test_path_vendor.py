"""What a machine has on its PATH, as `rbee worker list` and `available` tell it."""

from __future__ import annotations

from pathlib import Path

import pytest
from rbee.contract.errors import CancelledByCallerError, ConflictError, EngineUnavailableError, NotFoundError
from rbee.testing.cancel import Cancel
from rbee_path.vendor import PathVendor


def quiet(*_told) -> None:
    """Nobody watches."""


@pytest.fixture
def vendor(programs: Path) -> PathVendor:
    return PathVendor()


def offer(vendor: PathVendor, worker: str):
    return next(one for one in vendor.catalog() if one.worker == worker)


def test_what_is_on_the_path_is_installed_and_the_rest_can_be_had(vendor, llama_server):
    offers = {one.worker: one for one in vendor.catalog()}
    assert set(offers) == {"path-llama-server", "path-mlx-lm", "path-ollama", "path-vllm"}
    there = offers["path-llama-server"]
    assert (there.installed, there.available, there.version) == (True, True, "6823")
    assert there.origin == f"'{llama_server}'"
    assert not offers["path-vllm"].installed
    assert offers["path-vllm"].reason.endswith("uv tool install vllm")
    assert offers["path-vllm"].origin is None


def test_installing_says_how_to_get_it(vendor):
    with pytest.raises(
        EngineUnavailableError, match=r"'path-vllm' .* which rbee does not install: .*uv tool install vllm"
    ):
        vendor.install(offer(vendor, "path-vllm"), quiet, quiet, Cancel())


def test_removing_leaves_it_to_whoever_put_it_there(vendor, llama_server):
    with pytest.raises(ConflictError, match="llama-server', which rbee did not install"):
        vendor.remove(offer(vendor, "path-llama-server"), quiet, Cancel())
    with pytest.raises(NotFoundError, match="path-vllm"):
        vendor.remove(offer(vendor, "path-vllm"), quiet, Cancel())
    assert llama_server.exists()


def test_a_call_that_was_cancelled_does_nothing(vendor):
    cancel = Cancel()
    cancel.cancel()
    for call in (lambda one: vendor.install(one, quiet, quiet, cancel), lambda one: vendor.remove(one, quiet, cancel)):
        with pytest.raises(CancelledByCallerError):
            call(offer(vendor, "path-vllm"))


def test_a_broken_file_is_listed_with_its_reason(vendor, tmp_path):
    folder = tmp_path / "home" / "config" / "engines"
    folder.mkdir(parents=True)
    (folder / "mill.toml").write_text("x = 1")
    found = offer(vendor, "path-mill")
    assert (found.installed, found.available) == (False, False)
    assert "mill.toml' is no record of an engine" in found.reason


def test_no_other_vendor_lists_them_too(llama_server):
    """Or a person would have to say which one is meant."""
    from rbee.builtin.python_workers import PythonWorkerVendor

    assert not [one.worker for one in PythonWorkerVendor().catalog() if one.worker.startswith("path-")]
