"""The documentation, and a colony for its examples."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from docs.reading import ROOT

START_S = 60.0
STOP_S = 30.0


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def docs() -> Path:
    return ROOT / "docs"


@pytest.fixture(scope="session")
def colony(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A colony of its own on free ports: the answer of ``rbee up --json``."""
    home = tmp_path_factory.mktemp("home")
    environ = {key: value for key, value in os.environ.items() if not key.startswith("RBEE_")}
    environ["RBEE_HOME"] = str(home)
    free = [f"--set={name}.port=0" for name in ("registry", "queen", "hive")]
    with (home / "up.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "rbee", *free, "up", "--json"], stdout=subprocess.PIPE, stderr=log, env=environ
        )
    assert process.stdout is not None
    try:
        assert select.select([process.stdout], [], [], START_S)[0], "the colony did not come up"
        line = process.stdout.readline()
        assert line, (home / "up.log").read_text()
        yield json.loads(line)
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stdout.close()
