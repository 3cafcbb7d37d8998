"""`rbee logs`: of programs and workers, here and on other machines, over rotation."""

import json
import uuid

import pytest
from fleet.conftest import one_line
from rbee.logs import Rotation
from rbee.testing.colony import eventually


@pytest.fixture
def worker(roomy_colony):
    worker_id = f"l-{uuid.uuid4().hex[:8]}"
    assert roomy_colony.cli("worker", "spawn", f"echo:{worker_id}", "--worker-id", worker_id).returncode == 0
    yield worker_id
    roomy_colony.cli("worker", "stop", worker_id, "--force")


def log(colony, worker):
    return colony.home / "state" / "logs" / f"{worker}.log"


def test_logs_are_listed_with_size_and_age(shared_colony, worker):
    told = json.loads(shared_colony.cli("logs", "--json").stdout)
    (one,) = [one for one in told["logs"] if one["name"] == worker]
    assert one["kind"] == "worker"
    assert one["size_bytes"] > 0
    table = shared_colony.cli("logs").stdout
    assert worker in table
    assert "ago" in table


def test_a_worker_s_log_is_printed_with_what_was_rotated_away(shared_colony, worker):
    path = log(shared_colony, worker)
    path.with_name(f"{path.name}.2").write_text("the oldest\n")
    path.with_name(f"{path.name}.1").write_text("older\n")
    now = path.read_bytes()
    done = shared_colony.cli("logs", worker, "-n", "0")
    assert done.stdout.encode() == b"the oldest\nolder\n" + now
    last = shared_colony.cli("logs", worker[:-2], "--lines", "1").stdout
    assert last.encode() == now.splitlines(keepends=True)[-1]


def test_the_programs_of_a_colony_log_together(shared_colony):
    done = shared_colony.cli("logs", "queen")
    # This colony runs in the foreground, as tests want it.
    assert done.returncode == 1
    assert "terminal" in one_line(done.stderr)


def test_a_detached_colony_is_found_by_any_of_its_names(home):
    assert home.cli("up", "--detach").returncode == 0
    try:
        hive = json.loads(home.cli("status", "--json").stdout)["queen"]["hives"][0]["hive_id"]
        for name in ("queen", "hive", "registry", "colony", hive):
            done = home.cli("logs", name)
            assert done.returncode == 0, done.stderr
            assert "reporting to the queen" in done.stdout
        (line, *_) = home.cli("logs", "queen", "--json").stdout.splitlines()
        assert json.loads(line)["name"] == "colony"
    finally:
        assert home.cli("down").returncode == 0


def test_following_goes_on_over_rotation_until_ctrl_c(shared_colony, worker):
    path = log(shared_colony, worker)

    def write(text):
        with path.open("a") as file:
            file.write(text)

    with shared_colony.start("logs", worker, "--follow", "-n", "1") as following:
        eventually(lambda: following.stdout, 30)
        write("before\n")
        eventually(lambda: "before\n" in following.stdout)
        keeper = Rotation(max_mb=1, files=3)
        keeper.max_bytes = path.stat().st_size
        write("at the last moment\n")
        assert keeper.rotate(path)
        write("behind it\n")
        eventually(lambda: "behind it\n" in following.stdout)
        following.interrupt()
        assert following.wait() == 130
    lines = following.stdout.splitlines()
    assert lines[-3:] == ["before", "at the last moment", "behind it"]


def test_the_log_of_a_worker_on_another_machine_comes_through_its_hive(make_site):
    site = make_site()
    for program in (site.registry, site.queen):
        program.start()
    far = site.hive("far").start()
    first = site.machines["first"]
    first.settings["registry.url"] = site.registry.url
    eventually(lambda: "far" in site.hives())
    done = first.cli("worker", "spawn", "echo:far", "--worker-id", "w-far")
    assert done.returncode == 0, done.stderr
    there = far.machine.home / "state" / "logs" / "w-far.log"
    assert first.cli("logs", "w-fa", "-n", "0").stdout == there.read_text()
    with first.start("logs", "w-far", "--follow", "--json", "-n", "1") as following:
        eventually(lambda: following.stdout, 30)
        with there.open("a") as file:
            file.write("written later\n")
        eventually(lambda: "written later" in following.stdout)
        following.interrupt()
        assert following.wait() == 130
    done = first.cli("logs", "far")
    assert done.returncode == 1
    assert "rbee logs hive" in one_line(done.stderr)


@pytest.mark.parametrize("name", ["nobody", "../config/token", "/etc/passwd", "\udcff\udcfe", "", "x" * 5000])
def test_an_unknown_log_is_one_line(shared_colony, name):
    done = shared_colony.cli("logs", name)
    assert (done.returncode, done.stdout) == (1, "")
    one_line(done.stderr)


@pytest.mark.parametrize("args", [("--follow",), ("x", "-n", "-1"), ("x", "-n", "many")])
def test_wrong_options_are_wrong_usage(home, args):
    assert home.cli("logs", *args).returncode == 2


def test_nothing_needs_to_run_for_it(home):
    done = home.cli("logs")
    assert (done.returncode, done.stdout) == (0, "")
    assert json.loads(home.cli("logs", "--json").stdout)["logs"] == []
    assert home.cli("logs", "queen").returncode == 1


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("colony/log", 404),
        ("hive.x/log", 404),
        ("nobody/log", 404),
        ("..%2f..%2fconfig%2ftoken/log", 404),
        ("%2e%2e/log", 404),
        ("nobody/log?lines=-1", 400),
        ("nobody/log?lines=100001", 400),
    ],
)
def test_a_hive_gives_away_no_other_file(shared_colony, path, status):
    answer = shared_colony.http.get(f"{shared_colony.hive_url}/v1/workers/{path}")
    assert answer.status_code == status
    assert shared_colony.token not in answer.text


def test_a_hive_tells_logs_to_the_colony_alone_and_from_sound_places(shared_colony, worker):
    import httpx2

    url = f"{shared_colony.hive_url}/v1/workers/{worker}/log"
    assert httpx2.get(url, trust_env=False).status_code == 401
    part = shared_colony.http.get(url, params={"lines": "1"}).json()
    assert shared_colony.http.get(url, params={"after": part["after"]}).json()["text"] == ""
    for place in ("", "x", "1", "-1-2", "1-" + "9" * 40):
        assert shared_colony.http.get(url, params={"after": place}).status_code == 400
