"""What becomes of requests: served, loaded for, waiting, refused."""

from __future__ import annotations

import msgspec
import pytest
from rbee.contract.errors import InvalidRequestError
from rbee.gateway import Traits
from rbee.settings import Settings
from rbee.settings.model import QueenSettings
from rbee.simulation import Fleet, Load
from rbee.simulation.requests import Request
from unit.simulation.building import GPU, Watched, fleet, group, laptop, load, model

ASKED = load(model(), model("n"))


def at(when: float, number: int, name: str = "m", answer: int = 101) -> Request:
    return Request(number, when, name, 500, answer, "", Traits(prompt_tokens=500), ())


def run(machines: Fleet, *given: Request, asked: Load = ASKED, settings: Settings | None = None) -> Watched:
    return Watched(machines, asked, settings=settings or Settings(), given=list(given)).run()


def test_a_model_that_lies_on_a_disk_is_loaded_once_for_all_who_wait() -> None:
    found = run(fleet(group(models=("m",))), at(1.0, 0), at(2.0, 1))
    outcome = found.colony.outcome()
    assert (outcome.loads, outcome.failed_loads, outcome.waited) == (1, 0, 2)
    assert found.first_s[0] == pytest.approx(8 + 0.2)
    assert found.first_s[1] == pytest.approx(7 + 0.2)


def test_a_model_that_lies_nowhere_is_fetched_before() -> None:
    found = run(fleet(group(fetch_mib_s=100)), at(1.0, 0))
    assert found.first_s[0] == pytest.approx(4096 / 100 + 8 + 0.1)


def test_an_idle_worker_makes_room() -> None:
    asked = load(model(weights_gib=12), model("n", weights_gib=12))
    found = run(fleet(group(models=("n",), workers={"m": 1})), at(1.0, 0, "n"), asked=asked)
    assert found.colony.outcome().evictions == 1
    assert [worker.model for worker in found.colony.machines["box-1"].workers.values()] == ["n"]
    assert found.first_s[0] == pytest.approx(1.0 + 3 * (8 + 0.1))


def test_a_busy_worker_makes_none_and_the_request_is_refused() -> None:
    asked = load(model(weights_gib=12), model("n", weights_gib=12))
    found = run(fleet(group(models=("n",), workers={"m": 1})), at(1.0, 0), at(1.1, 1, "n"), asked=asked)
    assert found.refused == {1: "NO_PLACEMENT"}
    assert found.colony.outcome().refused == {"NO_PLACEMENT": 1}


def test_without_an_engine_for_the_format_it_is_refused_as_such() -> None:
    found = run(fleet(group(formats=("other",))), at(1.0, 0))
    assert found.refused == {0: "ENGINE_UNAVAILABLE"}


def test_two_loads_that_count_on_the_same_memory_meet_at_the_hive_which_has_the_last_word() -> None:
    asked = load(model(weights_gib=12), model("n", weights_gib=12))
    found = run(fleet(group(models=("m", "n"))), at(1.0, 0), at(1.0, 1, "n", answer=2000), asked=asked)
    # The second one looks again with a fresh picture, in vain while the other computes or loads.
    assert found.colony.outcome().failed_loads >= 1
    assert found.refused == {1: "NO_PLACEMENT"}


def test_who_finds_all_slots_busy_waits_for_the_first_that_becomes_free() -> None:
    found = run(fleet(group(workers={"m": 1}, slots=1)), at(1.0, 0), at(1.1, 1), at(1.2, 2))
    assert found.first_s[1] == pytest.approx(1.1 - 0.1 + 0.1)
    assert found.first_s[2] == pytest.approx(2 * 1.1 - 0.2 + 0.1)
    assert found.colony.outcome().waited == 2


def test_nobody_waits_longer_than_is_set_nor_in_a_longer_queue() -> None:
    settings = Settings(queen=QueenSettings(slot_wait_s=5.0, max_waiting=2))
    given = [at(1.0, 0, answer=2001), at(1.1, 1), at(1.2, 2), at(1.3, 3)]
    found = run(fleet(group(workers={"m": 1}, slots=1)), *given, settings=settings)
    assert found.refused == {1: "ALL_SLOTS_BUSY", 2: "ALL_SLOTS_BUSY", 3: "QUEUE_FULL"}


def test_who_is_tired_of_a_load_is_refused_and_the_load_goes_on() -> None:
    settings = Settings(queen=QueenSettings(load_timeout_s=3.0))
    found = run(fleet(group(models=("m",))), at(1.0, 0), at(20.0, 1), settings=settings)
    assert found.refused == {0: "REQUEST_TIMEOUT"}
    assert found.first_s[1] == pytest.approx(0.1)


def test_an_idle_worker_is_kept_as_long_as_is_set() -> None:
    settings = Settings(queen=QueenSettings(keep_alive="60s"))
    machines = fleet(group(workers={"m": 1}))
    found = run(machines, at(1.0, 0), at(50.0, 1), at(112.0, 2), settings=settings)
    outcome = found.colony.outcome()
    # Unloaded at 51.1 + 60 s, loaded for the third, and unloaded again.
    assert (outcome.unloads, outcome.loads, outcome.evictions) == (2, 1, 0)
    assert found.first_s[1] == pytest.approx(0.1)
    assert found.first_s[2] == pytest.approx(8.1)
    kept = run(machines, at(1.0, 0), at(500.0, 1))
    assert (kept.colony.outcome().unloads, kept.colony.outcome().loads) == (0, 0)


def test_the_end_is_the_last_answer_not_the_last_alarm() -> None:
    found = run(fleet(group(workers={"m": 1}, slots=1)), at(1.0, 0), at(1.0, 1))
    assert found.colony.outcome().simulated_s == pytest.approx(1.0 + 2 * 1.1)


def test_copies_are_taken_in_turn_by_the_machines_that_run_them() -> None:
    asked = load(model("m", copies=3, weights_gib=1))
    found = Watched(fleet(group(count=2, workers={"m": 3}, models=("m-3",))), asked, given=[])
    for machine in found.colony.machines.values():
        assert sorted(worker.model for worker in machine.workers.values()) == ["m-1", "m-2", "m-3"]


def test_workers_go_to_the_next_gpu_when_the_first_is_full() -> None:
    asked = load(model(weights_gib=12))
    found = Watched(fleet(group(gpus=(msgspec.structs.replace(GPU, count=2),), workers={"m": 2})), asked, given=[])
    devices = {one.device.device.id for one in found.colony.machines["box-1"].workers.values()}
    assert devices == {"GPU-0", "GPU-1"}


@pytest.mark.parametrize(
    ("machines", "told"),
    [
        (group(workers={"m": 7}), "Hive 'box-1' cannot run all its `workers`, 'm' among them: "),
        (group(workers={"m": 2}, threads=1), "all its processor threads are taken"),
        (group(formats=("x",), workers={"m": 1}), "no engine there opens the format 'gguf'"),
        (laptop(ram_gib=2, workers={"m": 1}), "it needs about 4915 MiB and 2048 MiB are free"),
    ],
)
def test_a_fleet_whose_workers_do_not_fit_is_refused(machines, told) -> None:  # type: ignore[no-untyped-def]  # parameters
    with pytest.raises(InvalidRequestError) as refused:
        Watched(fleet(machines), ASKED, given=[])
    assert told in refused.value.message


CARDS = (msgspec.structs.replace(GPU, count=2),)


def test_a_model_larger_than_a_gpu_is_served_by_two_where_the_fleet_says_so() -> None:
    asked = load(model(weights_gib=30), rate=0.2)
    refused = Watched(fleet(group(gpus=CARDS, ram_gib=4)), asked).run()
    assert set(refused.refused.values()) == {"NO_PLACEMENT"}
    served = Watched(fleet(group(gpus=CARDS, ram_gib=4, spread=True)), asked).run()
    assert not served.refused
    (machine,) = served.colony.machines.values()
    (worker,) = machine.workers.values()
    assert worker.device_name == "GPU-0,GPU-1"
    assert all(one.memory_free is not None and one.memory_free >= 0 for one in machine.devices.values())
    taken = {name: 24 * 2**30 - (one.memory_free or 0) for name, one in machine.devices.items()}
    assert taken == worker.holds


def test_a_fleet_that_may_spread_and_need_not_does_the_same_as_before() -> None:
    asked = load(model(weights_gib=12))
    plain, may = (
        Watched(fleet(group(gpus=CARDS, workers={"m": 2}, spread=spread)), asked).run() for spread in (False, True)
    )
    assert plain.first_s == may.first_s
