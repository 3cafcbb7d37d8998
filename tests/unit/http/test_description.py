"""What a program says of its routes, and whether it keeps to it: asked by Schemathesis, over HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis.errors import Unsatisfiable
from rbee.contract.version import __version__
from rbee.doors import DOOR_ROUTES
from rbee.http.front import OPENAI_POSTS, access_of
from rbee.http.guard import Access
from rbee.http.openapi import PATH
from rbee.settings import Settings
from schemathesis import GenerationMode
from schemathesis.checks import (
    content_type_conformance,
    negative_data_rejection,
    not_a_server_error,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.core.failures import FailureGroup
from unit.programs import TOKEN, Program, Programs

pytestmark = [
    pytest.mark.filterwarnings("ignore::litestar.exceptions.LitestarDeprecationWarning"),
    # The programs answer in other threads of this process: what one of their libraries draws from `random` while a
    # case is drawn looks to Hypothesis like a strategy's own doing.
    pytest.mark.filterwarnings("ignore:Do not use the `random` module:hypothesis.errors.HypothesisDeprecationWarning"),
]

PATIENCE_S = 20.0
EXAMPLES = 5
DOOR_PATHS = {path for _, path in DOOR_ROUTES}
KEPT = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
NOT_ASKED = {"/v1/heartbeats/stream", "/v1/registry/events", "/v1/jobs/{job_id}/stream", "/v1/shutdown"}
"""They end when the program does, or end it."""


@pytest.fixture
async def programs(tmp_path: Path) -> AsyncIterator[Programs]:
    made = Programs(tmp_path, Settings())
    yield made
    await made.close()


async def start(programs: Programs, name: str) -> Program:
    return await {"queen": programs.queen, "hive": programs.hive, "registry": programs.registry}[name]()


def described(url: str) -> dict[str, Any]:
    answer = requests.get(url + PATH, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=PATIENCE_S)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    return answer.json()


def asking(url: str, session: requests.Session, checks: list[Any]) -> Callable[..., None]:
    def ask(case: schemathesis.Case) -> None:
        answer = case.call(base_url=url, session=session, timeout=PATIENCE_S)
        case.validate_response(answer, checks=checks)
        assert b"Traceback" not in answer.content

    return ask


def faults(url: str, document: dict[str, Any]) -> list[str]:
    """What does not keep to the document, asked with good and with bad data."""
    found = []
    schema = schemathesis.openapi.from_dict(document)
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {TOKEN}"
    asked = hypothesis_settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    for one in schema.get_all_operations():
        operation = one.ok()
        if operation.path in NOT_ASKED:
            continue
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            checks = KEPT if mode is GenerationMode.POSITIVE else [*KEPT, negative_data_rejection]

            try:
                asked(given(case=operation.as_strategy(generation_mode=mode))(asking(url, session, checks)))()
            except Unsatisfiable:
                # It takes nothing that could be bad.
                assert mode is GenerationMode.NEGATIVE, operation.label
            except (Exception, FailureGroup) as error:
                notes = getattr(error, "__notes__", [])
                found.append(f"{operation.label} {mode.value}: {error!r} {error} {notes}")
    return found


@pytest.mark.parametrize("name", ["queen", "hive", "registry"])
async def test_a_program_keeps_to_what_it_says_of_its_routes(programs: Programs, name: str) -> None:
    program = await start(programs, name)
    document = await asyncio.to_thread(described, program.url)
    assert await asyncio.to_thread(faults, program.url, document) == []


@pytest.mark.parametrize("name", ["queen", "hive", "registry"])
async def test_the_description_is_complete_and_honest(programs: Programs, name: str) -> None:
    program = await start(programs, name)
    document = await asyncio.to_thread(described, program.url)
    assert document["info"] == {"title": f"rbee {name}", "version": __version__, "description": ANY}
    operations = {
        f"{method.upper()} {path}": operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }
    served = {
        f"{method} {route.path_format}"
        for route in program._app._app.routes
        for method in route.methods - {"OPTIONS", "HEAD"}
    }
    if name == "queen":
        served |= {f"POST {path}" for path in OPENAI_POSTS} | {f"{method} {path}" for method, path in DOOR_ROUTES}
    assert set(operations) == served
    for label, operation in operations.items():
        path = label.partition(" ")[2]
        asks_nothing = {} in operation["security"]
        assert asks_nothing is (path in DOOR_PATHS or access_of(path) is not Access.CONTROL), label
        assert {"4XX", "5XX"} <= set(operation["responses"]), label
    assert json.dumps(document).count("Validation Exception") == 0


async def test_the_description_asks_for_the_token(programs: Programs) -> None:
    queen = await programs.queen()
    answer = await asyncio.to_thread(requests.get, queen.url + PATH, timeout=PATIENCE_S)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "INVALID_API_KEY")
