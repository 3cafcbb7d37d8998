"""Short names of models over HTTP, and wherever the queen is asked for a model."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx2
import pytest
from rbee.clients import AliasesClient, Credentials, Transport
from rbee.clients.who import QUEEN
from rbee.contract import CancelToken, FetchProgress, ModelVendor
from rbee.contract.errors import (
    AuthenticationError,
    ConflictError,
    InvalidRequestError,
    ModelNotFoundError,
    NotFoundError,
)
from rbee.contract.types import ModelVariant
from rbee.contract.wire import HeldModel, WorkerBeat, WorkerHeartbeat, utc_now
from rbee.plugins import load_plugins
from rbee.settings.model import Settings
from unit.programs import TOKEN, Program, Programs

pytestmark = pytest.mark.filterwarnings("ignore::litestar.exceptions.LitestarDeprecationWarning")


TINY = ModelVariant(model_id="demo:rbee-tiny:Q8_0", name="demo", vendor="demo", format="gguf")


class OneModel(ModelVendor):
    """A vendor with one model that it knows by name."""

    name = "demo"

    def supports(self, ref: str) -> bool:
        return ref in {TINY.name, "rbee-tiny", TINY.model_id}

    def resolve(self, ref: str) -> Sequence[ModelVariant]:
        return (TINY,)

    def fetch(self, variant: ModelVariant, destination: Path, progress: FetchProgress, cancel: CancelToken) -> None:
        raise AssertionError("it has no files")

    def known(self) -> Sequence[ModelVariant]:
        return (TINY,)


@pytest.fixture
async def programs(tmp_path: Path) -> AsyncIterator[Programs]:
    made = Programs(tmp_path, Settings())
    made._plugins = load_plugins("")
    made._plugins.registrations.model_vendors.add(OneModel.name, OneModel, "a test", replace=False)
    yield made
    await made.close()


@pytest.fixture
async def queen(programs: Programs) -> Program:
    return await programs.queen()


@pytest.fixture
async def transport(queen: Program) -> AsyncIterator[Transport]:
    made = Transport(queen.url, Credentials(TOKEN), QUEEN)
    yield made
    await made.close()


@pytest.fixture
async def aliases(transport: Transport) -> AliasesClient:
    return AliasesClient(transport)


async def models(transport: Transport) -> dict[str, Any]:
    listed = await transport.call("GET", "/v1/models", dict)
    return {model["id"]: model for model in listed["data"]}


async def test_an_alias_is_set_listed_and_forgotten(aliases: AliasesClient) -> None:
    assert await aliases.list() == []
    made = await aliases.put("fast", "org/repo:Q4_K_M")
    assert (made.name, made.model) == ("fast", "org/repo:Q4_K_M")
    assert await aliases.list() == [made]
    assert await aliases.get("fast") == made
    await aliases.remove("fast")
    with pytest.raises(NotFoundError, match="no alias 'fast'"):
        await aliases.remove("fast")
    with pytest.raises(NotFoundError, match="no alias 'fast'"):
        await aliases.get("fast")


async def test_the_answer_says_whether_it_is_new(queen: Program) -> None:
    headers = {"authorization": f"Bearer {TOKEN}"}
    async with httpx2.AsyncClient(base_url=queen.url, headers=headers, trust_env=False) as client:
        answers = [await client.put("/v1/aliases/fast", json={"model": model}) for model in ("org/a", "org/b")]
        assert [answer.status_code for answer in answers] == [201, 200]
        gone = await client.delete("/v1/aliases/fast")
        assert (gone.status_code, gone.content) == (204, b"")
        assert (await client.delete("/v1/aliases/fast")).status_code == 404
        assert (await client.put("/v1/aliases/fast", json={})).status_code == 400
        assert (await client.put("/v1/aliases/fast", json={"model": ""})).status_code == 400
        slashed = await client.put("/v1/aliases/a%2Fb", json={"model": "org/a"})
        assert (slashed.status_code, slashed.json()["error"]["message"][:15]) == (400, "'a/b' is no ali")


async def test_what_cannot_be_is_refused_with_the_reason(aliases: AliasesClient) -> None:
    with pytest.raises(InvalidRequestError, match="did you mean 'org/repo:Q4'"):
        await aliases.put("fast", "org/repo@:Q4")
    with pytest.raises(InvalidRequestError, match="is no alias"):
        await aliases.put("a:b", "org/repo")
    with pytest.raises(ConflictError, match="a model of the vendor 'demo' already"):
        await aliases.put("demo", "org/repo")
    with pytest.raises(ConflictError, match="a model of the vendor 'demo' already"):
        await aliases.put("rbee-tiny", "org/repo")


async def test_the_routes_need_the_token(queen: Program) -> None:
    stranger = Transport(queen.url, Credentials(), QUEEN)
    for question in (AliasesClient(stranger).list(), AliasesClient(stranger).put("a", "org/b")):
        with pytest.raises(AuthenticationError):
            await question
    await stranger.close()


async def test_models_are_listed_by_their_aliases_too(aliases: AliasesClient, transport: Transport) -> None:
    await aliases.put("fast", "demo")
    await aliases.put("other", "org/repo")
    listed = await models(transport)
    told = listed["demo"]["rbee"]
    assert (told["model_id"], told["state"]) == ("demo:rbee-tiny:Q8_0", "available")
    assert listed["fast"] == {**listed["demo"], "id": "fast", "rbee": {**told, "alias_of": "demo"}}
    unknown = listed["other"]["rbee"]
    assert (unknown["model_id"], unknown["state"], unknown["alias_of"]) == (None, None, "org/repo")
    assert await transport.call("GET", "/v1/models/fast", dict) == listed["fast"]
    assert await transport.call("GET", "/v1/models/demo:rbee-tiny:Q8_0", dict) == listed["demo"]


async def test_an_alias_in_another_spelling_is_known_to_be_loaded(
    queen: Program, aliases: AliasesClient, transport: Transport
) -> None:
    await aliases.put("fast", "org/repo@q4_k_m")
    worker = WorkerBeat(
        id="w", model_id="hf:org/repo:Q4_K_M", device="CPU-0", port=1, status="ready", implementation="e", version=None
    )
    queen.service.reports.beat_worker(WorkerHeartbeat(worker=worker, timestamp=utc_now()))
    listed = await models(transport)
    assert listed["fast"]["rbee"]["model_id"] == "hf:org/repo:Q4_K_M"
    assert listed["fast"]["rbee"]["state"] == listed["hf:org/repo:Q4_K_M"]["rbee"]["state"]


async def test_a_name_that_a_worker_serves_is_not_hidden_by_an_alias(queen: Program, aliases: AliasesClient) -> None:
    worker = WorkerBeat(
        id="w", model_id="theirs", device="CPU-0", port=1, status="ready", implementation="e", version=None
    )
    queen.service.reports.beat_worker(WorkerHeartbeat(worker=worker, timestamp=utc_now()))
    with pytest.raises(ConflictError, match="'theirs' is a model that a worker serves already"):
        await aliases.put("theirs", "org/repo")


async def test_a_stranger_does_not_learn_where_files_lie(
    queen: Program, aliases: AliasesClient, transport: Transport
) -> None:
    def held(path: str, name: str) -> HeldModel:
        variant = ModelVariant(model_id=f"file:{path}", name=name, vendor="local", format="gguf", in_place=path)
        return HeldModel(variant=variant, key=name)

    paths = ("/home/ann/secret.gguf", "/home/ann/served.gguf")
    queen.service.catalogs.index.put("h", [*(held(path, path) for path in paths), held("/home/ann/b.gguf", "called")])
    worker = WorkerBeat(
        id="w", model_id=f"file:{paths[1]}", device="CPU-0", port=1, status="ready", implementation="e", version=None
    )
    queen.service.reports.beat_worker(WorkerHeartbeat(worker=worker, timestamp=utc_now()))
    await aliases.put("fast", paths[0])
    everything = await models(transport)
    assert {paths[0], "called", "fast"} <= everything.keys()
    assert everything["fast"]["rbee"]["alias_of"] == paths[0]
    stranger = Transport(queen.url, Credentials(), QUEEN)
    try:
        told = await models(stranger)
        # What is served can be asked for, and could not without its name.
        assert everything.keys() - told.keys() == {paths[0]}
        told.pop(next(name for name in told if "served" in name))
        assert "ann" not in json.dumps(told)
        assert (told["fast"]["rbee"]["alias_of"], told["called"]["rbee"]["model_id"]) == (None, None)
        with pytest.raises(ModelNotFoundError):
            await stranger.call("GET", f"/v1/models/{paths[0]}", dict)
    finally:
        await stranger.close()


async def test_jobs_keep_the_model_that_the_alias_stood_for(
    queen: Program, aliases: AliasesClient, transport: Transport
) -> None:
    await aliases.put("fast", "demo")
    for operation in ("model_get", "worker_spawn", "model_download", "model_delete"):
        body = {"operation": operation, "model": "fast", "hive_id": "away"}
        job = await transport.call("POST", "/v1/jobs", dict, body=body)
        stored = await queen.service.jobs._store.get(job["job_id"])
        assert json.loads(stored.request)["model"] == "demo", operation


async def test_names_are_looked_up_behind_aliases(queen: Program, aliases: AliasesClient) -> None:
    await aliases.put("fast", "demo")
    found = await queen.service.names.resolve("fast", trusted=False)
    assert found.model_ids == ("demo:rbee-tiny:Q8_0",)
    await aliases.remove("fast")
    with pytest.raises(ModelNotFoundError):
        await queen.service.names.resolve("fast", trusted=False)


async def test_aliases_are_there_again_after_a_restart(tmp_path: Path, programs: Programs) -> None:
    home = programs._folders()
    programs._folders = lambda: home
    first = await programs.queen()
    await first.service.aliases.put("fast", "org/repo")
    await programs.stop(first)
    second = await programs.queen()
    assert second.service.aliases.target("fast") == "org/repo"
