"""The life of a colony: up, a second up, down, signals, taken ports."""

import json
import os
import signal
import socket

import pytest
from fleet.conftest import one_line
from rbee.testing.colony import eventually


def test_a_second_up_says_where_the_first_is(shared_colony):
    for more in ((), ("--detach",)):
        done = shared_colony.cli("up", *more)
        assert done.returncode == 1
        line = one_line(done.stderr)
        assert str(shared_colony.pid) in line
        assert shared_colony.openai_base_url in line


@pytest.mark.parametrize("name", ["registry", "queen", "hive"])
def test_a_taken_port_is_one_line_with_its_holder(home, name):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        home.settings[f"{name}.port"] = str(port)
        for more in ((), ("--detach",)):
            done = home.cli("up", *more)
            assert done.returncode == 1
            line = one_line(done.stderr)
            assert str(port) in line
            assert f"process {os.getpid()}" in line
            assert f"{name}.port" in line
            home.nothing_left()


def test_up_prints_how_to_use_it_and_detach_leaves_it_running(home):
    done = home.cli("up", "--detach")
    assert done.returncode == 0
    assert done.stdout == ""
    for wanted in ("curl", "OpenAI(base_url=", "rbee down", str(home.token_file)):
        assert wanted in done.stderr
    assert home.cli("run", "echo", "hello").stdout == "hello\n"
    down = home.cli("down")
    assert down.returncode == 0
    assert len(down.stderr.splitlines()) == 1
    home.nothing_left()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130), (signal.SIGHUP, 0)])
def test_a_signal_ends_the_colony_with_its_workers(colony, number, code):
    assert colony.run_job("worker_spawn", model="echo")["type"] == "done"
    assert colony.stop(number) == code
    colony.nothing_left()
    assert "Traceback" not in colony.said()


def test_a_signal_while_a_worker_answers_lets_the_answer_finish(colony):
    with colony.start("run", "echo:slow?tokens=40", "x") as run:
        eventually(lambda: run.stdout, 30)
        assert colony.stop() == 0
        assert run.wait() in {0, 1}
        assert "Traceback" not in run.stderr + colony.said()
    colony.nothing_left()


def test_a_signal_while_a_worker_loads_ends_it_at_once(colony):
    with colony.start("run", "echo:late?load_s=60", "x") as run:
        eventually(lambda: "Learning to echo" in run.stderr, 30)
        assert colony.stop() == 0
        assert run.wait() != 0
        one_line(run.stderr)
    colony.nothing_left()


def test_the_port_of_a_stopped_colony_is_free_at_once(colony):
    before = colony.queen_url
    assert colony.stop() == 0
    assert colony.start_up().queen_url == before


def test_without_a_colony_down_has_nothing_to_do_and_the_others_say_so(home):
    down = home.cli("down")
    assert (down.returncode, down.stdout) == (0, "")
    assert len(down.stderr.splitlines()) == 1
    status = home.cli("status")
    assert status.returncode == 3
    assert len(status.stderr.splitlines()) == 1
    assert json.loads(home.cli("status", "--json").stdout) == {"running": False}
    ps = home.cli("ps")
    assert ps.returncode == 3
    assert "rbee up" in one_line(ps.stderr)


def test_what_is_printed_as_json_parses(shared_colony):
    shared_colony.cli("run", "echo", "hello")
    workers = json.loads(shared_colony.cli("ps", "--json").stdout)["workers"]
    assert "echo" in {worker["model_name"] for worker in workers}
    status = json.loads(shared_colony.cli("status", "--json").stdout)
    assert status["openai_base_url"] == shared_colony.openai_base_url
    plugins = json.loads(shared_colony.cli("plugins", "--json").stdout)
    assert {"builtin", "demo", "echo", "llamacpp", "local"} <= {plugin["name"] for plugin in plugins["plugins"]}
    settings = json.loads(shared_colony.cli("config", "show", "--json").stdout)["settings"]
    (threads,) = [one for one in settings if one["name"] == "hive.threads"]
    assert (threads["value"], threads["source"]) == (4, "the command line")


def test_what_is_printed_for_people_has_the_same(shared_colony):
    shared_colony.cli("run", "echo", "hello")
    worker = shared_colony.worker("echo")
    table = shared_colony.cli("ps").stdout
    (row,) = [line.split() for line in table.splitlines() if worker["worker_id"] in line]
    assert row[1:6] == ["echo:echo", worker["hive_id"], "CPU-0", "ready", "0/4"]
    assert shared_colony.openai_base_url in shared_colony.cli("status").stdout


def test_settings_of_the_command_line_hold_for_workers_too(make_colony):
    colony = make_colony(**{"worker.slots": "2", "worker.heartbeat_s": "0.2"})
    colony.cli("run", "echo", "hello")
    worker = colony.worker("echo")
    assert worker["slots_total"] == 2
    before = colony.worker_info(worker)["seq"]
    eventually(lambda: colony.worker_info(worker)["seq"] - before > 20, 5, every=0.5)
