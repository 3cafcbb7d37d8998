"""`rbee simulate`: a fleet and a load from files."""

import json
import shutil
from pathlib import Path

import pytest
from fleet.conftest import one_line
from fleet.terminal import Terminal

EXAMPLES = Path(__file__).parents[2] / "docs/examples"


@pytest.fixture
def files(tmp_path):
    """The documentation's examples, with two minutes of load."""
    for name in ("fleet.yaml", "load.yaml"):
        shutil.copy(EXAMPLES / name, tmp_path)
    load = tmp_path / "load.yaml"
    load.write_text(load.read_text().replace("duration_s: 3600", "duration_s: 120").replace("warmup_s: 300", ""))
    return ("--hives", str(tmp_path / "fleet.yaml"), "--load", str(load))


def test_policies_are_compared_in_one_table(home, files):
    done = home.cli("simulate", *files, "--policy", "round-robin", "--policy", "balanced", "--policy", "random")
    assert done.returncode == 0, done.stderr
    head, *rows = done.stdout.splitlines()
    assert head.split() == ["round-robin", "balanced", "random"]
    p95 = next(row for row in rows if row.startswith("time to first token, p95"))
    assert p95.count(" x") == 2
    assert "2m of load on 20 hives, 3 times in" in done.stderr


def test_the_same_seed_gives_the_same_and_another_one_other_figures(home, files):
    def outcome(*more):
        done = home.cli("simulate", *files, "--json", *more)
        assert done.returncode == 0, done.stderr
        assert not done.stderr
        return [run["outcome"] for run in json.loads(done.stdout)["runs"]]

    same = outcome("--policy", "random", "--seed", "7")
    assert same == outcome("--policy", "random", "--seed", "7")
    assert same != outcome("--policy", "random", "--seed", "8")
    (own,) = outcome()
    assert own["policy"] == "balanced"
    assert own["requests"] == own["answered"] + sum(own["refused"].values()) > 1000


def test_settings_of_the_colony_count(home, files):
    done = home.cli("--set", "queen.policy=seed", "simulate", *files, "--json")
    assert json.loads(done.stdout)["runs"][0]["outcome"]["policy"] == "seed"


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("rate: 20", "rates: 20", "load.yaml: there is no field `arrivals.rates`; fields are: rate, daily, recorded"),
        ("name: large", "name: huge", "fleet.yaml: hives[2].workers names the model 'large', which is not in "),
        ("arrivals:", "arrivals: [", "this is no YAML"),
    ],
)
def test_a_wrong_file_is_one_line(home, files, before, after, told):
    load = Path(files[3])
    load.write_text(load.read_text().replace(before, after))
    done = home.cli("simulate", *files)
    assert done.returncode == 1
    assert not done.stdout
    assert told in one_line(done.stderr)


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("--policy", "luck"), 1, "No plugin brings the policy 'luck'"),
        (("--policy", ""), 2, "it is empty"),
        (("--seed", "x"), 2, "is not a valid integer"),
        (("--load", "/nowhere"), 1, "There is no file '/nowhere'"),
        (("--load", ""), 2, "it is empty"),
    ],
)
def test_what_cannot_be_is_one_line(home, files, arguments, code, told):
    done = home.cli("simulate", *files, *arguments)
    assert done.returncode == code
    assert told in one_line(done.stderr)


def test_on_a_terminal_a_bar_shows_how_far_it_is_and_ctrl_c_ends_it(home, files):
    load = Path(files[3])
    load.write_text(load.read_text().replace("duration_s: 120", "duration_s: 86400"))
    terminal = Terminal(home, "simulate", *files, kind="xterm")
    try:
        terminal.expect("balanced")
        terminal.expect("%")
        terminal.type("\x03")
        terminal.expect("rbee: Interrupted.")
        assert terminal.process.wait(timeout=30) == 130
    finally:
        terminal.close()
