from __future__ import annotations

from pathlib import Path

from rbee.remote.layout import COMPLETE, DEFAULT_ROOT, OWN_FOLDER, find
from rbee.remote.program import platform_here, python_here
from rbee.remote.ssh_host import SshHost
from rbee.testing.sshd import Sshd


async def test_an_empty_machine_is_told_as_it_is_and_left_so(host: SshHost, sshd: Sshd) -> None:
    before = sorted(sshd.home.rglob("*"))
    found = await find(host)
    assert found.layout.root == sshd.home / ".local/share/rbee/hive"
    assert (found.there, found.current, found.environments, found.joined) == (False, None, (), False)
    assert found.platform == platform_here()
    assert python_here() in {one.version for one in found.pythons}
    assert (found.free_bytes or 0) > 0
    assert sorted(sshd.home.rglob("*")) == before


async def test_versions_are_those_that_are_whole(host: SshHost, sshd: Sshd) -> None:
    root = sshd.home / "with space" / OWN_FOLDER
    for name in ("1-a", "1-b", "1-half"):
        (root / "versions" / name).mkdir(parents=True)
        if name != "1-half":
            (root / "versions" / name / COMPLETE).touch()
    (root / "current").symlink_to("versions/1-b")
    (root / "previous").symlink_to("versions/1-a")
    found = await find(host, "with space")
    assert found.layout.root == root
    assert (found.there, found.current, found.previous) == (True, "1-b", "1-a")
    assert sorted(found.environments) == ["1-a", "1-b"]
    assert (await find(host, "~/with space")).layout == found.layout == (await find(host, f"{root}/")).layout


async def test_in_a_folder_that_somebody_has_named_rbee_keeps_to_one_of_its_own(host: SshHost, sshd: Sshd) -> None:
    data = sshd.home / "data"
    (data / "wheels").mkdir(parents=True)
    assert (await find(host, str(data))).layout.root == data / OWN_FOLDER
    assert (await find(host, "data//")).layout.root == data / OWN_FOLDER
    assert (await find(host, f"data/{OWN_FOLDER}")).layout.root == data / OWN_FOLDER
    assert (await find(host, "~")).layout.root == sshd.home / OWN_FOLDER
    assert not (await find(host, "/")).there
    assert (await find(host, DEFAULT_ROOT)).layout == (await find(host)).layout


def test_nothing_of_the_layout_lies_outside_of_its_root() -> None:
    from rbee.remote.layout import Layout

    layout = Layout(root=Path("/r"))  # type: ignore[arg-type]
    places = [layout.versions, layout.current, layout.previous, layout.home, layout.wheels, layout.models, layout.uv]
    assert all(str(one).startswith("/r/") for one in [*places, layout.program, layout.log, layout.pid])
