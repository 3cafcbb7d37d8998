"""Ctrl+C at any moment of `rbee run`: exit code 130, one line, nothing left."""

import shutil
from pathlib import Path

import pytest
from fleet.conftest import one_line
from rbee.testing.colony import eventually

PLUGINS = Path(__file__).parent / "plugins_for_tests"


def interrupted(run):
    run.interrupt()
    assert run.wait() == 130, run.stderr
    assert one_line(run.stderr) == "rbee: Interrupted."


@pytest.fixture
def slow_vendor(tmp_path):
    """The folder of an installed plugin, for PYTHONPATH."""
    folder = tmp_path / "site"
    info = folder / "slow_vendor-1.0.dist-info"
    info.mkdir(parents=True)
    shutil.copy(PLUGINS / "slow_vendor.py", folder)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: slow-vendor\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[rbee]\nslowly = slow_vendor\n")
    return folder


def test_while_the_colony_starts(home):
    with home.start("run", "echo", "x") as run:
        eventually(lambda: "Starting a colony" in run.stderr)
        interrupted(run)
    home.nothing_left(within=2)


def test_while_the_model_is_fetched_whose_parts_are_kept(make_home, slow_vendor):
    home = make_home(environment={"PYTHONPATH": str(slow_vendor)})
    with home.start("run", "slowly:model", "x") as run:
        parts = home.home / "data" / "models" / ".parts"
        eventually(lambda: any(path.stat().st_size > 2000 for path in parts.rglob("model.bin")), 30)
        interrupted(run)
        assert run.stdout == ""
    home.nothing_left()
    (part,) = parts.rglob("model.bin")
    kept = part.stat().st_size
    assert 0 < kept < 400_000
    with home.start("run", "slowly:model", "x") as again:
        eventually(lambda: part.stat().st_size > kept, 30)
        interrupted(again)
    home.nothing_left()


def test_while_the_model_loads(home):
    with home.start("run", "echo:late?load_s=30", "x") as run:
        eventually(lambda: "Learning to echo" in run.stderr, 30)
        interrupted(run)
        assert run.stdout == ""
    home.nothing_left()


def test_while_the_answer_comes(home):
    with home.start("run", "echo:slow?tokens=2000", "word") as run:
        eventually(lambda: len(run.stdout.split()) > 3, 30)
        interrupted(run)
        assert run.stdout.endswith("word\n"), "what was said stays, and the line is ended"
    home.nothing_left()


def test_in_a_running_colony_it_ends_the_answer_and_not_the_colony(shared_colony):
    model = "echo:slow?tokens=2000"
    with shared_colony.start("run", model, "word") as run:
        eventually(lambda: run.stdout, 30)
        worker = shared_colony.worker(model)
        interrupted(run)
    eventually(lambda: shared_colony.worker_info(worker)["slots_available"] == worker["slots_total"], 1)
    assert shared_colony.worker(model)["worker_id"] == worker["worker_id"]


def test_in_a_running_colony_it_ends_the_load_that_nobody_else_waits_for(shared_colony):
    with shared_colony.start("run", "echo:unwanted?load_s=60", "x") as run:
        eventually(lambda: "Learning to echo" in run.stderr, 30)
        interrupted(run)

    def gone():
        assert "echo:unwanted?load_s=60" not in {one["model_id"] for one in shared_colony.workers()}
        marks = [process.environ().get("RBEE_WORKER_MODEL") for process in shared_colony.processes()]
        assert "echo:unwanted?load_s=60" not in marks
        return True

    eventually(gone, 5)


def test_twice_in_a_row(home):
    with home.start("run", "echo:slow?tokens=2000", "word") as run:
        eventually(lambda: run.stdout, 30)
        run.interrupt()
        run.interrupt()
        assert run.wait() == 130
        assert "Traceback" not in run.stderr
    home.nothing_left(within=15)


def test_a_run_that_is_killed_takes_its_colony_with_it(make_home):
    home = make_home(**{"worker.drain_s": "1"})
    with home.start("run", "echo:slow?tokens=2000", "word") as run:
        eventually(lambda: run.stdout, 30)
        run.process.kill()
        run.wait()
    home.nothing_left(within=15)
