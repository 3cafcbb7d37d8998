"""The adapter over the real libraries, as far as they go without CUDA; see `real_library`.

Skipped where PyTorch and the libraries are not installed, which is so in every checkout: the README says how.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rbee.testing.models import shared_models


@pytest.mark.parametrize("library", ["exllamav2", "exllamav3"])
def test_requests_run_through_the_real_generator(library):
    for name in ("torch", library):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed here")
    folder = shared_models(Path(__file__)) / "hf"
    script = Path(__file__).with_name("real_library.py")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, str(script), library, str(folder)],
        capture_output=True,
        text=True,
        timeout=300,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout
