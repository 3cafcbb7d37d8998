"""`rbee bench`: real workers measured, shown, used by the scheduler, and remembered."""

import json
from pathlib import Path

import pytest
from fleet.conftest import one_line, sdk, user
from fleet.terminal import Terminal
from rbee.testing.colony import eventually
from rbee.testing.models import shared_models

ECHO = "echo:slow?tokens=64"
"""50 ms a token, whatever the prompt."""


@pytest.fixture(scope="module")
def tiny():
    return str(shared_models(Path(__file__)) / "rbee-tiny-q8_0.gguf")


@pytest.fixture(scope="module")
def benched(tmp_path_factory, tiny):
    """A colony of a real model and an echo, both measured once."""
    from rbee.testing.colony import Colony

    colony = Colony(tmp_path_factory.mktemp("bench"))
    try:
        colony.start_up()
        for model in (tiny, ECHO):
            spawned = colony.cli("worker", "spawn", model)
            assert spawned.returncode == 0, spawned.stderr
        done = colony.cli("bench", "--prompt-tokens", "256", "--tokens", "32", "--streams", "1,2,32", "--rounds", "2",
                          "--json")  # fmt: skip
        assert done.returncode == 0, done.stderr
        colony.found = json.loads(done.stdout)["workers"]
        colony.talk = done.stderr
        yield colony
    finally:
        colony.clean_up()


def speeds(colony, engine):
    (worker,) = [one for one in json.loads(colony.cli("ps", "--json").stdout)["workers"]
                 if one["implementation"] == engine]  # fmt: skip
    return worker["prefill_tok_s"], worker["decode_tok_s"]


def test_each_worker_is_measured_at_each_number_of_streams_for_which_it_has_slots(benched):
    found = {one["engine"]: one for one in benched.found}
    assert set(found) == {"echo", "llamacpp"}
    for one in benched.found:
        assert (one["failed"], one["left_out"]) == (None, [32])
        assert [row["streams"] for row in one["rows"]] == [1, 2]
        for row in one["rows"]:
            assert row["prompt_tokens"] == pytest.approx(256, rel=0.15)
            assert row["decode_total_tok_s"] == pytest.approx(row["streams"] * row["decode_tok_s"], rel=0.01)
            assert row["prefill_tok_s"] > 0
            assert row["rounds"] == 2
            assert row["decode_spread"] >= 0
    echo, real = found["echo"]["rows"], found["llamacpp"]["rows"]
    # It sleeps 50 ms a token; what a machine under load adds is at most the same again.
    assert 8 < echo[0]["decode_tok_s"] <= 20.5
    assert echo[1]["decode_total_tok_s"] > 1.2 * echo[0]["decode_total_tok_s"]
    assert [row["tokens"] for row in real] == [32, 32], "it did not end before its time"


def test_what_it_does_is_told_as_it_goes(benched):
    assert "with 2 answers at the same time, round 2 of 2" in benched.talk


def test_the_numbers_are_shown_with_the_workers(benched):
    prefill, decode = speeds(benched, "echo")
    (echo,) = [one for one in benched.found if one["engine"] == "echo"]
    assert prefill == pytest.approx(echo["rows"][0]["prefill_total_tok_s"], rel=0.01)
    assert decode == pytest.approx(echo["rows"][0]["decode_tok_s"], rel=0.01)
    (worker,) = [one for one in benched.workers() if one["implementation"] == "echo"]
    told = benched.cli("worker", "show", worker["worker_id"]).stdout
    assert "answer speed" in told
    assert f"{decode:g} tokens/s" in told


def test_the_scheduler_counts_with_them(benched):
    spawned = benched.cli("worker", "spawn", ECHO)
    assert spawned.returncode == 0, spawned.stderr
    with sdk(benched) as client:
        client.chat.completions.create(
            model=ECHO, messages=user("hello"), max_tokens=2, extra_headers={"X-Request-Id": "measured"}
        )
    (decision, *_) = json.loads(benched.cli("explain", "measured", "--json").stdout)["decisions"]
    echoes = [one for one in benched.workers() if one["model_id"] == ECHO]
    _, decode = next((one["prefill_tok_s"], one["decode_tok_s"]) for one in echoes)
    assert [one["decode_tok_s"] for one in echoes] == [decode, decode], "the second begins as the first of its kind"
    for worker in decision["workers"]:
        assert worker["scores"]["decode_s"] == pytest.approx(2 / decode, rel=0.05)


def test_real_requests_go_on_from_there(benched, tiny):
    before = speeds(benched, "llamacpp")
    with sdk(benched).with_options(api_key=benched.token) as client:
        for number in range(4):
            text = f"{number} " + "Tell me all that you know of Python, and then some more. " * 20
            stream = client.completions.create(
                model=tiny, prompt=text, max_tokens=24, stream=True, temperature=0, extra_body={"ignore_eos": True}
            )
            assert sum(1 for _ in stream) >= 24
    after = speeds(benched, "llamacpp")
    assert after != before
    assert all(0.2 < new / old < 5 for new, old in zip(after, before, strict=True))


def test_for_a_person_it_is_a_table(benched):
    done = benched.cli("bench", ECHO, "--streams", "1", "--prompt-tokens", "64", "--tokens", "16")
    assert done.returncode == 0, done.stderr
    head, *rows = done.stdout.splitlines()
    assert head.split() == ["WORKER", "MODEL", "HIVE", "DEVICE", "STREAMS", "PROMPT", "PROMPT/S", "ALL", "ANSWER/S",
                            "ALL", "SPREAD", "FIRST"]  # fmt: skip
    assert rows
    assert all(ECHO in row and row.endswith("ms") for row in rows)


def test_on_a_terminal_a_bar_tells_how_far_it_is(benched):
    terminal = Terminal(
        benched, "bench", ECHO, "--streams", "1,2", "--tokens", "16", "--prompt-tokens", "64", kind="xterm", columns=160
    )
    try:
        terminal.expect("round 1 of 3")
        terminal.expect(" rounds")
        terminal.expect("round 3 of 3")
        terminal.expect("WORKER")
        terminal.expect("SPREAD")
        terminal.expect("%")
        assert terminal.process.wait(30) == 0
    finally:
        terminal.close()


def test_interrupted_it_gives_the_slots_back(benched):
    (worker, *_) = [one for one in benched.workers() if one["implementation"] == "echo"]
    with benched.start("bench", "--worker", worker["worker_id"][:12], "--tokens", "2000", "--streams", "4") as bench:
        eventually(lambda: "with 4 answers" in bench.stderr, 30)
        busy = next(one for one in benched.workers() if one["worker_id"] == worker["worker_id"])
        assert busy["slots_available"] == 0, "it serves nobody else"
        bench.interrupt()
        assert bench.wait() == 130
        assert one_line(bench.stderr) == "rbee: Interrupted."
        assert bench.stdout == ""

    def free():
        now = next(one for one in benched.workers() if one["worker_id"] == worker["worker_id"])
        there = benched.worker_info(worker)
        return now["slots_available"] == now["slots_total"] == there["slots_available"]

    eventually(free, 5)


def test_what_was_measured_outlasts_queen_and_worker(benched, tiny):
    prefill, decode = speeds(benched, "llamacpp")
    benched.stop()
    benched.start_up()
    spawned = benched.cli("worker", "spawn", tiny)
    assert spawned.returncode == 0, spawned.stderr
    assert speeds(benched, "llamacpp") == (prefill, decode)


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("bench", "echo:nobody"), 1, "No worker serves 'echo:nobody'. Load the model first: rbee load"),
        (("bench", "--worker", "nobody"), 1, "There is no worker 'nobody'"),
        (("bench", "--streams", "1,x"), 2, "is no list of at most 16 numbers"),
        (("bench", "--streams", "0"), 2, "each must be 1 to 256"),
        (("bench", "--tokens", "1"), 2, "--tokens"),
        (("bench", "--rounds", "0"), 2, "--rounds"),
        (("bench", ""), 2, "it is empty"),
    ],
)
def test_what_cannot_be_is_one_line(shared_colony, arguments, code, told):
    done = shared_colony.cli(*arguments)
    assert done.returncode == code
    assert told in one_line(done.stderr)


def test_a_worker_that_fails_is_told_and_the_others_are_measured(roomy_colony):
    for model in ("echo", "echo:bad?fail=step&tokens=3"):
        spawned = roomy_colony.cli("worker", "spawn", model)
        assert spawned.returncode == 0, spawned.stderr
    done = roomy_colony.cli("bench", "--streams", "1", "--rounds", "1", "--json")
    assert done.returncode == 1
    found = {one["model_id"]: one for one in json.loads(done.stdout)["workers"]}
    assert (found["echo:echo"]["failed"], len(found["echo:echo"]["rows"])) == (None, 1)
    failed = found["echo:bad?fail=step&tokens=3"]
    assert (failed["failed"]["code"], failed["rows"]) == ("WORKER_FAILED", [])
    assert done.stderr.splitlines()[-1].startswith(failed["worker_id"])


def test_without_a_colony_none_is_started(home):
    done = home.cli("bench")
    assert done.returncode == 3
    assert one_line(done.stderr)
    home.nothing_left()
