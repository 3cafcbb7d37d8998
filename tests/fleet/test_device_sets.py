"""A model over two GPUs, from the request to the engine's process: the cards are made up, all the rest is real."""

import json
import shutil
from pathlib import Path

import psutil
import pytest
from fleet.conftest import one_line, user
from rbee.testing.colony import eventually

PLUGINS = Path(__file__).parent / "plugins_for_tests"
MIB = 2**20
BOTH = "card:1200"
"""Its rough estimate has 1440 MiB and the cards 1000 each."""


@pytest.fixture
def colony(make_colony, tmp_path):
    """With two cards of 1000 MiB."""
    folder = tmp_path / "site"
    info = folder / "two_cards-1.0.dist-info"
    info.mkdir(parents=True)
    shutil.copy(PLUGINS / "two_cards.py", folder)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: two-cards\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[rbee]\ntwo_cards = two_cards\n")
    return make_colony(environment={"PYTHONPATH": str(folder)})


def ask(colony, model, text="hello"):
    body = {"model": model, "messages": user(text)}
    return colony.http.post(f"{colony.openai_base_url}/chat/completions", json=body)


def budgets(colony):
    (hive,) = colony.http.get(f"{colony.queen_url}/v1/info").json()["hives"]
    return {one["device"]: one for one in hive["memory"]}


def devices_of(colony):
    return {one["model_id"]: one["device"] for one in colony.workers()}


def test_a_model_too_large_for_a_card_is_loaded_over_both_on_demand_and_its_shares_are_held_and_told(colony):
    answer = ask(colony, BOTH)
    assert answer.json()["choices"][0]["message"]["content"] == "hello"
    worker = eventually(lambda: colony.worker(BOTH))
    assert worker["device"] in {"GPU-0,GPU-1", "GPU-1,GPU-0"}
    (process,) = colony.run_job("worker_process_list")["result"]["workers"]
    shares = {one["device"]: one["memory_bytes"] for one in process["shares"]}
    assert set(shares) == {"GPU-0", "GPU-1"}
    assert sum(shares.values()) == process["memory_bytes"] >= 1440 * MIB
    assert max(shares.values()) <= 1000 * MIB

    # The engine's own process was given them, and the hive finds them again by its tags.
    environ = psutil.Process(worker["pid"]).environ()
    assert environ["RBEE_WORKER_DEVICE"] == process["device"]
    assert environ["RBEE_WORKER_SHARES"] == ",".join(str(shares[one]) for one in process["device"].split(","))
    log = Path(process["log"]).read_text(encoding="utf-8")
    assert f"given {tuple(process['device'].split(','))} {[*shares.values()]}" in log

    # Held of each card, measured of each card, shown by the commands.
    eventually(lambda: {card: one["granted_bytes"] for card, one in budgets(colony).items()}.items() >= shares.items())
    assert all(budgets(colony)[card]["workers"] == [worker["worker_id"]] for card in shares)
    eventually(lambda: colony.worker(BOTH)["vram_mb"] == 10)
    assert "GPU-0 (A card that nobody has" in colony.cli("worker", "show", worker["worker_id"]).stdout
    shown = json.loads(colony.cli("worker", "show", worker["worker_id"], "--json").stdout)
    assert [one["id"] for one in shown["devices"]] == ["GPU-0", "GPU-1"]
    told = colony.cli("explain", answer.headers["x-request-id"]).stdout
    assert "is spread over" in told, told
    assert "1000.0 MiB are free on GPU-0" in told or "1000 MiB are free on GPU-0" in told, told


def test_room_for_it_is_made_on_both_cards_and_what_fits_one_takes_one(colony):
    for model in ("card:500", "card:501"):
        assert ask(colony, model).status_code == 200
    found = eventually(lambda: devices_of(colony) if len(devices_of(colony)) == 2 else None)
    assert sorted(found.values()) == ["GPU-0", "GPU-1"], "each on the emptiest card"
    assert ask(colony, BOTH).status_code == 200
    eventually(lambda: set(devices_of(colony)) == {BOTH})
    assert ask(colony, "card:700").status_code == 200
    (device,) = eventually(lambda: [one for model, one in devices_of(colony).items() if model == "card:700"])
    assert "," not in device


def test_what_fits_neither_is_refused_with_what_each_card_has(colony):
    refused = ask(colony, "card:3000")
    assert refused.status_code == 503
    told = refused.json()["error"]["message"]
    assert "1000 MiB on GPU-0 and 1000 MiB on GPU-1 are free" in told, told
    row = json.loads(colony.cli("plan", BOTH, "--json").stdout)["hives"][0]
    assert (row["fits"], [one["device"] for one in row["shares"]]) == (True, ["GPU-0", "GPU-1"])


def test_cards_can_be_named_and_what_is_no_set_is_refused_in_one_line(colony):
    done = colony.cli("worker", "spawn", "card:100", "--device", "1,0", "--worker-id", "mine", "--json")
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert made["device"] == "GPU-1,GPU-0"
    assert [one["device"] for one in made["shares"]] == ["GPU-1", "GPU-0"]
    for device, words in (
        ("GPU-0,GPU-7", "There is no device 'GPU-7' here"),
        ("GPU-0,CPU-0", "driven in different ways (GPU-0 by cuda, CPU-0 by cpu)"),
    ):
        wrong = colony.cli("worker", "spawn", "card:100", "--device", device)
        assert wrong.returncode != 0
        assert words in one_line(wrong.stderr)
    both = colony.cli("worker", "spawn", "echo", "--device", "GPU-0,GPU-1")
    assert both.returncode != 0
    large = colony.cli("worker", "spawn", "card:1800", "--device", "GPU-0,GPU-1")
    assert "of 2 devices together" in one_line(large.stderr)
    assert "MiB on GPU-0 and" in one_line(large.stderr)
