"""`rbee worker`, by the queen and without one."""

import json
import os
import signal
import uuid

import pytest
from fleet.conftest import one_line
from rbee.testing.colony import eventually


def fresh():
    return f"w-{uuid.uuid4().hex[:8]}"


def spawn(home, *args):
    done = home.cli("worker", "spawn", *args)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_worker_is_started_listed_shown_and_stopped(shared_colony):
    worker_id = fresh()
    assert (
        spawn(shared_colony, "echo:cli", "--worker-id", worker_id, "--slots", "2", "--context-length", "512")
        == worker_id
    )
    assert shared_colony.worker_info({"url": _of(shared_colony, worker_id)["url"]})["slots_total"] == 2
    assert worker_id in shared_colony.cli("worker", "ls").stdout
    listed = json.loads(shared_colony.cli("worker", "ls", "--json").stdout)["workers"]
    assert worker_id in {one["worker_id"] for one in listed}
    shown = shared_colony.cli("worker", "show", worker_id[:-2]).stdout
    assert "echo:cli" in shown
    assert "requests      yes" in shown
    assert "CPU-0 (" in shown
    stopped = shared_colony.cli("worker", "stop", worker_id[:-2], "--json")
    assert json.loads(stopped.stdout)["worker_id"] == worker_id
    assert worker_id not in {one["worker_id"] for one in shared_colony.workers()}


def _of(colony, worker_id):
    (found,) = [one for one in colony.workers() if one["worker_id"] == worker_id]
    return found


def test_why_a_frozen_worker_takes_no_requests_is_shown(colony):
    worker_id = spawn(colony, "echo:frozen")
    pid = _of(colony, worker_id)["pid"] or eventually(lambda: _of(colony, worker_id)["pid"])
    os.kill(pid, signal.SIGSTOP)
    try:
        eventually(lambda: _of(colony, worker_id)["presence"] == "hung", 40)
        told = json.loads(colony.cli("worker", "show", worker_id, "--json").stdout)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert told["why_not_routable"].startswith("hung: its process is there and it has not spoken for")
    assert told["devices"][0]["id"] == "CPU-0"


@pytest.mark.parametrize("command", ["show", "stop"])
@pytest.mark.parametrize("name", ["nobody", "\udcff\udcfe", "../../etc/passwd", ""])
def test_an_unknown_worker_is_one_line(shared_colony, command, name):
    done = shared_colony.cli("worker", command, name)
    assert done.returncode == 1
    one_line(done.stderr)
    assert done.stdout == ""


def test_in_doubt_both_are_named(shared_colony):
    first, second = fresh(), fresh()
    for worker_id in (first, second):
        spawn(shared_colony, f"echo:{worker_id}", "--worker-id", worker_id)
    done = shared_colony.cli("worker", "stop", "w-")
    assert done.returncode == 1
    for worker_id in (first, second):
        assert worker_id in one_line(done.stderr)
        assert shared_colony.cli("worker", "stop", worker_id, "--force").returncode == 0


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (("echo:x", "--slots", "0"), 2),
        (("echo:x", "--context-length", "lots"), 2),
        (("echo:x", "--worker-id", "../x"), 1),
        (("echo:x", "--hive", "nowhere"), 1),
        (("echo:x", "--device", "GPU-9"), 1),
        (("echo:x", "--engine", "steam"), 1),
        (("",), 1),
        ((), 2),
    ],
)
def test_wrong_options_start_nothing(shared_colony, args, code):
    before = {one["worker_id"] for one in shared_colony.workers()}
    done = shared_colony.cli("worker", "spawn", *args)
    assert done.returncode == code, done.stderr
    one_line(done.stderr)
    assert {one["worker_id"] for one in shared_colony.workers()} <= before


@pytest.mark.parametrize("args", [("spawn", "echo:x"), ("ls",), ("show", "x"), ("stop", "x")])
def test_without_a_colony_it_says_so(home, args):
    done = home.cli("worker", *args)
    assert (done.returncode, done.stdout) == (3, "")
    assert "rbee up" in one_line(done.stderr)


def test_ctrl_c_gives_up_and_leaves_no_worker(colony):
    with colony.start("worker", "spawn", "echo:slow?load_s=60") as command:
        eventually(lambda: "Starting" in command.stderr, 30)
        command.interrupt()
        assert command.wait() == 130
    eventually(lambda: not colony.workers(), 20)
    (job,) = json.loads(colony.cli("job", "ls", "--json").stdout)["jobs"]
    assert job["state"] == "cancelled"


def test_without_a_queen_a_hive_is_asked_directly(make_site):
    site = make_site()
    site.registry.start()
    hive = site.hive("lone").start()
    first = site.machines["first"]
    first.settings["registry.url"] = site.registry.url
    # From another machine, where only the registry is known, and from the hive's own.
    done = first.cli("worker", "spawn", "echo:direct", "--worker-id", "w-direct")
    assert (done.returncode, done.stdout.strip()) == (0, "w-direct")
    assert "asking hive lone" in done.stderr
    assert "Starting" in done.stderr
    eventually(lambda: ("worker", "w-direct") in site.components())
    assert first.cli("worker", "stop", "nope").returncode == 1
    stopped = hive.machine.cli("worker", "stop", "w-dir")
    assert stopped.returncode == 0, stopped.stderr
    eventually(lambda: ("worker", "w-direct") not in site.components())


def test_of_two_hives_without_a_queen_one_must_be_named(make_site):
    site = make_site()
    site.registry.start()
    hives = {name: site.hive(name).start() for name in ("one", "two")}
    first = site.machines["first"]
    first.settings["registry.url"] = site.registry.url
    done = first.cli("worker", "spawn", "echo:x")
    assert done.returncode == 1
    assert "one, two" in one_line(done.stderr)
    assert first.cli("worker", "spawn", "echo:x", "--hive", "three").returncode == 1
    told = json.loads(first.cli("worker", "spawn", "echo:x", "--hive", "two", "--json").stdout)
    assert told["model_id"] == "echo:x"
    listed = {
        name: site.run_job("worker_process_list", at=hive.url)["result"]["workers"] for name, hive in hives.items()
    }
    assert [one["worker_id"] for one in listed["two"]] == [told["worker_id"]]
    assert listed["one"] == []
