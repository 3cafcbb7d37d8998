"""``GET /metrics`` of a real queen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families
from rbee.clients import Credentials
from rbee.contract.wire import WorkerBeat
from rbee.gateway import Outcome
from rbee.http.guard import Guard
from rbee.plugins import load_plugins
from rbee.queen import QueenService
from rbee.queen import make_app as queen_app
from rbee.queen.wanted import Wanted
from rbee.settings import Folders, Settings
from unit.observability.building import record
from unit.programs import TOKEN, Program, Programs

pytestmark = pytest.mark.filterwarnings("ignore::litestar.exceptions.LitestarDeprecationWarning")
WITH_TOKEN = {"authorization": f"Bearer {TOKEN}"}


@pytest.fixture
async def programs(tmp_path: Path) -> AsyncIterator[Programs]:
    made = Programs(tmp_path, Settings())
    yield made
    await made.close()


async def test_metrics_are_for_who_has_the_token(programs: Programs) -> None:
    queen = await programs.queen()
    queen.service.request_finished(record())
    async with httpx2.AsyncClient(base_url=queen.url) as client:
        refused = await client.get("/metrics")
        answer = await client.get("/metrics", headers=WITH_TOKEN)
    assert refused.status_code == 401
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    assert families["rbee:prompt_tokens"].samples[0].value == 7
    assert families["rbee:time_to_first_token_seconds"].type == "histogram"
    assert "process_resident_memory_bytes" in families


async def test_who_takes_openmetrics_gets_it(programs: Programs) -> None:
    queen = await programs.queen()
    accept = {**WITH_TOKEN, "accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"}
    async with httpx2.AsyncClient(base_url=queen.url, headers=accept) as client:
        answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert answer.text.endswith("# EOF\n")


async def test_metrics_may_be_left_open_and_nothing_else_is(programs: Programs, tmp_path: Path) -> None:
    folders = Folders.locate({"RBEE_HOME": str(tmp_path / "open")})
    folders.make()
    guard = Guard(token=TOKEN, host="127.0.0.1")
    queen = await programs.add(
        Program(
            lambda url: QueenService(
                msgspec.structs.replace(Settings()), folders, load_plugins(""), url, Credentials(TOKEN), None
            ),
            lambda service: queen_app(service, guard, 2**20, open_metrics=True),
        )
    )
    async with httpx2.AsyncClient(base_url=queen.url) as client:
        assert (await client.get("/metrics")).status_code == 200
        assert (await client.get("/v1/info")).status_code == 401


async def test_requests_that_run_and_that_wait_are_told_by_model_while_they_do(programs: Programs) -> None:
    queen = await programs.queen()
    service = queen.service
    service.telemetry.beat_worker(
        WorkerBeat(id="w", model_id="m", device="CPU-0", port=1, status="ready", implementation="e", version=None,
                   slots_total=1, slots_available=1)
    )  # fmt: skip

    async def told(client: httpx2.AsyncClient) -> dict[str, float]:
        text = (await client.get("/metrics")).text
        return {
            sample.name.removeprefix("rbee:num_requests_"): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name.startswith("rbee:num_requests_") and sample.labels == {"model_name": "m"}
        }

    async with httpx2.AsyncClient(base_url=queen.url, headers=WITH_TOKEN) as client:
        assert await told(client) == {"running": 0, "waiting": 0}
        queued = asyncio.Event()
        first = await service.dispatcher.place(Wanted(model="m", trusted=True))
        second = asyncio.create_task(
            service.dispatcher.place(Wanted(model="m", trusted=True, on_wait=lambda _: queued.set()))
        )
        async with asyncio.timeout(10):
            await queued.wait()
            assert await told(client) == {"running": 1, "waiting": 1}
            first.finish(Outcome(reached=True))
            lease = await second
        assert await told(client) == {"running": 1, "waiting": 0}
        lease.finish(Outcome(reached=True))
        assert await told(client) == {"running": 0, "waiting": 0}
