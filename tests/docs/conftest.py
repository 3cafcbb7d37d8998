"""The documentation."""

from __future__ import annotations

from pathlib import Path

import pytest
from docs.reading import ROOT


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def docs() -> Path:
    return ROOT / "docs"
