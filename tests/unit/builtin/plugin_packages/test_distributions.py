"""What must stay, and what nobody needs any more, by what distributions say of themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
from rbee.builtin.plugin_packages.distributions import (
    CORE,
    Packages,
    closure,
    installed,
    kept,
    left_over,
    needed_by,
    points,
)

THERE = {
    "rbee": ["click", 'rbee-mill; extra == "mill"', "sql[aio]", "not a requirement"],
    "click": [],
    "sql": ['green; extra == "aio"', 'blue; extra == "other"', 'win; sys_platform == "nowhere"'],
    "green": [],
    "blue": [],
    "win": [],
    "rbee-mill": ["rbee", "stone"],
    "stone": ["grit"],
    "grit": [],
    "rbee-foo": ["rbee", "foolib", "shared"],
    "foolib": [],
    "rbee-bar": ["rbee", "shared"],
    "shared": [],
}


@pytest.fixture
def there(tmp_path: Path) -> Packages:
    for name, needs in THERE.items():
        info = tmp_path / f"{name.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {name}", "Version: 1.0"]
        lines += [f"Provides-Extra: {extra}" for extra in ("mill", "aio", "other")]
        lines += [f"Requires-Dist: {one}" for one in needs]
        (info / "METADATA").write_text("\n".join(lines) + "\n")
        if name.startswith("rbee-"):
            (info / "entry_points.txt").write_text(f"[rbee]\n{name[5:]} = x\n[console_scripts]\nx = x:y\n")
    (tmp_path / "ruin-1.0.dist-info").mkdir()
    return installed(tmp_path)


def test_extras_that_are_asked_for_count_and_others_do_not(there: Packages) -> None:
    assert set(there) == set(THERE)
    assert closure([CORE], there, extras=False) == {"rbee", "click", "sql", "green"}
    assert closure(["sql"], there, extras=True) == {"sql", "green", "blue"}
    assert [point.name for point in points(there["rbee-foo"])] == ["foo"]


def test_for_a_new_plugin_everything_stays(there: Packages) -> None:
    assert kept(["rbee-new"], there) == dict.fromkeys(THERE, "1.0")


@pytest.mark.parametrize(
    ("named", "free"),
    [
        ("rbee-foo", {"rbee-foo", "foolib"}),
        ("rbee-mill", {"rbee-mill", "stone", "grit"}),
        ("click", set()),
        ("rbee", set()),
    ],
)
def test_for_a_plugin_that_is_there_only_its_own_may_change(there: Packages, named: str, free: set[str]) -> None:
    # Nobody needs `win` here, and it stays like whatever else is there.
    assert set(THERE) - set(kept([named], there)) == free


def test_what_only_a_plugin_needs_is_left_over(there: Packages) -> None:
    assert left_over("rbee-foo", there) == ["foolib"]
    assert left_over("rbee-mill", there) == ["grit", "stone"]
    assert left_over("rbee-bar", there) == []
    assert needed_by("shared", there) == ["rbee-bar", "rbee-foo"]
    assert needed_by("rbee-mill", there) == []
