"""What tests of the command line share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from rbee.cli.context import Context
from unit.cli.scripted import ScriptedQueen


@pytest.fixture
def queen() -> Iterator[ScriptedQueen]:
    found = ScriptedQueen()
    yield found
    found.close()


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    """Of a home with a token."""
    monkeypatch.setenv("RBEE_HOME", str(tmp_path))
    found = Context({})
    found.make_token()
    return found
