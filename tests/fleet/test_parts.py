"""Of what rbee on another machine is made: this machine's plugins and all that they need, in these versions."""

from __future__ import annotations

import pytest
from rbee.contract.errors import NotFoundError
from rbee.remote.program import parts


def test_rbee_is_made_of_its_plugins_and_of_what_they_need_in_exact_versions() -> None:
    found = {one.name: one for one in parts(["rbee-echo"])}
    assert {"rbee", "rbee-echo", "msgspec", "litestar"} <= set(found)
    assert "rbee-demo" not in found
    assert "pytest" not in found
    assert found["rbee"].local
    assert found["msgspec"].pinned.startswith("msgspec==")
    assert not found["msgspec"].local


def test_a_plugin_is_named_with_and_without_its_prefix() -> None:
    assert parts(["echo"]) == parts(["rbee-echo"])
    with pytest.raises(NotFoundError, match=r"'nothing'.*echo"):
        parts(["nothing"])
