from __future__ import annotations

import pytest
from rbee.contract.errors import NotFoundError
from rbee.remote.program import Part, environment_of, parts, platform_named


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


def test_an_environment_is_called_by_its_version_and_by_what_is_in_it() -> None:
    rbee, other = Part(name="rbee", version="1.2", local=True), Part(name="a", version="1")
    name = environment_of([rbee, other], {"rbee": "11"})
    assert name.startswith("1.2-")
    assert name == environment_of([other, rbee], {"rbee": "11", "a": "whatever"})
    assert name != environment_of([rbee, other], {"rbee": "22"})
    assert name != environment_of([rbee, Part(name="a", version="2")], {"rbee": "11"})


@pytest.mark.parametrize(
    ("system", "machine", "kind"),
    [
        ("Linux", "x86_64", "linux-x86_64"),
        ("Linux", "aarch64", "linux-aarch64"),
        ("Linux", "arm64", "linux-aarch64"),
        ("Darwin", "arm64", "macos-arm64"),
    ],
)
def test_kinds_of_machines(system: str, machine: str, kind: str) -> None:
    assert platform_named(system, machine) == kind
