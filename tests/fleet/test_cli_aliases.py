"""`rbee model alias`: set, listed, used and forgotten."""

import json

import pytest
from fleet.conftest import one_line, sdk, user


def test_an_alias_is_valid_wherever_a_model_is_named(shared_colony):
    done = shared_colony.cli("model", "alias", "quick", "echo:aliased")
    assert done.returncode == 0, done.stderr
    assert "quick stands for echo:aliased" in done.stderr
    assert shared_colony.cli("model", "alias", "quick").stdout == "echo:aliased\n"
    assert "quick" in shared_colony.cli("model", "alias").stdout
    listed = json.loads(shared_colony.cli("model", "alias", "--json").stdout)["aliases"]
    assert ("quick", "echo:aliased") in {(one["name"], one["model"]) for one in listed}

    assert shared_colony.cli("infer", "quick", "one two").stdout == "one two\n"
    with sdk(shared_colony) as client:
        answer = client.chat.completions.create(model="quick", messages=user("three four"))
        assert answer.choices[0].message.content == "three four"
        (model,) = [one for one in client.models.list() if one.id == "quick"]
        assert model.rbee["alias_of"] == "echo:aliased"
        assert model.rbee["state"] == "loaded"
    spawned = shared_colony.cli("worker", "spawn", "quick")
    assert spawned.returncode == 0, spawned.stderr
    served = {one["worker_id"]: one["model_id"] for one in shared_colony.workers()}
    assert served[spawned.stdout.strip()] == "echo:aliased"

    gone = shared_colony.cli("model", "alias", "quick", "--remove", "--json")
    assert json.loads(gone.stdout) == {"removed": ["quick"]}
    assert shared_colony.cli("infer", "quick", "one two").returncode == 1


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("nobody",), 1, "There is no alias 'nobody'"),
        (("nobody", "--remove"), 1, "There is no alias 'nobody'"),
        (("a/b", "echo"), 1, "'a/b' is no alias"),
        (("..", "echo"), 1, "'..' is no alias"),
        (("demo", "org/repo"), 1, "a model of the vendor 'demo' already"),
        (("x", "org/repo@:Q4"), 1, "did you mean 'org/repo:Q4'?"),
        (("--remove",), 2, "--remove takes the NAME"),
        (("x", "echo", "--remove"), 2, "--remove takes the NAME"),
        (("", "echo"), 2, "it is empty"),
    ],
)
def test_what_cannot_be_is_one_line(shared_colony, arguments, code, told):
    done = shared_colony.cli("model", "alias", *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert told in one_line(done.stderr)


def test_without_a_colony_one_is_started_for_the_occasion_and_the_alias_stays(home):
    assert home.cli("model", "alias", "mine", "./m.gguf").returncode == 0
    shown = home.cli("model", "alias", "mine")
    assert shown.stdout.startswith("/")
    assert shown.stdout.endswith("/m.gguf\n")
    assert home.nothing_left(within=5.0)
