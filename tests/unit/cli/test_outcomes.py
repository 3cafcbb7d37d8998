"""One operation on several hives, as commands tell what became of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rbee.cli.context import Context
from rbee.cli.main import cli
from rbee.contract.errors import NotFoundError, RbeeError
from unit.cli.scripted import Script, ScriptedQueen

MISSING = {"type": "error", "code": "MODEL_NOT_FOUND", "message": "There is no demo."}
BROKEN = {"type": "error", "code": "INTERNAL", "message": "It broke."}
MODEL = dict.fromkeys(("quantization", "revision", "size_bytes", "path", "context_length", "added_at")) | {
    "model_id": "demo:m",
    "name": "demo",
    "vendor": "demo",
    "format": "gguf",
    "state": "available",
    "in_place": False,
    "workers": [],
}


def gives(payload: Any) -> Script:
    return Script({"type": "data", "action": "result", "payload": payload}, {"type": "done"})


def deleted(*, there: bool) -> Script:
    return gives({"model_id": "demo:m", "deleted": there, "freed_bytes": 5, "path": None, "stopped": []})


@pytest.fixture
def run(queen: ScriptedQueen, context: Context) -> Any:

    def command(scripts: dict[str, Script], *arguments: str) -> Result:
        queen.scripts = scripts
        queen.hives = dict.fromkeys(scripts, True)
        return CliRunner().invoke(cli, ["--set", f"queen.url={queen.url}", *arguments])

    return command


def failed(done: Result) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(done.stdout)["failed"]
    return found


@pytest.mark.parametrize(
    ("command", "payload"),
    [
        (("model", "ls"), {"models": []}),
        (("worker", "list"), {"workers": []}),
        (("worker", "available"), {"workers": []}),
    ],
)
def test_as_json_a_list_tells_which_hives_could_not(run: Any, command: Sequence[str], payload: Any) -> None:
    done = run({"a": gives(payload), "b": Script(BROKEN)}, *command, "--json")
    assert failed(done) == [{"hive_id": "b", "code": "INTERNAL", "message": "It broke."}]
    assert isinstance(done.exception, RbeeError)


def test_vendors_that_could_not_tell_are_listed_likewise(run: Any) -> None:
    done = run({"a": gives({"workers": [], "failed": {"shop": "closed"}})}, "worker", "list", "--json")
    assert failed(done) == [{"hive_id": "a", "vendor": "shop", "message": "closed"}]
    assert done.exit_code == 0


def test_of_all_hives_those_that_have_it_delete_it_and_the_others_are_no_failure(
    run: Any, queen: ScriptedQueen
) -> None:
    scripts = {"a": deleted(there=True), "b": deleted(there=False), "c": Script(MISSING)}
    done = run(scripts, "model", "rm", "demo", "--all-hives")
    assert (done.exit_code, done.exception) == (0, None)
    assert "b: demo: it was not there." in done.stderr
    assert all(body["missing_ok"] for body in queen.asked)


def test_where_no_hive_has_it_that_is_a_failure(run: Any) -> None:
    for scripts in ({"a": deleted(there=False), "b": Script(MISSING)}, {"a": deleted(there=False)}):
        done = run(scripts, "model", "rm", "demo", "--all-hives")
        assert isinstance(done.exception, NotFoundError)
        assert "No hive that is online has the model 'demo'" in done.exception.message


def test_a_hive_that_fails_otherwise_is_a_failure(run: Any) -> None:
    done = run({"a": deleted(there=True), "b": Script(BROKEN)}, "model", "rm", "demo", "--all-hives")
    assert isinstance(done.exception, RbeeError)
    assert "1 of 2 failed: hive b" in done.exception.message


def test_a_hive_that_is_named_has_to_have_it(run: Any, queen: ScriptedQueen) -> None:
    done = run({"a": Script(MISSING)}, "model", "rm", "demo", "--hive", "a")
    assert isinstance(done.exception, NotFoundError)
    assert done.exception.message == "There is no demo."
    assert "missing_ok" not in queen.asked[0]


def test_a_model_is_shown_where_it_is(run: Any) -> None:
    done = run({"a": gives(MODEL), "b": Script(MISSING)}, "model", "show", "demo", "--all-hives")
    assert (done.exit_code, done.exception) == (0, None)
    assert "hive          a" in done.stdout
    nowhere = run({"a": Script(MISSING), "b": Script(MISSING)}, "model", "show", "demo", "--all-hives")
    assert isinstance(nowhere.exception, NotFoundError)


OFFER = {"worker": "mill", "vendor": "shop", "installed": True, "version": "1"}


def test_an_engine_is_installed_and_removed_on_every_hive(run: Any) -> None:
    lame = {**OFFER, "available": False, "reason": "no leg"}
    done = run({"a": gives(OFFER), "b": gives(lame)}, "worker", "install", "mill", "--all-hives")
    assert done.stderr.splitlines() == [
        "a: mill 1 is installed (shop)",
        "b: mill 1 is installed (shop), and cannot be used: no leg",
    ]
    gone = run({"a": gives(OFFER)}, "worker", "remove", "mill", "--json")
    (told,) = json.loads(gone.stdout)
    assert (told["hive_id"], told["worker"], told["failed"]) == ("a", "mill", None)
