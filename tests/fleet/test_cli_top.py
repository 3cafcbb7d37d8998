"""`rbee top`: a snapshot in a pipe, a picture that lives on a terminal."""

import json

import pytest
from fleet.conftest import one_line
from fleet.terminal import Terminal


@pytest.fixture
def top(shared_colony):
    shared_colony.run_job("infer", model="echo:top", prompt="a")
    terminal = Terminal(shared_colony, "top", kind="xterm-256color", columns=200)
    terminal.expect("WORKER")
    yield terminal
    terminal.close()


def test_in_a_pipe_it_is_one_snapshot(shared_colony):
    shared_colony.run_job("infer", model="echo:top", prompt="a")
    shown = shared_colony.cli("top")
    assert shown.returncode == 0, shown.stderr
    assert "echo:top" in shown.stdout
    assert "THREADS" in shown.stdout
    assert "\x1b" not in shown.stdout
    told = json.loads(shared_colony.cli("top", "--json").stdout)
    assert {"echo:top"} <= {one["model_name"] for one in told["workers"]}
    assert told["hives"][0]["node"]["ram_total_mb"] > 0
    assert told["queen"]["url"] == shared_colony.queen_url


def test_on_a_terminal_q_ends_it_and_leaves_the_screen_as_it_was(top):
    top.expect("echo:top")
    top.expect("q ends")
    top.type("q")
    top.expect("\x1b[?1049l")
    assert top.process.wait(20) == 0


def test_ctrl_c_ends_it_with_130(top):
    top.expect("q ends")
    top.type("\x03")
    top.expect("\x1b[?1049l")
    assert top.process.wait(20) == 130


def test_once_on_a_terminal_is_once(shared_colony):
    terminal = Terminal(shared_colony, "top", "--once", kind="xterm-256color", columns=200)
    terminal.expect("THREADS")
    assert terminal.process.wait(20) == 0
    terminal.close()


def test_it_waits_for_a_queen_who_is_started_again(colony):
    terminal = Terminal(colony, "top", kind="xterm-256color", columns=200)
    try:
        terminal.expect("1 hive, 0 workers")
        colony.kill9()
        terminal.expect("The queen is away since")
        colony.start_up()
        terminal.expect("1 hive, 0 workers", 40)
        terminal.type("q")
        assert terminal.process.wait(20) == 0
    finally:
        terminal.close()


def test_without_a_colony_it_says_so(home):
    done = home.cli("top")
    assert (done.returncode, done.stdout) == (3, "")
    one_line(done.stderr)
