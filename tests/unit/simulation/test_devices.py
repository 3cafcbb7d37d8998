"""What runs on a device at the same time shares its speed."""

from __future__ import annotations

import pytest
from rbee.gateway import Traits
from rbee.simulation import Fleet, Length
from rbee.simulation.requests import Request
from unit.simulation.building import GPU, Watched, fleet, group, laptop, load, model

ASKED = load(model(), model("n"))


def at(when: float, number: int, name: str = "m", prompt: int = 500, answer: int = 101) -> Request:
    traits = Traits(prompt_tokens=prompt)
    return Request(number, when, name, prompt, answer, "", traits, ())


def run(machines: Fleet, *given: Request) -> Watched:
    return Watched(machines, ASKED, given=list(given)).run()


def test_one_alone_has_the_device_for_itself() -> None:
    found = run(fleet(), at(1.0, 0))
    assert found.first_s[0] == pytest.approx(500 / 5000)
    assert found.whole_s[0] == pytest.approx(500 / 5000 + 100 / 100)


def test_an_answer_of_one_token_is_complete_with_it() -> None:
    found = run(fleet(), at(1.0, 0, answer=1))
    assert found.whole_s[0] == found.first_s[0] == pytest.approx(0.1)


def test_two_answers_of_a_worker_get_what_it_gives_each_of_two() -> None:
    found = run(fleet(), at(1.0, 0), at(1.0, 1))
    # Prompts share 5000 a second; then each answer gets 100 - 40 / 3.
    for number in (0, 1):
        assert found.first_s[number] == pytest.approx(2 * 500 / 5000)
        assert found.whole_s[number] == pytest.approx(2 * 500 / 5000 + 100 / (100 - 40 / 3))


def test_workers_of_one_device_share_it() -> None:
    found = run(fleet(group(workers={"m": 1, "n": 1})), at(1.0, 0), at(1.0, 1, "n"))
    assert found.first_s[0] == found.first_s[1] == pytest.approx(2 * 500 / 5000)
    assert found.whole_s[0] == pytest.approx(2 * 500 / 5000 + 2 * 100 / 100)


def test_workers_of_two_devices_do_not() -> None:
    machines = fleet(group("a", workers={"m": 1}), group("b", workers={"n": 1}))
    found = run(machines, at(1.0, 0), at(1.0, 1, "n"))
    assert found.whole_s[0] == pytest.approx(500 / 5000 + 1.0)


def test_a_model_of_twice_the_size_takes_twice_as_long() -> None:
    asked = load(model(weights_gib=8))
    found = Watched(fleet(), asked, given=[at(0.0, 0)]).run()
    assert found.whole_s[0] == pytest.approx(2 * (500 / 5000 + 1.0))


def test_who_comes_later_slows_who_was_there() -> None:
    found = run(fleet(), at(1.0, 0, answer=1001), at(2.0, 1, prompt=1, answer=1001))
    assert found.whole_s[0] > 0.1 + 10.0
    assert found.whole_s[1] < 1000 / (100 - 40 / 3) + 0.1


def test_as_much_is_computed_as_was_asked_whatever_comes_in_between() -> None:
    given = [at(one * 0.37, one, prompt=100 + 31 * one, answer=20 + 7 * one) for one in range(12)]
    found = run(fleet(laptop(workers={"m": 1}, slots=4)), *given)
    device = next(iter(next(iter(found.colony.machines.values())).devices.values()))
    assert sorted(found.ends) == list(range(12))
    assert device.streams == []
    # Never idle in between: prompts alone take as long, and answers at least as long as at the highest speed.
    prompts, answers = sum(one.prompt_tokens for one in given), sum(one.answer_tokens - 1 for one in given)
    assert device.busy_s >= prompts / 100 * 0.25 + answers / 20


def test_a_prompt_in_the_cache_is_not_computed_again() -> None:
    blocks = (1, 2, 3)
    traits = Traits(prompt_tokens=500, blocks=blocks)
    again = [Request(one, 10.0 * one, "m", 500, 2, "", traits, blocks) for one in range(2)]
    found = run(fleet(), *again)
    assert found.first_s[0] == pytest.approx(500 / 5000)
    assert found.first_s[1] == pytest.approx((500 - 3 * 128) / 5000)


def test_lengths_and_speeds_of_a_fleet_hold_for_all_its_gpus() -> None:
    two = group(gpus=(GPU, GPU), workers={"m": 1})
    assert list(Watched(fleet(two), load(answer=Length(median=2))).colony.machines["box-1"].devices) == [
        "GPU-0",
        "GPU-1",
    ]
