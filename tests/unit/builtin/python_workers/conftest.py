"""An index of this test's own: a folder of wheels, and uv told to ask nobody else."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import ClassVar

import pytest
from rbee.builtin.python_workers import PythonWorkerVendor
from unit.builtin.python_workers import wheels

ROOT = """Metadata-Version: 2.1
Name: rbee-root-of-a-test
Version: 1.0
Provides-Extra: speck
Provides-Extra: dust
Provides-Extra: all
Provides-Extra: driver
Requires-Dist: packaging>=20
Requires-Dist: rbee-speck[engine]; extra == "speck"
Requires-Dist: rbee-speck[engine]; extra == "dust"
Requires-Dist: rbee-speck[engine]; extra == "all"
Requires-Dist: rbee-lamp; extra == "all"
Requires-Dist: lamp-driver; extra == "driver"
"""


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of wheels."""
    folder = tmp_path / "wheels"
    wheels.speck(folder)
    wheels.dead_end(folder)
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_FIND_LINKS", str(folder))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    # Other plugins that this environment may have are left out: each question loads them anew.
    monkeypatch.setenv("RBEE_PLUGINS", "speck")
    return folder


@pytest.fixture
def python_vendor(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PythonWorkerVendor:
    """The vendor, with a folder of its own."""
    root = tmp_path / "root" / "rbee_root_of_a_test-1.0.dist-info"
    root.mkdir(parents=True)
    (root / "METADATA").write_text(ROOT)
    monkeypatch.syspath_prepend(str(root.parent))

    class Vendor(PythonWorkerVendor):
        distribution: ClassVar[str] = "rbee-root-of-a-test"
        home = tmp_path / "workers"

    return Vendor()
