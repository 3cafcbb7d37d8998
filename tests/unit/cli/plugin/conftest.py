"""What tests of `rbee plugin` share: real environments, real installers, no network."""

from __future__ import annotations

from pathlib import Path

import pytest
from unit.cli.plugin.environment import Environment


@pytest.fixture(params=["uv", "pip"])
def both(request: pytest.FixtureRequest, tmp_path: Path) -> Environment:
    """An environment whose installer is uv, then one whose installer is pip."""
    return Environment(tmp_path, request.param)


@pytest.fixture
def env(tmp_path: Path) -> Environment:
    """An environment whose installer is uv."""
    return Environment(tmp_path, "uv")
