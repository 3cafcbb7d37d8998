from __future__ import annotations

import pytest
from rbee.remote.program import Part, environment_of, platform_named


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
