"""`rbee job`: what a person sees of the queen's jobs."""

import json

import pytest
from fleet.conftest import one_line
from fleet.terminal import Terminal
from rbee.testing.colony import eventually

SLOW = {"model": "echo:slowjob?delay_ms=50&tokens=2000", "prompt": "word"}


def state(colony, job):
    return json.loads(colony.cli("job", "show", job, "--json").stdout)["state"]


def running(colony, **fields):
    job = colony.submit("infer", **{**SLOW, **fields})
    for _, event in colony.events(job):
        if event.get("action") == "token":
            return job
    raise AssertionError("no token")


def test_jobs_are_listed_newest_first_and_by_state(shared_colony):
    first = shared_colony.run_job("infer", model="echo:jobs", prompt="a")["job_id"]
    second = shared_colony.run_job("infer", model="echo:jobs?fail=load", prompt="a")["job_id"]
    listed = [one["job_id"] for one in json.loads(shared_colony.cli("job", "ls", "--json").stdout)["jobs"]]
    assert listed.index(second) < listed.index(first)
    failed = json.loads(shared_colony.cli("job", "ls", "--state", "failed", "--json").stdout)["jobs"]
    assert second in {one["job_id"] for one in failed}
    assert {one["state"] for one in failed} == {"failed"}
    assert len(json.loads(shared_colony.cli("job", "ls", "--limit", "1", "--json").stdout)["jobs"]) == 1
    table = shared_colony.cli("job", "ls").stdout
    assert first in table
    assert "infer" in table


def test_a_job_is_shown_without_its_prompt(shared_colony):
    job = shared_colony.run_job("infer", model="echo:jobs", prompt="a-secret-prompt")["job_id"]
    shown = shared_colony.cli("job", "show", job[4:14]).stdout
    assert "completed" in shown
    assert job in shown
    assert "a-secret-prompt" not in shown


def test_watching_shows_the_text_and_ends_with_the_job(shared_colony):
    job = shared_colony.submit("infer", model="echo:watched", prompt="one two three")
    done = shared_colony.cli("job", "watch", job)
    assert done.returncode == 0, done.stderr
    assert "one two three\n" in done.stdout
    assert "answers" in done.stdout


def test_watching_as_json_can_begin_behind_any_event(shared_colony):
    job = shared_colony.submit("infer", model="echo:watched", prompt="one two three")
    lines = shared_colony.cli("job", "watch", job, "--json").stdout.splitlines()
    events = [json.loads(line) for line in lines]
    assert [one["seq"] for one in events] == list(range(1, len(events) + 1))
    assert events[-1]["type"] == "done"
    assert shared_colony.cli("job", "watch", job, "--json", "--after", "2").stdout.splitlines() == lines[2:]


def test_watching_from_behind_the_last_event_says_how_it_ended(shared_colony):
    job = shared_colony.submit("status")
    assert shared_colony.cli("job", "watch", job).returncode == 0
    assert shared_colony.cli("job", "watch", job, "--after", "999").returncode == 0
    failing = shared_colony.submit("model_get", model="nothing:here")
    assert shared_colony.cli("job", "watch", failing).returncode == 1
    late = shared_colony.cli("job", "watch", failing, "--after", "999")
    assert late.returncode == 1
    assert "nothing:here" in late.stderr


def test_a_failed_job_ends_the_watching_with_its_reason(shared_colony):
    job = shared_colony.submit("infer", model="echo:no?fail=load", prompt="a")
    done = shared_colony.cli("job", "watch", job)
    assert done.returncode == 1
    assert "fail=load" in one_line(done.stderr)


def test_a_cancelled_job_ends_the_watching_with_130(shared_colony):
    job = running(shared_colony)
    with shared_colony.start("job", "watch", job) as watching:
        eventually(lambda: "word" in watching.stdout, 30)
        done = shared_colony.cli("job", "cancel", job)
        assert done.returncode == 0, done.stderr
        assert "asked to end" in done.stderr
        assert watching.wait() == 130
        assert "was cancelled" in watching.stderr
    assert state(shared_colony, job) == "cancelled"
    again = shared_colony.cli("job", "cancel", job, "--json")
    assert json.loads(again.stdout) == {"job_id": job, "cancelling": False}


def test_ctrl_c_on_a_terminal_ends_the_watching_and_not_the_job(shared_colony):
    job = running(shared_colony)
    watching = Terminal(shared_colony, "job", "watch", job, kind="xterm", columns=120)
    try:
        watching.expect("word word")
        watching.type("\x03")
        watching.expect("The job goes on")
        assert watching.process.wait(20) == 130
        assert state(shared_colony, job) == "running"
    finally:
        watching.close()
        shared_colony.cli("job", "cancel", job)


def test_watching_goes_on_when_the_queen_has_been_away(colony):
    job = colony.submit("infer", model="echo:away?delay_ms=50&tokens=4000", prompt="word")
    with colony.start("job", "watch", job) as watching:
        eventually(lambda: "word" in watching.stdout, 30)
        colony.kill9()
        eventually(lambda: "The queen is away" in watching.stderr, 20)
        colony.start_up()
        # What was under way is resumed or has failed with a reason; either way the watcher hears of the end.
        eventually(lambda: colony.cli("job", "cancel", job).returncode == 0, 20)
        assert watching.wait() in {1, 130}
        assert "Traceback" not in watching.stderr


@pytest.mark.parametrize("command", ["show", "watch", "cancel"])
@pytest.mark.parametrize("name", ["nothing", "job-00000000-0000-0000-0000-000000000000", "\udcff", "../x", ""])
def test_an_unknown_job_is_one_line(shared_colony, command, name):
    done = shared_colony.cli("job", command, name)
    assert (done.returncode, done.stdout) == (1, "")
    one_line(done.stderr)


def test_a_beginning_of_several_is_not_enough(shared_colony):
    for _ in range(2):
        shared_colony.run_job("infer", model="echo:jobs", prompt="a")
    done = shared_colony.cli("job", "show", "job-")
    assert done.returncode == 1
    assert "may mean" in one_line(done.stderr)


@pytest.mark.parametrize(
    "args", [("ls", "--state", "odd"), ("ls", "--limit", "0"), ("watch", "x", "--after", "-1"), ("show",)]
)
def test_wrong_options_are_wrong_usage(home, args):
    done = home.cli("job", *args)
    assert done.returncode == 2
    one_line(done.stderr)


@pytest.mark.parametrize("args", [("ls",), ("show", "x"), ("watch", "x"), ("cancel", "x")])
def test_without_a_colony_it_says_so(home, args):
    done = home.cli("job", *args)
    assert (done.returncode, done.stdout) == (3, "")
    one_line(done.stderr)
