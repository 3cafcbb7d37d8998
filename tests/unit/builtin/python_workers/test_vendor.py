"""Engines as Python packages, installed by real installers into an environment of the test's own, without network."""

from __future__ import annotations

import os
import shutil
import site
import subprocess
import sys
import venv
import zipfile
from pathlib import Path
from typing import ClassVar

import pytest
from rbee.builtin.python_workers import PythonWorkerVendor
from rbee.catalog import WorkerCatalog
from rbee.contract.errors import PluginError, RbeeError
from rbee.testing.conformance import WorkerVendorContract

ENGINE = """
from rbee.contract import Availability, EngineStatus, TokenEngine, hookimpl

RBEE_CONTRACT = ">=0.1,<0.2"


class Speck(TokenEngine):
    name = "speck"
    formats = frozenset({"dust"})
    backends = frozenset({"cpu"})
    capabilities = frozenset({"chat"})

    @classmethod
    def availability(cls):
        return Availability(available=True, version="1.0")

    def load(self, spec, report): ...
    def add(self, request): ...
    def step(self):
        return ()
    def remove(self, request_id): ...
    def unload(self): ...
    def status(self):
        return EngineStatus()


@hookimpl
def rbee_register(register):
    register.engine(Speck)
"""
METADATA = "Metadata-Version: 2.1\nName: rbee-speck\nVersion: 1.0\nSummary: A speck.\nProvides-Extra: engine\n"
ROOT = """Metadata-Version: 2.1
Name: rbee-root-of-a-test
Version: 1.0
Provides-Extra: speck
Provides-Extra: dust
Provides-Extra: all
Provides-Extra: driver
Requires-Dist: rbee-speck[engine]; extra == "speck"
Requires-Dist: rbee-speck[engine]; extra == "dust"
Requires-Dist: rbee-speck[engine]; extra == "all"
Requires-Dist: rbee-lamp; extra == "all"
Requires-Dist: lamp-driver; extra == "driver"
"""


def wheel(folder: Path) -> None:
    folder.mkdir()
    info = "rbee_speck-1.0.dist-info"
    files = {
        "rbee_speck.py": ENGINE,
        f"{info}/METADATA": METADATA,
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[rbee]\nspeck = rbee_speck\n",
    }
    record = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(folder / "rbee_speck-1.0-py3-none-any.whl", "w") as archive:
        for name, text in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(name, text)


BESIDE = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


@pytest.fixture(params=["uv", "pip"])
def vendor(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PythonWorkerVendor:
    """The vendor over an environment that sees this one's packages and is its own to change."""
    if request.param == "uv" and shutil.which("uv", path=BESIDE) is None:
        pytest.skip("uv is not installed")
    return vendor_with(request.param, tmp_path, monkeypatch)


class TestPythonWorkerVendor(WorkerVendorContract):
    @pytest.fixture
    def vendor(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PythonWorkerVendor:
        return vendor_with("uv" if shutil.which("uv", path=BESIDE) else "pip", tmp_path, monkeypatch)

    @pytest.fixture
    def worker(self) -> str:
        return "speck"


def vendor_with(installer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PythonWorkerVendor:
    if installer == "uv":
        monkeypatch.setenv("PATH", BESIDE)
    environment = tmp_path / "venv"
    venv.create(environment, symlinks=True, with_pip=installer == "pip")
    (packages,) = environment.glob("lib/python3*/site-packages")
    ours = next(path for path in site.getsitepackages() if path.endswith("site-packages"))
    (packages / "ours.pth").write_text(f"import site; site.addsitedir({ours!r})\n")
    wheel(tmp_path / "wheels")
    for prefix in ("PIP", "UV"):
        monkeypatch.setenv(f"{prefix}_NO_INDEX", "1")
        monkeypatch.setenv(f"{prefix}_FIND_LINKS", str(tmp_path / "wheels"))
        monkeypatch.setenv(f"{prefix}_CACHE_DIR", str(tmp_path / f"{prefix}-cache"))
    monkeypatch.delenv("RBEE_PLUGINS", raising=False)
    root = tmp_path / "root" / "rbee_root_of_a_test-1.0.dist-info"
    root.mkdir(parents=True)
    (root / "METADATA").write_text(ROOT)
    monkeypatch.syspath_prepend(str(root.parent))

    class Vendor(PythonWorkerVendor):
        distribution: ClassVar[str] = "rbee-root-of-a-test"
        python: ClassVar[str] = str(environment / "bin" / "python")

    return Vendor()


async def test_an_engine_is_installed_found_by_a_fresh_process_and_removed(vendor: PythonWorkerVendor) -> None:
    catalog = WorkerCatalog([vendor])
    before = await catalog.get("speck")
    assert (before.installed, before.available, before.formats) == (False, None, ("dust",))
    names = [offer.worker for offer in (await catalog.list()).workers]
    assert {"all", "driver", "dust", "lamp"}.isdisjoint(names), "no engine of its own"
    said: list[str] = []
    after = await catalog.install("speck", None, said.append, lambda _done, _total: None)
    assert (after.installed, after.available, after.version, after.formats) == (True, True, "1.0", ("dust",))
    assert "rbee-speck[engine]" in said[0]
    assert len(said) > 1, "the installer's lines are told"
    assert await catalog.install("speck", None, said.append, lambda _done, _total: None) == after
    await catalog.remove("speck", None, lambda: (), said.append)
    assert not (await catalog.get("speck")).installed


async def test_what_is_not_to_be_had_is_told_with_the_command(vendor: PythonWorkerVendor, tmp_path: Path) -> None:
    for file in (tmp_path / "wheels").iterdir():
        file.unlink()
    catalog = WorkerCatalog([vendor])
    with pytest.raises(RbeeError, match=r"To try it by hand: \S+") as caught:
        await catalog.install("speck", None, lambda _line: None, lambda _done, _total: None)
    assert "rbee-speck" in caught.value.message
    assert not (await catalog.get("speck")).installed


def test_an_environment_that_cannot_be_asked_says_how_to_find_out(tmp_path: Path) -> None:
    class Broken(PythonWorkerVendor):
        python: ClassVar[str] = str(tmp_path / "nothing")

    with pytest.raises(PluginError, match="To see why: "):
        Broken().catalog()


def test_the_environment_of_this_test_is_untouched() -> None:
    told = subprocess.run([sys.executable, "-c", "import rbee_speck"], capture_output=True, check=False)
    assert b"ModuleNotFoundError" in told.stderr
