"""Options of engines and models that rank, through a whole colony."""

from __future__ import annotations

import json
from importlib.resources import as_file, files
from pathlib import Path

import psutil
import pytest
from fleet.conftest import SELF, one_line, user
from rbee.testing.colony import Colony, eventually
from rbee.testing.ggufs import adapter, reranker


@pytest.fixture
def tiny() -> Path:
    with as_file(files("rbee_demo").joinpath("data", "rbee-tiny-q8_0.gguf")) as path:
        return path


def spawn(colony: Colony, *args: str) -> str:
    done = colony.cli("worker", "spawn", *args)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_documents_are_ranked_by_way_of_the_queen(roomy_colony: Colony, tiny: Path, tmp_path: Path) -> None:
    model = str(reranker(tiny, tmp_path / "ranks.gguf"))
    spawn(roomy_colony, model)
    documents = ["Python is a language.", "The weather in Paris is fine.", "x"]
    http = roomy_colony.http
    told = http.post(
        f"{roomy_colony.queen_url}/v1/rerank", json={"model": model, "query": "What is Python?", "documents": documents}
    )
    assert told.status_code == 200, told.text
    results = told.json()["results"]
    assert sorted(one["index"] for one in results) == [0, 1, 2]
    scores = [one["relevance_score"] for one in results]
    assert scores == sorted(scores, reverse=True)
    refused = http.post(
        f"{roomy_colony.queen_url}/v1/chat/completions", json={"model": model, "messages": user(SELF[0])}
    )
    assert refused.status_code == 400


def test_options_reach_the_worker_and_what_it_does(roomy_colony: Colony, tiny: Path, tmp_path: Path) -> None:
    bent = f"{adapter(tiny, tmp_path / 'bent.gguf')}:1"
    worker_id = spawn(roomy_colony, str(tiny), "--option", f"lora={bent}", "--option", "ngram_draft=yes")
    (worker,) = [one for one in roomy_colony.workers() if one["worker_id"] == worker_id]
    pid = worker["pid"] or eventually(lambda: roomy_colony.workers()[0]["pid"])
    (given,) = [word for word in psutil.Process(pid).cmdline() if word.startswith("--options=")]
    options = json.loads(given.removeprefix("--options="))
    assert options == {"lora": bent, "ngram_draft": True, "session_cache_mb": 0}
    body = {"model": str(tiny), "messages": user(SELF[0]), "temperature": 0, "max_tokens": 40}
    texts = []
    for more in ({}, {"lora": [{"id": 0, "scale": 0}]}):
        told = roomy_colony.http.post(f"{roomy_colony.queen_url}/v1/chat/completions", json=body | more)
        texts.append(told.json()["choices"][0]["message"]["content"])
    said, plain = texts
    assert (said != SELF[1], plain) == (True, SELF[1])


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("cache_gb=5", "no option 'cache_gb'. Its options: "),
        ("session_cache_mb=-1", "takes a whole number from 0"),
        ("ngram_draft=maybe", "takes true or false"),
    ],
)
def test_what_the_engine_does_not_take_is_one_line(shared_colony: Colony, option: str, said: str) -> None:
    done = shared_colony.cli("worker", "spawn", "demo", "--engine", "llamacpp", "--option", option)
    assert (done.returncode, done.stdout) == (1, "")
    assert said in one_line(done.stderr)


def test_engines_are_listed_with_their_options(shared_colony: Colony) -> None:
    listed = json.loads(shared_colony.cli("worker", "list", "--json").stdout)["workers"]
    (engine,) = [one for one in listed if one["worker"] == "llamacpp"]
    options = {one["name"]: one for one in engine["options"]}
    assert options["session_cache_mb"]["kind"] == "int"
    assert options["pooling"]["choices"] == ["mean", "cls", "last"]
    assert all(one["help"].endswith(".") for one in options.values())
