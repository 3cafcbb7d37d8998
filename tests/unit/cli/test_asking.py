from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any
from unittest.mock import Mock

import pytest
from rbee.cli import asking
from rbee.clients import Credentials
from rbee.contract.errors import UnreachableError
from rbee.contract.wire import JobEvent

NOWHERE = "http://127.0.0.1:9"


def event(kind: str, **more: Any) -> JobEvent:
    return JobEvent(type=kind, job_id="j", emitted_at_ms=1, **more)


def telling(monkeypatch: pytest.MonkeyPatch, *events: JobEvent) -> None:
    @contextlib.asynccontextmanager
    async def started(*_: Any) -> AsyncIterator[AsyncIterator[JobEvent]]:
        async def told() -> AsyncIterator[JobEvent]:
            for one in events:
                yield one

        yield told()

    monkeypatch.setattr(asking, "started", started)


async def test_somebody_else_who_does_not_answer_is_not_told_as_the_colonys_end(monkeypatch) -> None:
    telling(monkeypatch, event("error", code="UNREACHABLE", message="The hub does not answer."))
    with pytest.raises(UnreachableError) as told:
        await asking.ask(NOWHERE, Credentials("t"), {}, Mock(), Mock())
    assert told.value.message == "The hub does not answer."


async def test_a_queen_who_does_not_answer_may_have_been_stopped() -> None:
    with pytest.raises(UnreachableError, match="may have been stopped; `rbee status` tells"):
        await asking.ask(NOWHERE, Credentials("t"), {}, Mock(), Mock())


async def test_an_answer_is_its_pieces_and_what_is_told_of_it(monkeypatch) -> None:
    telling(
        monkeypatch,
        event("data", action="token", payload={"t": "a"}),
        event("data", action="token", payload={"t": "b"}),
        event("data", action="result", payload={"tokens_out": 2}),
        event("done"),
    )
    answer = await asking.ask(NOWHERE, Credentials("t"), {}, Mock(), Mock())
    assert (answer.text, answer.tokens) == ("ab", 2)
