"""Models by name from a hub, with real programs: pulled, answered, shared between hives, killed in the middle."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest
from fleet.conftest import PYTHON, one_line, sdk, user
from rbee.testing.colony import Colony, eventually
from rbee.testing.hub import Hub
from rbee.testing.site import Site

TINY = files("rbee_demo").joinpath("data", "rbee-tiny-q8_0.gguf").read_bytes()
REPO = "rbee/tiny-GGUF"
FILE = "tiny-Q8_0.gguf"
NAME = f"{REPO}:Q8_0"
KILLS = int(os.environ.get("KILLS", "3"))
"""How often a fetch is killed; set to 10 for a thorough run by hand."""


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with Hub() as running:
        running.add(REPO, {FILE: TINY, "README.md": "# tiny\n"}, tags=["gguf"])
        yield running


@pytest.fixture(autouse=True)
def anew(hub: Hub) -> None:
    hub.faults.clear()
    hub.ledger.clear()


def places(hub: Hub, folder: Path) -> dict[str, str]:
    """Where the hub's library looks: at the stand-in, and into a cache of the test's own."""
    return {"HF_ENDPOINT": hub.url, "HF_HOME": str(folder / "hf"), "HF_TOKEN": "", "HF_HUB_OFFLINE": ""}


@pytest.fixture(scope="module")
def colony(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Colony]:
    folder = tmp_path_factory.mktemp("hub-colony")
    made = Colony(folder, environment=places(hub, folder))
    try:
        yield made.start_up()
    finally:
        made.clean_up()


@pytest.fixture
def site(hub: Hub, tmp_path: Path) -> Iterator[Site]:
    """A queen and the hives a and b."""
    made = Site(tmp_path)
    try:
        made.registry.start()
        for program in (made.queen, made.hive("a"), made.hive("b")):
            program.machine.environment.update(places(hub, tmp_path / program.machine.name))
            program.start()
        made.machines["first"].settings["queen.url"] = made.queen.url
        eventually(lambda: sorted(one for one, told in made.hives().items() if told["online"]) == ["a", "b"], 20)
        yield made
    finally:
        made.clean_up()


def test_a_model_of_the_hub_answers_and_is_listed(colony: Colony, hub: Hub) -> None:
    done = colony.cli("pull", NAME, "--json")
    assert done.returncode == 0, done.stderr
    done = colony.cli("run", NAME, PYTHON[0], "--temperature", "0")
    assert (done.returncode, done.stdout.strip()) == (0, PYTHON[1]), done.stderr
    assert hub.ledger.sent(f"{REPO}/{FILE}") == len(TINY)
    with sdk(colony) as client:
        listed = {model.id: model.model_extra["rbee"] for model in client.models.list()}
        assert listed[NAME]["model_id"] == f"hf:{NAME}"
        # No token: what is on a disk of the colony may be asked for by whoever may ask.
        answer = client.chat.completions.create(model=NAME, messages=user(PYTHON[0]), temperature=0)
    assert answer.choices[0].message.content == PYTHON[1]


def test_what_is_here_needs_no_hub(colony: Colony, hub: Hub) -> None:
    assert colony.cli("pull", NAME).returncode == 0
    hub.fault("*", status=503, times=None, methods=("GET", "HEAD"))
    done = colony.cli("run", NAME, PYTHON[0], "--temperature", "0")
    assert (done.returncode, done.stdout.strip()) == (0, PYTHON[1]), done.stderr


def test_a_stranger_cannot_make_the_colony_fetch(colony: Colony, hub: Hub) -> None:
    hub.add("rbee/other-GGUF", {"other-Q8_0.gguf": TINY}, tags=["gguf"])
    answer = colony.http.post(
        f"{colony.queen_url}/v1/chat/completions",
        json={"model": "rbee/other-GGUF", "messages": user("x")},
        headers={"authorization": ""},
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
    assert "rbee pull" in answer.json()["error"]["message"]
    assert not hub.ledger.requests()


def test_an_alias_is_valid_for_commands_and_requests(colony: Colony) -> None:
    assert colony.cli("model", "alias", "quick", NAME).returncode == 0
    done = colony.cli("run", "quick", PYTHON[0], "--temperature", "0")
    assert (done.returncode, done.stdout.strip()) == (0, PYTHON[1]), done.stderr
    with sdk(colony) as client:
        answer = client.chat.completions.create(model="quick", messages=user(PYTHON[0]), temperature=0)
        assert "quick" in {model.id for model in client.models.list()}
    assert answer.choices[0].message.content == PYTHON[1]


def test_a_plan_names_the_file_and_its_memory_before_anything_is_fetched(colony: Colony, hub: Hub) -> None:
    quantized = {f"plan-{name}.gguf": TINY for name in ("Q4_K_M", "Q8_0")}
    hub.add("rbee/plan-GGUF", quantized, tags=["gguf"])
    done = colony.cli("model", "plan", "rbee/plan-GGUF", "--json")
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)["hives"]
    assert (row["file"], row["fits"], row["present"]) == ("plan-Q4_K_M.gguf", True, False)
    assert row["memory_bytes"] > row["weights_bytes"] > 4_000_000
    assert row["reasons"]
    assert hub.ledger.sent("rbee/plan-GGUF/*") < 3_000_000


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("rbee/nothing-here", "rbee/nothing-here"),
        (f"{REPO}:Q2_K", "Q8_0"),
        ("rbee/tiny-GGUF:", "rbee/tiny-GGUF"),
        ("a b", "a b"),
    ],
)
def test_a_name_that_leads_nowhere_is_one_line(colony: Colony, name: str, told: str) -> None:
    done = colony.cli("pull", name)
    assert done.returncode in {1, 2}
    assert told in one_line(done.stderr)


def test_the_second_hive_takes_the_model_from_the_first(site: Site, hub: Hub) -> None:
    machine = site.machines["first"]
    first = json.loads(machine.cli("pull", NAME, "--hive", "a", "--json").stdout)[0]
    assert (first["from_hive"], hub.ledger.sent(f"{REPO}/*")) == (None, len(TINY))
    second = json.loads(machine.cli("pull", NAME, "--hive", "b", "--json").stdout)[0]
    assert (second["from_hive"], second["fetched_bytes"]) == ("a", len(TINY))
    assert hub.ledger.sent(f"{REPO}/*") == len(TINY)
    assert Path(second["path"]).read_bytes() == TINY


def test_all_hives_at_once_cost_one_fetch(site: Site, hub: Hub) -> None:
    hub.fault(f"{REPO}/{FILE}", bytes_per_s=8_000_000, times=None)
    done = site.machines["first"].cli("pull", NAME, "--all-hives", "--json")
    assert done.returncode == 0, done.stderr
    assert sorted(str(one["from_hive"]) for one in json.loads(done.stdout)) == ["None", "a"]
    assert hub.ledger.sent(f"{REPO}/*") == len(TINY)


def test_a_fetch_that_is_killed_again_and_again_loses_next_to_nothing(site: Site, hub: Hub) -> None:
    hub.fault(f"{REPO}/{FILE}", bytes_per_s=1_200_000, times=None)
    machine = site.machines["first"]
    hive = next(program for program in site.programs if program.kind == "hive" and program.machine.name == "a")
    models = hive.machine.home / "data" / "models"

    def here() -> int:
        return sum(path.stat().st_size for path in models.glob(".parts/*/*.part"))

    for number in range(1, KILLS + 1):
        with machine.start("pull", NAME, "--hive", "a") as pull:
            goal = len(TINY) * number // (KILLS + 2)
            eventually(lambda goal=goal: here() > goal or pull.process.poll() is not None, 30, every=0.005)
            assert pull.process.poll() is None, pull.stderr
            hive.kill9()
            pull.process.kill()
        hive.start()
        eventually(lambda: site.hives()["a"]["online"], 20)
    done = machine.cli("pull", NAME, "--hive", "a", "--json")
    assert done.returncode == 0, done.stderr
    whole = Path(json.loads(done.stdout)[0]["path"]).read_bytes()
    assert hashlib.sha256(whole).digest() == hashlib.sha256(TINY).digest()
    assert hub.ledger.sent(f"{REPO}/{FILE}") <= 1.05 * len(TINY)
