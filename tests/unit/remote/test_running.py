from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec
import psutil
import pytest
from rbee.contract.errors import UnavailableError
from rbee.remote import running
from rbee.remote.layout import Found, Layout, find
from rbee.remote.running import Group, Keeper, Launchd, Systemd, keeper_of, program_text
from rbee.remote.ssh_host import SshHost
from rbee.testing.local_host import LocalHost


@pytest.fixture
async def there(host: SshHost, tmp_path: Path) -> Found:
    """A machine whose hive is a shell script that says when it begins, and sleeps."""
    found = await find(host, str(tmp_path / "root"))
    return msgspec.structs.replace(found, manager="group", cron=False)


def hive(found: Found, text: str = "echo begun >> hive.log; exec sleep 60") -> None:
    root = Path(found.layout.root)
    root.mkdir(parents=True, exist_ok=True)
    (root / "run-hive").write_text(f"#!/bin/sh\n{text}\n")


async def until(check: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not check():
            await asyncio.sleep(0.05)


def begun(found: Found) -> int:
    log = Path(found.layout.log)
    return log.read_text().count("begun") if log.exists() else 0


async def test_a_hive_without_a_service_manager_goes_on_when_the_connection_ends_and_is_stopped(
    host: SshHost, there: Found
) -> None:
    hive(there)
    keeper = keeper_of(host, there, "box")
    assert isinstance(keeper, Group)
    assert not (await keeper.state()).running
    await keeper.start()
    await keeper.start()
    await until(lambda: begun(there) == 1)
    kept = await keeper.state()
    assert (kept.running, kept.deaths, kept.boot) == (True, 0, False)
    assert kept.pid is not None
    assert os.getsid(kept.pid) == kept.pid
    await keeper.stop(10)
    await keeper.stop(10)
    assert not (await keeper.state()).running
    assert not psutil.pid_exists(kept.pid)
    await keeper.forget()
    assert sorted(one.name for one in Path(there.layout.root).iterdir()) == ["hive.log", "run-hive"]


async def test_a_hive_that_dies_is_begun_again_and_its_deaths_are_counted(host: SshHost, there: Found) -> None:
    hive(there)
    keeper = keeper_of(host, there, "box")
    await keeper.start()
    try:
        await until(lambda: begun(there) == 1)
        pid = (await keeper.state()).pid
        (child,) = psutil.Process(pid).children()
        child.send_signal(signal.SIGKILL)
        await until(lambda: begun(there) == 2)
        assert (await keeper.state()).deaths == 1
    finally:
        await keeper.stop(10)


async def test_a_hive_that_was_asked_to_end_stays_ended(host: SshHost, there: Found) -> None:
    hive(there)
    keeper = keeper_of(host, there, "box")
    await keeper.start()
    await until(lambda: begun(there) == 1)
    pid = (await keeper.state()).pid
    psutil.Process(pid).children()[0].terminate()
    await until(lambda: not psutil.pid_exists(pid or 0))
    assert (await keeper.state()).pid is None


async def test_one_that_does_not_heed_the_signal_is_killed(host: SshHost, there: Found) -> None:
    hive(there, "trap '' TERM; echo begun >> hive.log; while :; do sleep 1; done")
    keeper = keeper_of(host, there, "box")
    await keeper.start()
    await until(lambda: begun(there) == 1)
    members = [one.pid for one in psutil.Process((await keeper.state()).pid).children(recursive=True)]
    await keeper.stop(1)
    await until(lambda: not any(map(psutil.pid_exists, members)))


async def test_a_number_that_is_another_programs_by_now_is_left_alone(host: SshHost, there: Found) -> None:
    hive(there)
    Path(there.layout.pid).write_text(f"{os.getpid()}\n")
    keeper = keeper_of(host, there, "box")
    assert not (await keeper.state()).running
    await keeper.stop(1)
    assert not Path(there.layout.pid).exists()


def stand_in(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f'#!/bin/sh\necho "{name} $*" >> "$HOME/said"\n{text}\n')
    (folder / name).chmod(stat.S_IRWXU)


def machine(tmp_path: Path, manager: str) -> tuple[LocalHost, Found]:
    """One whose service manager writes down what it is asked; this machine has none that could be asked."""
    tools = tmp_path / "tools"
    stand_in(tools, "systemctl", 'case "$*" in *show*) printf "ActiveState=active\\nMainPID=7\\nNRestarts=2\\n";; esac')
    stand_in(tools, "loginctl", "")
    stand_in(
        tools, "launchctl", 'case "$*" in *gui/*/rbee*) printf "state = running\\n\\tpid = 7\\n\\truns = 3\\n";; esac'
    )
    host = LocalHost(tmp_path / "home", {"PATH": f"{tools}:{os.environ['PATH']}"})
    layout = Layout(root=host.home / "50% of $HOME")  # type: ignore[arg-type]
    found = Found(
        layout=layout, there=True, platform="linux-x86_64", uid=0, pythons=(), uv=None, current=None, previous=None,
        environments=(), free_bytes=None, manager=manager, linger=True, joined=False, cron=False,
    )  # fmt: skip
    return host, found


async def test_systemd_has_a_unit_of_the_user_that_lingers(tmp_path: Path) -> None:
    host, found = machine(tmp_path, "systemd")
    keeper: Keeper = keeper_of(host, found, "a@b:1")
    assert isinstance(keeper, Systemd)
    await keeper.start()
    unit = host.home / ".config/systemd/user/rbee-hive-a-b-1.service"
    assert "50%% of $$HOME/run-hive" in unit.read_text()
    said = (host.home / "said").read_text()
    assert "loginctl enable-linger" in said
    assert "systemctl --user enable rbee-hive-a-b-1.service" in said
    assert "systemctl --user start rbee-hive-a-b-1.service" in said
    kept = await keeper.state()
    assert (kept.running, kept.pid, kept.boot, kept.deaths) == (True, 7, True, 2)
    await keeper.stop(5)
    assert "systemctl --user stop rbee-hive-a-b-1.service" in (host.home / "said").read_text()
    await keeper.forget()
    assert not unit.exists()


async def test_launchd_has_an_agent_of_the_user(tmp_path: Path) -> None:
    host, found = machine(tmp_path, "launchd")
    keeper = keeper_of(host, found, "box")
    assert isinstance(keeper, Launchd)
    await keeper.start()
    agent = host.home / "Library/LaunchAgents/rbee-hive-box.plist"
    assert "50% of $HOME/run-hive" in agent.read_text()
    assert f"launchctl bootstrap gui/{os.getuid()} {agent}" in (host.home / "said").read_text()
    kept = await keeper.state()
    assert (kept.running, kept.pid, kept.deaths) == (True, 7, 2)
    await keeper.stop(5)
    await keeper.forget()
    assert not agent.exists()


async def test_a_service_manager_that_refuses_is_told_with_the_machine_and_what_it_said(tmp_path: Path) -> None:
    host, found = machine(tmp_path, "systemd")
    stand_in(tmp_path / "tools", "systemctl", 'case "$*" in *start*) echo "unit is masked" >&2; exit 1;; esac')
    with pytest.raises(UnavailableError, match=r"Starting the hive on box: unit is masked"):
        await keeper_of(host, found, "box").start()


def test_the_program_is_quoted_for_the_shell_and_has_a_home_of_its_own() -> None:
    layout = Layout(root=Path("/it's here"))  # type: ignore[arg-type]
    text = program_text(layout, {"hive.id": "two words"})
    assert """RBEE_HOME='/it'"'"'s here/home' exec""" in text
    assert "'hive.id=two words'" in text


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """The user's crontab, kept by a stand-in for the program in `tmp_path / "bin"`."""
    file, programs = tmp_path / "table", tmp_path / "bin"
    programs.mkdir()
    (programs / "crontab").write_text(
        f"""#!/bin/sh
if [ "$1" = - ]; then cat > '{file}'; exit; fi
[ -e '{file}.locked' ] && {{ echo "crontab: permission denied" >&2; exit 1; }}
[ -e '{file}' ] || {{ echo "no crontab for somebody" >&2; exit 1; }}
cat '{file}'
"""
    )
    (programs / "crontab").chmod(0o755)
    return file


def boots(table: Path, script: str, unit: str) -> subprocess.CompletedProcess[str]:
    path = {"PATH": f"{table.parent / 'bin'}:{os.environ['PATH']}"}
    argv = ["/bin/sh", "-c", script, "sh", unit, "/a b/keep", "x", "y"]
    return subprocess.run(argv, env=path, capture_output=True, text=True, check=False)


def test_what_else_the_user_has_in_the_crontab_stays_whatever_it_is_called(table: Path) -> None:
    assert boots(table, running._BOOT, "rbee-hive-gpu").returncode == 0
    assert boots(table, running._BOOT, "rbee-hive-gpu2").returncode == 0
    table.write_text(f"0 5 * * * backup %d # nightly\n{table.read_text()}")
    both = table.read_text()
    assert boots(table, running._BOOT, "rbee-hive-gpu").returncode == 0
    assert sorted(table.read_text().splitlines()) == sorted(both.splitlines())
    assert boots(table, running._NO_BOOT, "rbee-hive-gpu").returncode == 0
    left = table.read_text().splitlines()
    assert [line.rpartition("# ")[2] for line in left] == ["nightly", "rbee-hive-gpu2"]
    assert left[0] == "0 5 * * * backup %d # nightly"


def test_a_crontab_that_cannot_be_read_is_not_written_over(table: Path) -> None:
    table.write_text("0 5 * * * backup\n")
    Path(f"{table}.locked").touch()
    for script in (running._BOOT, running._NO_BOOT):
        asked = boots(table, script, "rbee-hive-gpu")
        assert (asked.returncode, "permission denied" in asked.stderr) == (1, True)
    assert table.read_text() == "0 5 * * * backup\n"
