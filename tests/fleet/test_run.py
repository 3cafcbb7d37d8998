"""`rbee run`: an answer on stdout, talk on stderr, and nothing left behind."""

import json
import socket
import subprocess

import pytest
from fleet.conftest import PYTHON, SELF, one_line
from rbee.testing.colony import eventually


def listening(home):
    return [
        connection
        for process in home.processes()
        for connection in process.net_connections("tcp")
        if connection.status == "LISTEN"
    ]


def test_without_a_colony_one_is_started_for_the_occasion_and_nothing_is_left(home):
    done = home.cli("run", "demo", PYTHON[0], "--temperature", "0")
    assert done.stdout == PYTHON[1] + "\n"
    assert done.returncode == 0
    lines = done.stderr.splitlines()
    assert "Fetching demo (4.6 MiB) from demo" in lines
    assert all(line.isprintable() for line in lines), "plain lines where stderr is no terminal"
    home.nothing_left()
    again = home.cli("run", "demo", SELF[0], "--temperature", "0", "--json")
    assert json.loads(again.stdout)["text"] == SELF[1]
    assert "Fetching" not in again.stderr
    home.nothing_left()


def test_the_prompt_comes_from_standard_input_too(shared_colony):
    done = shared_colony.cli("run", "echo", stdin="from a pipe\n")
    assert (done.stdout, done.returncode) == ("from a pipe\n", 0)
    empty = shared_colony.cli("run", "echo", stdin="")
    assert empty.returncode == 1
    assert "empty" in one_line(empty.stderr)


def test_sampling_options_reach_the_engine(shared_colony):
    done = shared_colony.cli("run", "echo", "one two three four", "--max-tokens", "2", "--json")
    told = json.loads(done.stdout)
    assert (told["text"], told["stop_reason"], told["tokens"]) == ("one two", "MAX_TOKENS", 2)
    stopped = shared_colony.cli("run", "echo", "one two three four", "--stop", "three")
    assert stopped.stdout.rstrip() == "one two"


def test_a_running_colony_and_its_worker_are_used(shared_colony):
    first = json.loads(shared_colony.cli("run", "echo:used", "hello", "--json").stdout)
    second = json.loads(shared_colony.cli("run", "echo:used", "hello again", "--json").stdout)
    assert first["worker_id"] == second["worker_id"] == shared_colony.worker("echo:used")["worker_id"]
    assert second["text"] == "hello again"


def test_keep_leaves_a_colony_that_rbee_down_stops(home):
    assert home.cli("run", "echo", "hello", "--keep").stdout == "hello\n"
    status = home.cli("status", "--json")
    assert status.returncode == 0
    assert [worker["model_name"] for worker in json.loads(status.stdout)["workers"]] == ["echo"]
    assert listening(home)
    down = home.cli("down")
    assert down.returncode == 0
    assert "is stopped" in down.stderr
    home.nothing_left()
    assert home.cli("status").returncode == 3


def test_two_runs_at_once_in_one_home_both_succeed_and_leave_nothing(home):
    with home.start("run", "echo", "first") as first, home.start("run", "echo", "second") as second:
        assert (first.wait(60), second.wait(60)) == (0, 0), first.stderr + second.stderr
        assert (first.stdout, second.stdout) == ("first\n", "second\n")
    home.nothing_left()


def test_keep_by_a_second_user_of_a_passing_colony_keeps_it(home):
    with home.start("run", "echo:slow?tokens=40", "x") as first:
        eventually(lambda: first.stdout, 30)
        second = home.cli("run", "echo:slow?tokens=40", "y", "--keep", "--max-tokens", "3")
        assert second.returncode == 0
        assert first.wait() == 0
    assert home.cli("status").returncode == 0
    assert home.cli("down").returncode == 0
    home.nothing_left()


def test_a_reader_that_leaves_early_ends_the_run_without_a_traceback(shared_colony):
    with subprocess.Popen(
        shared_colony.argv("run", "echo:slow?tokens=200", "x"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=shared_colony.environment,
        text=True,
    ) as process:
        process.stdout.read(1)
        process.stdout.close()
        said = process.stderr.read()
        assert process.wait(20) == 1
    assert "Traceback" not in said
    worker = shared_colony.worker("echo:slow?tokens=200")
    eventually(lambda: shared_colony.worker_info(worker)["slots_available"] == worker["slots_total"], 2)


@pytest.mark.parametrize("command", ["run", "chat", "up"])
def test_a_home_that_cannot_be_written_is_one_line(tmp_path, make_home, command):
    (tmp_path / "file").write_text("in the way")
    home = make_home()
    home.environment["RBEE_HOME"] = str(tmp_path / "file")
    arguments = {"run": ("demo", "x"), "chat": ("demo",), "up": ()}[command]
    done = home.cli(command, *arguments)
    assert done.returncode == 1
    assert str(tmp_path / "file") in one_line(done.stderr)
    assert done.stdout == ""


def test_no_port_is_needed_that_somebody_else_has(home):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        home.settings["queen.port"] = str(taken.getsockname()[1])
        assert home.cli("run", "echo", "hello").stdout == "hello\n"
    home.nothing_left()
