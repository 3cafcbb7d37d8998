"""`rbee infer`: by the queen, and straight at a worker."""

import json

import pytest
from fleet.conftest import one_line
from rbee.testing.colony import eventually


def test_the_running_colony_answers(shared_colony):
    done = shared_colony.cli("infer", "echo:infer", "one two three")
    assert (done.returncode, done.stdout) == (0, "one two three\n")
    piped = shared_colony.cli("infer", "echo:infer", "--max-tokens", "2", "--json", stdin="one two three")
    told = json.loads(piped.stdout)
    assert (told["text"], told["stop_reason"]) == ("one two", "MAX_TOKENS")
    by = shared_colony.cli("infer", "echo:infer", "x", "--worker", told["worker_id"], "--json")
    assert json.loads(by.stdout)["worker_id"] == told["worker_id"]


@pytest.mark.parametrize("more", [(), ("--queenless",)])
def test_no_colony_is_started_for_it(home, more):
    done = home.cli("infer", "echo:x", "hello", *more)
    assert done.returncode == (1 if more else 3)
    assert done.stdout == ""
    one_line(done.stderr)
    assert home.nothing_left()


@pytest.mark.parametrize("more", [(), ("--queenless",)])
@pytest.mark.parametrize(
    ("args", "code"),
    [
        (("echo:x", "hi", "--temperature", "9"), 2),
        (("echo:x", "hi", "--raw", "--system", "s"), 2),
        (("echo:x", " "), 1),
        ((" ", "hi"), 1),
        (("echo:x", "hi", "--worker", "nobody"), 1),
        (("nobody/has:it", "hi"), 1),
    ],
)
def test_wrong_questions_are_one_line(shared_colony, args, code, more):
    done = shared_colony.cli("infer", *args, *more)
    assert (done.returncode, done.stdout) == (code, "")
    one_line(done.stderr)


def test_a_prompt_of_binary_junk_is_one_line(shared_colony, tmp_path):
    import subprocess

    done = subprocess.run(
        shared_colony.argv("infer", "echo:x"),
        input=b"\xff\xfe\x00junk",
        capture_output=True,
        env=shared_colony.environment,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert "UTF-8" in one_line(done.stderr.decode())


def test_without_a_queen_a_worker_that_the_registry_names_answers(make_site):
    site = make_site()
    site.registry.start()
    workers = [site.worker_by_hand(name, "echo:q", registry_url=site.registry.url).start() for name in ("a", "b")]
    first = site.machines["first"]
    first.settings["registry.url"] = site.registry.url
    eventually(lambda: {("worker", "a"), ("worker", "b")} <= set(site.components()))
    done = first.cli("infer", "echo:q", "good morning", "--queenless", "--system", "s")
    assert (done.returncode, done.stdout) == (0, "good morning\n"), done.stderr
    named = first.cli("infer", "echo:q", "x", "--queenless", "--worker", "b", "--json")
    assert json.loads(named.stdout)["worker_id"] == "b"
    # One that does not answer is skipped, also while the registry still lists it.
    workers[0].kill9()
    told = json.loads(first.cli("infer", "echo:q", "x y", "--queenless", "--json").stdout)
    assert (told["text"], told["worker_id"]) == ("x y", "b")
    # The registry goes away: what it said last is still good.
    site.registry.stop()
    done = first.cli("infer", "echo:q", "still here", "--queenless")
    assert (done.returncode, done.stdout) == (0, "still here\n"), done.stderr
    assert "The registry is away" in done.stderr
    workers[1].stop()
    done = first.cli("infer", "echo:q", "x", "--queenless")
    assert done.returncode == 1
    one_line(done.stderr)


def test_the_freer_worker_answers_and_ctrl_c_frees_the_slot(make_site):
    site = make_site({"worker.slots": "1"})
    site.registry.start()
    model = "echo:long?delay_ms=50&tokens=2000"
    workers = {name: site.worker_by_hand(name, model, registry_url=site.registry.url).start() for name in ("a", "b")}
    first = site.machines["first"]
    first.settings["registry.url"] = site.registry.url
    eventually(lambda: {("worker", "a"), ("worker", "b")} <= set(site.components()))

    def free(name):
        return site.worker_info({"url": workers[name].url})["slots_available"]

    with first.start("infer", model, "word", "--queenless", "--worker", "a") as busy:
        eventually(lambda: "word" in busy.stdout, 30)
        assert (free("a"), free("b")) == (0, 1)
        told = json.loads(first.cli("infer", model, "word", "--queenless", "--max-tokens", "2", "--json").stdout)
        assert told["worker_id"] == "b"
        busy.interrupt()
        assert busy.wait() == 130
    eventually(lambda: free("a") == 1, 5)
