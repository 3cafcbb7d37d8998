"""Registry, queen and hive each by themselves, as a person at a shell runs them."""

import json
import os
import signal

import pytest
from fleet.conftest import one_line
from rbee.testing.colony import eventually


@pytest.fixture
def start(home):
    """Starts a program of the home in the background; returns what it says of itself."""

    def run(program):
        done = home.cli(program, "start", "--detach", "--json")
        assert done.returncode == 0, done.stderr
        facts = json.loads(done.stdout)
        # Later commands look where it is.
        home.settings[f"{program}.port"] = facts["url"].rpartition(":")[2]
        return facts

    yield run
    home.cli("down")


def workers(home):
    return json.loads(home.cli("ps", "--json").stdout)["workers"]


@pytest.mark.parametrize("program", ["registry", "queen", "hive"])
def test_a_program_starts_says_where_it_is_and_stops(home, start, program):
    assert home.cli(program, "status").returncode == 3
    facts = start(program)
    assert (facts["program"], facts["colony"]) == (program, False)
    status = json.loads(home.cli(program, "status", "--json").stdout)
    assert status["record"] == facts
    assert status["health"]["program"] == program
    assert json.loads(home.cli(program, "stop", "--json").stdout) == {"stopped_pid": facts["pid"]}
    assert json.loads(home.cli(program, "status", "--json").stdout) == {"running": False}
    home.nothing_left()


def test_a_program_runs_once_in_a_home(home, start):
    facts = start("queen")
    again = home.cli("queen", "start")
    assert again.returncode == 1
    assert f"process {facts['pid']}" in one_line(again.stderr)
    assert "rbee queen stop" in again.stderr
    colony = home.cli("up")
    assert colony.returncode == 1
    assert "rbee queen stop" in one_line(colony.stderr)


def test_a_part_of_a_colony_is_not_stopped_by_itself(shared_colony):
    done = shared_colony.cli("hive", "stop")
    assert done.returncode == 1
    assert "rbee down" in one_line(done.stderr)
    assert json.loads(shared_colony.cli("hive", "status", "--json").stdout)["record"]["colony"]


def test_the_three_find_each_other_through_the_registry_and_answer(home, start):
    home.settings["registry.url"] = start("registry")["url"]
    start("hive")
    start("queen")
    done = eventually(lambda: (found := home.cli("run", "echo", "hello there")).returncode == 0 and found, 30)
    assert done.stdout == "hello there\n"
    assert len(workers(home)) == 1
    assert json.loads(home.cli("status", "--json").stdout)["queen"]["hives"][0]["online"]
    down = json.loads(home.cli("down", "--json").stdout)
    assert [one["program"] for one in down["stopped_programs"]] == ["hive", "queen", "registry"]
    home.nothing_left()


def test_a_hive_can_be_stopped_without_its_workers_and_finds_them_again(home, start):
    home.settings["queen.url"] = start("queen")["url"]
    start("hive")
    eventually(lambda: home.cli("run", "echo:kept", "hello").returncode == 0, 30)
    (before,) = workers(home)
    assert home.cli("hive", "stop", "--keep-workers").returncode == 0
    assert home.cli("run", "echo:kept", "still here").stdout == "still here\n"
    start("hive")

    def found_again():
        (after,) = workers(home)
        assert (after["worker_id"], after["pid"], after["presence"]) == (before["worker_id"], before["pid"], "online")
        return True

    eventually(found_again, 15)


def test_a_taken_port_is_an_error_that_names_its_setting(home, start):
    port = start("registry")["url"].rpartition(":")[2]
    home.settings["queen.port"] = port
    done = home.cli("queen", "start", "--detach")
    assert done.returncode == 1
    assert "queen.port" in one_line(done.stderr)


def test_ctrl_c_ends_a_program_in_the_foreground_with_130(home):
    with home.start("hive", "start", "--json") as running:
        eventually(lambda: running.stdout, 30)
        running.interrupt()
        assert running.wait() == 130
    home.nothing_left()


def test_a_killed_program_leaves_no_record_that_lies(home, start):
    os.kill(start("registry")["pid"], signal.SIGKILL)
    eventually(lambda: home.cli("registry", "status").returncode == 3)
    assert home.cli("registry", "stop").returncode == 0
