"""What Ollama's clients hear of models."""

from __future__ import annotations

from datetime import datetime
from unittest.mock import ANY

from rbee.contract.types import Capability, WorkerState
from rbee.contract.version import __version__
from rbee.contract.wire import utc_now
from unit.doors.scripted import Models, Scripted, visit, worker

READY = worker(context_length=4096, rss_mb=10, vram_mb=20, capabilities=(Capability.CHAT, Capability.TOOLS))
LOADING = worker("tiny", state=WorkerState.LOADING)
COLONY = Models(READY, LOADING)


async def test_models_are_listed_by_the_names_to_ask_for() -> None:
    told = (await visit(Scripted(), "/api/tags", method="GET", models=COLONY)).json
    assert [(one["name"], one["model"]) for one in told["models"]] == [("demo", "demo"), ("tiny", "tiny")]


async def test_what_runs_is_what_workers_have_loaded() -> None:
    told = (await visit(Scripted(), "/api/ps", method="GET", models=COLONY)).json
    mib = 1024 * 1024
    assert told["models"] == [
        {
            "name": "demo",
            "model": "demo",
            "details": {},
            "size": 30 * mib,
            "size_vram": 20 * mib,
            "context_length": 4096,
            "expires_at": ANY,
        }
    ]


async def test_it_is_told_until_when_a_model_is_kept() -> None:
    soon, later = worker(unloads_in_s=5.0), worker("tiny", unloads_in_s=None, state=WorkerState.READY)
    told = (await visit(Scripted(), "/api/ps", method="GET", models=Models(soon, later))).json
    first, second = (datetime.fromisoformat(one["expires_at"]) for one in told["models"])
    assert 0 < (first - utc_now()).total_seconds() <= 5
    assert (second - utc_now()).days > 10_000


async def test_sizes_that_nobody_knows_are_left_out() -> None:
    told = (await visit(Scripted(), "/api/ps", method="GET", models=Models(worker()))).json
    assert told["models"] == [{"name": "demo", "model": "demo", "details": {}, "expires_at": ANY}]


async def test_a_model_is_shown_with_what_its_workers_tell() -> None:
    for body in ({"model": "demo"}, {"name": "demo:demo"}):
        told = (await visit(Scripted(), "/api/show", body, models=COLONY)).json
        assert told["capabilities"] == ["completion", "tools"]
        assert told["model_info"] == {"general.name": "demo", "rbee.context_length": 4096}


async def test_a_model_that_is_not_there_is_not_found() -> None:
    answer = await visit(Scripted(), "/api/show", {"model": "none"}, models=COLONY)
    assert (answer.status, list(answer.json)) == (404, ["error"])
    assert "'none'" in answer.json["error"]


async def test_a_show_without_a_model_or_with_more_is_refused_by_name() -> None:
    for body, named in (({}, "'model'"), ({"model": "demo", "system": "x"}, "'system'")):
        answer = await visit(Scripted(), "/api/show", body, models=COLONY)
        assert answer.status == 400
        assert named in answer.json["error"]


async def test_the_version_is_that_of_the_api() -> None:
    told = (await visit(Scripted(), "/api/version", method="GET")).json
    assert told["version"].count(".") == 2
    assert told["rbee"] == __version__
