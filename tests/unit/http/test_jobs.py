"""The routes of jobs, at a real queen."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from rbee.settings.model import Settings
from unit.programs import TOKEN, Programs

# Said of every handler of ours; the pinned Litestar still does what it says will change.
pytestmark = pytest.mark.filterwarnings("ignore::litestar.exceptions.LitestarDeprecationWarning")


@pytest.fixture
async def queen(tmp_path: Path) -> AsyncIterator[httpx2.AsyncClient]:
    programs = Programs(tmp_path, Settings())
    program = await programs.queen()
    headers = {"authorization": f"Bearer {TOKEN}"}
    async with httpx2.AsyncClient(base_url=program.url, headers=headers, trust_env=False) as client:
        yield client
    await programs.close()


@pytest.mark.parametrize(
    ("body", "ending"),
    [({"operation": "status"}, "[DONE]"), ({"operation": "model_list", "hive_id": "x"}, "[ERROR] Hive 'x' is not")],
)
async def test_whoever_comes_back_after_the_last_event_hears_of_the_same_end(
    queen: httpx2.AsyncClient, body: dict[str, str], ending: str
) -> None:
    path = (await queen.post("/v1/jobs", json=body)).json()["sse_url"]
    whole = (await queen.get(path)).text
    last = [line.removeprefix("id: ") for line in whole.splitlines() if line.startswith("id: ")][-1]
    assert whole.strip().splitlines()[-1].startswith(f"data: {ending}")
    again = (await queen.get(path, headers={"last-event-id": last})).text
    assert again.strip() == whole.strip().splitlines()[-1]


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/hive/ready", "/v1/workers/update"])
async def test_a_body_that_is_missing_is_asked_for(queen: httpx2.AsyncClient, path: str) -> None:
    answer = await queen.post(path)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == f"POST {path} needs a body: a JSON object."
