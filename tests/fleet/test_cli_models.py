"""`rbee pull` and `rbee model`, with a colony, with several hives, and with none."""

import json
import shutil
from pathlib import Path

import pytest
from fleet.conftest import one_line
from fleet.terminal import Terminal
from rbee.testing.colony import eventually

PLUGINS = Path(__file__).parent / "plugins_for_tests"
SIZE = 400_000


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


def told(done):
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_model_is_pulled_listed_shown_verified_and_deleted(colony):
    pulled = colony.cli("pull", "demo")
    assert (pulled.returncode, pulled.stdout) == (0, "demo (Q8_0, 4.6 MiB): fetched from demo\n")
    lines = pulled.stderr.splitlines()
    assert any(line.startswith("demo: ") and "4.6 of 4.6 MiB, 100 %" in line for line in lines), lines
    assert all(line.isprintable() for line in lines)
    assert colony.cli("model", "pull", "demo").stdout == "demo (Q8_0, 4.6 MiB): already here\n"

    head, row = colony.cli("model", "ls").stdout.splitlines()
    assert head.split() == ["NAME", "FORMAT", "QUANT", "SIZE", "STATE", "CONTEXT", "WORKERS"]
    assert row.split() == ["demo", "gguf", "Q8_0", "4.6", "MiB", "available", "2048", "0"]

    shown = colony.cli("model", "show", "demo").stdout
    for line in ("canonical     demo:rbee-tiny:Q8_0", "vendor        demo", "architecture  llama", "files         1"):
        assert line in shown.splitlines()

    verified = colony.cli("model", "verify", "demo")
    assert verified.returncode == 0
    assert "rbee-tiny-q8_0.gguf  ok" in verified.stdout
    assert verified.stderr.splitlines()[-1] == "demo is intact."

    removed = colony.cli("model", "rm", "demo")
    assert (removed.returncode, removed.stdout) == (0, "")
    assert "demo: 4.6 MiB were freed." in removed.stderr.splitlines()
    assert "No models" in colony.cli("model", "ls").stderr


def test_a_damaged_file_is_found_and_fetched_anew(colony):
    (pulled,) = told(colony.cli("pull", "demo", "--json"))
    path = Path(pulled["path"])
    whole = path.read_bytes()

    def damage() -> None:
        # In another file of that name: this one may be linked to the vendor's own.
        path.unlink()
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))

    damage()
    done = colony.cli("model", "verify", "demo")
    assert done.returncode == 1
    assert "changed" in done.stdout
    assert "demo is damaged; fetch it anew: rbee pull demo." in done.stderr
    assert "rbee: " not in done.stderr
    again = colony.cli("model", "verify", "demo")
    assert again.returncode == 1
    assert "'demo' is not here whole (damaged: rbee-tiny-q8_0.gguf); fetch it anew: rbee pull demo" in again.stderr
    assert colony.cli("pull", "demo").returncode == 0
    assert path.read_bytes() == whole
    assert colony.cli("model", "verify", "demo").returncode == 0
    damage()
    listed = json.loads(colony.cli("model", "verify", "demo", "--json").stdout)
    assert [(one["intact"], one["files"][0]["status"], one["failed"]) for one in listed] == [(False, "changed", None)]
    assert colony.cli("model", "rm", "demo").returncode == 0
    assert colony.cli("pull", "demo").returncode == 0


def test_everything_is_told_as_json_too(colony):
    (pulled,) = told(colony.cli("pull", "demo", "demo", "--json"))
    hive_id = pulled["hive_id"]
    assert (pulled["model"], pulled["model_id"], pulled["failed"]) == ("demo", "demo:rbee-tiny:Q8_0", None)
    assert pulled["size_bytes"] == 4812288
    (listed,) = told(colony.cli("model", "ls", "--json"))["models"]
    assert (listed["hive_id"], listed["name"], listed["state"]) == (hive_id, "demo", "available")
    (shown,) = told(colony.cli("model", "show", "demo", "--json", "--hive", hive_id))
    assert shown["figures"]["architecture"] == "llama"
    assert shown["files"][0]["name"] == "rbee-tiny-q8_0.gguf"
    (verified,) = told(colony.cli("model", "verify", "demo", "--json", "--all-hives"))
    assert verified["intact"] is True
    planned = told(colony.cli("model", "plan", "demo", "--json"))
    assert [one["hive_id"] for one in planned["hives"]] == [hive_id]
    (collected,) = told(colony.cli("model", "gc", "--dry-run", "--json"))
    assert (collected["hive_id"], collected["dry_run"], collected["removed"]) == (hive_id, True, [])
    (deleted,) = told(colony.cli("model", "rm", "demo", "--json"))
    assert (deleted["deleted"], deleted["freed_bytes"]) == (True, pulled["size_bytes"])
    assert told(colony.cli("model", "ls", "--json")) == {"models": [], "failed": []}


def test_a_plan_says_what_each_hive_would_take(shared_colony):
    done = shared_colony.cli("model", "plan", "demo", "--context-length", "512", "--slots", "2")
    assert done.returncode == 0, done.stderr
    head, row, *_ = done.stdout.splitlines()
    assert head.split() == [
        "HIVE",
        "CHOSEN",
        "FILE",
        "SIZE",
        "DISK",
        "MEMORY",
        "RESERVE",
        "PEAK",
        "ERROR",
        "FREE",
        "FITS",
        "WHY",
    ]
    assert "Q8_0 gguf" in row
    assert " yes " in row
    assert "MEMORY is an estimate for 512 tokens in each of 2 slots." in done.stderr.splitlines()
    unknown = shared_colony.cli("model", "plan", "nothing:here")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert "nothing:here" in one_line(unknown.stderr)


def test_a_model_in_use_is_deleted_by_force_alone(colony):
    assert colony.cli("run", "demo", "Hello", "--max-tokens", "1").returncode == 0
    worker_id = colony.worker("demo")["worker_id"]
    refused = colony.cli("model", "rm", "demo")
    assert refused.returncode == 1
    assert worker_id in one_line(refused.stderr)
    (row,) = colony.cli("model", "ls").stdout.splitlines()[1:]
    assert row.split()[-1] == "1"
    forced = colony.cli("model", "rm", "demo", "--force")
    assert forced.returncode == 0, forced.stderr
    assert f"Stopped for it: {worker_id}." in forced.stderr


@pytest.mark.parametrize(
    "args",
    [
        ("pull", "nothing:here"),
        ("pull", "./not-there.gguf"),
        ("pull", "x" * 5000),
        ("pull", "demo", "--hive", "nowhere"),
        ("model", "show", "nothing:here"),
        ("model", "rm", "nothing:here"),
        ("model", "verify", "nothing:here"),
        ("model", "gc", "--hive", "\udcff"),
        ("model", "ls", "--hive", "nowhere"),
        ("model", "cp", "demo", "--from", "nowhere", "--to", "localhost"),
        ("model", "cp", "demo", "--from", "localhost", "--to", "localhost"),
        ("model", "cp", "demo", "--from", "localhost"),
        ("model", "search", "demo", "--hive", "nowhere"),
        ("model", "search", "x" * 300),
        ("model", "search", " "),
    ],
)
def test_what_is_not_there_is_one_line(shared_colony, args):
    done = shared_colony.cli(*args)
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    one_line(done.stderr)


@pytest.mark.parametrize(
    "args",
    [
        ("pull",),
        ("pull", ""),
        ("pull", "demo", " "),
        ("pull", "\udcff"),
        ("pull", "demo", "--hive", ""),
        ("pull", "demo", "--hive", "a", "--all-hives"),
        ("model", "ls", "--hive", "a", "--all-hives"),
        ("model", "rm"),
        ("model", "rm", ""),
        ("model", "search"),
        ("model", "search", "x", "--limit", "0"),
        ("model", "plan", "demo", "--context-length", "1"),
        ("model", "plan", "demo", "--slots", "none"),
        ("model", "cp", "demo"),
        ("model", "cp", "demo", "--from", "a", "--to", "b", "--all-hives"),
        ("model", "lst"),
    ],
)
def test_wrong_usage_starts_nothing(home, args):
    done = home.cli(*args)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    one_line(done.stderr)
    assert not home.home.exists()


def test_several_models_are_all_told_also_when_one_fails(shared_colony):
    done = shared_colony.cli("pull", "nothing:here", "echo", "nothing:there")
    assert done.returncode == 1
    assert done.stdout.startswith("echo: ")
    assert "2 of 3 failed: nothing:here on hive" in one_line(done.stderr)
    listed = json.loads(shared_colony.cli("pull", "nothing:here", "echo", "--json").stdout)
    assert [(one["model"], one["failed"] is None) for one in listed] == [("nothing:here", False), ("echo", True)]


def test_without_a_colony_one_is_started_for_the_occasion(home):
    done = home.cli("pull", "demo")
    assert done.returncode == 0, done.stderr
    assert "Starting a colony for this download" in done.stderr.splitlines()
    home.nothing_left()
    assert "available" in home.cli("model", "ls").stdout
    home.nothing_left()
    # Relative to where the command runs, not to where its colony does.
    path = next(home.home.rglob("*.gguf"))
    (home.folder / "mine.gguf").write_bytes(path.read_bytes())
    used = home.cli("pull", "mine.gguf")
    assert used.returncode == 0, used.stderr
    assert str(home.folder / "mine.gguf") in used.stdout


def test_ctrl_c_keeps_what_has_come_and_the_same_command_goes_on(make_home, slow_vendor):
    home = make_home(environment={"PYTHONPATH": str(slow_vendor)})
    with home.start("pull", "slowly:model") as command:
        eventually(lambda: "slowly:model: " in command.stderr, 30)
        parts = home.home / "data" / "models"
        (part,) = eventually(lambda: list(parts.rglob("model.bin*")), 30)
        eventually(lambda: part.stat().st_size > 8000, 30)
        command.interrupt()
        assert command.wait() == 130, command.stderr
        assert command.stdout == ""
        line = one_line(command.stderr)
    assert line.startswith("rbee: Interrupted. ")
    assert line.endswith(" of 390.6 KiB are kept; the same command goes on from there.")
    home.nothing_left()
    (part,) = parts.rglob("model.bin*")
    assert 8000 < part.stat().st_size < SIZE
    with home.start("pull", "slowly:model") as again:
        first = eventually(lambda: [one for one in again.stderr.splitlines() if one.startswith("slowly:model: ")], 30)
        assert not first[0].startswith("slowly:model: 0.")
        again.interrupt()
        assert again.wait() == 130
    (row,) = json.loads(home.cli("model", "ls", "--json").stdout)["models"]
    assert row["state"] == "failed"
    assert row["done_bytes"] > 8000


def test_in_a_running_colony_ctrl_c_cancels_the_job(make_colony, slow_vendor):
    colony = make_colony(environment={"PYTHONPATH": str(slow_vendor)})
    with colony.start("pull", "slowly:model") as command:
        eventually(lambda: "slowly:model: " in command.stderr, 30)
        (row,) = colony.cli("model", "ls").stdout.splitlines()[1:]
        assert "downloading" in row
        assert " %" in row
        command.interrupt()
        assert command.wait() == 130
    (job,) = [one for one in told(colony.cli("job", "ls", "--json"))["jobs"] if one["operation"] == "model_download"]
    assert job["state"] == "cancelled"
    assert colony.cli("model", "rm", "slowly:model").returncode == 0
    assert "No models" in colony.cli("model", "ls").stderr


def test_on_a_terminal_a_bar_moves_and_is_gone_at_the_end(make_colony, slow_vendor):
    colony = make_colony(environment={"PYTHONPATH": str(slow_vendor)})
    terminal = Terminal(colony, "pull", "slowly:model", kind="xterm", columns=120)
    try:
        terminal.expect("Fetching slowly:model")
        terminal.expect(" of 390.6 KiB")
        terminal.expect("KiB/s")
        terminal.type("\x03")
        terminal.expect("are kept; the same command goes on from there.")
        assert terminal.process.wait(20) == 130
    finally:
        terminal.close()


@pytest.fixture
def two_hives(make_site):
    site = make_site()
    for program in (site.registry, site.queen):
        program.start()
    for name in ("a", "b"):
        site.hive(name).start()
    eventually(lambda: len([one for one in site.hives().values() if one["online"]]) == 2, 20)
    return site


def test_of_two_hives_one_is_named_or_all_are_meant(two_hives):
    first = two_hives.machines["first"]
    for args in (("pull", "demo"), ("model", "rm", "demo"), ("model", "gc"), ("model", "show", "demo")):
        done = first.cli(*args)
        assert (done.returncode, done.stdout) == (1, "")
        assert "Several hives are online: a, b. Name one with --hive" in one_line(done.stderr)
    assert "No models" in first.cli("model", "ls").stderr

    both = first.cli("pull", "demo", "--all-hives")
    assert both.returncode == 0, both.stderr
    lines = both.stdout.splitlines()
    assert lines[0] == "a: demo (Q8_0, 4.6 MiB): fetched from demo"
    assert lines[1].startswith("b: demo (Q8_0, 4.6 MiB): fetched from ")
    assert any(line.startswith("b demo: ") for line in both.stderr.splitlines())

    rows = first.cli("model", "ls").stdout.splitlines()
    assert rows[0].split()[-1] == "HIVE"
    assert [row.split()[-1] for row in rows[1:]] == ["a", "b"]
    assert len(first.cli("model", "ls", "--hive", "b").stdout.splitlines()) == 2
    assert {one["hive_id"] for one in told(first.cli("model", "show", "demo", "--all-hives", "--json"))} == {"a", "b"}

    assert first.cli("model", "rm", "demo", "--hive", "b").returncode == 0
    partly = first.cli("model", "verify", "demo", "--all-hives")
    assert partly.returncode == 1
    assert "1 of 2 failed: hive b." in one_line(partly.stderr)
    assert "a: demo is intact." in partly.stderr
    assert {one["hive_id"] for one in told(first.cli("model", "show", "demo", "--all-hives", "--json"))} == {"a", "b"}
    assert first.cli("model", "rm", "demo", "--all-hives").returncode == 0
    nowhere = first.cli("model", "rm", "demo", "--all-hives")
    assert nowhere.returncode == 1
    assert "No hive that is online has the model 'demo'" in one_line(nowhere.stderr)


def test_a_model_is_copied_from_hive_to_hive(two_hives):
    first = two_hives.machines["first"]
    assert first.cli("pull", "demo", "--hive", "b").returncode == 0
    done = first.cli("model", "cp", "demo", "--from", "b", "--to", "a")
    assert (done.returncode, done.stdout) == (0, "a: demo (Q8_0, 4.6 MiB): fetched from hive b\n"), done.stderr
    assert first.cli("model", "verify", "demo", "--hive", "a").returncode == 0
    (again,) = told(first.cli("model", "cp", "demo", "--from", "b", "--to", "a", "--json"))
    assert again["already"] is True
    for target in ((), ("--hive", "a"), ("--all-hives",)):
        (same,) = told(first.cli("model", "cp", "demo", "--from", "b", *target, "--json"))
        assert (same["hive_id"], same["already"]) == ("a", True)


def test_models_are_looked_for_at_the_vendors_of_a_hive(two_hives):
    first = two_hives.machines["first"]
    # There is no network here: what can be seen is who was asked.
    here, there = (first.cli("model", "search", "demo", *where, "--json") for where in ((), ("--hive", "b")))
    assert json.loads(there.stdout) == json.loads(here.stdout)
    assert set(json.loads(there.stdout)["failed"]) <= {"huggingface"}
