"""Fetching to several hives: who begins, who waits, what is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from rbee.cli.outcomes import raise_failures
from rbee.cli.pulling import pull, told
from rbee.cli.transfers import Transfers
from rbee.clients import Credentials, Transport
from rbee.clients.who import QUEEN
from rbee.contract.errors import RbeeError
from rbee.contract.wire import ModelDownloaded
from unit.cli.scripted import Script, ScriptedQueen

RESULT = {"model_id": "demo:m", "path": "/m", "size_bytes": 5, "already": False}
PROGRESS = {"type": "progress", "action": "model_download", "done": 1, "total": 5, "unit": "bytes"}
CAME = ({"type": "data", "action": "result", "payload": RESULT}, {"type": "done"})
FAILED = {"type": "error", "code": "MODEL_NOT_FOUND", "message": "There is no demo."}


@pytest.fixture
async def transport(queen: ScriptedQueen) -> AsyncIterator[Transport]:
    found = Transport(queen.url, Credentials(), QUEEN)
    yield found
    await found.close()


async def test_the_others_begin_when_the_first_has_something(queen: ScriptedQueen, transport: Transport) -> None:
    first = Script({"type": "narration", "human": "Fetching"}, then=(PROGRESS, *CAME))
    queen.scripts = {"a": first, "b": Script(*CAME), "c": Script(*CAME)}
    pulling = asyncio.create_task(pull(transport, "demo", ["a", "b", "c"], Transfers()))
    await asyncio.to_thread(first.followed.wait, 10)
    assert queen.asked_hives() == ["a"]
    first.gate.set()
    found = await pulling
    assert sorted(queen.asked_hives()) == ["a", "b", "c"]
    assert [(one.hive_id, one.error) for one in found] == [("a", None), ("b", None), ("c", None)]
    assert all(body["model"] == "demo" and "from_hive" not in body for body in queen.asked)


async def test_the_others_begin_while_the_first_is_under_way(queen: ScriptedQueen, transport: Transport) -> None:
    first = Script(PROGRESS, then=CAME)
    queen.scripts = {"a": first, "b": Script(*CAME)}
    pulling = asyncio.create_task(pull(transport, "demo", ["a", "b"], Transfers()))
    await asyncio.to_thread(queen.await_asked, 2)
    assert not pulling.done()
    first.gate.set()
    assert len(await pulling) == 2


async def test_one_that_fails_leaves_the_others_alone_and_all_is_told(
    queen: ScriptedQueen, transport: Transport, capsys: pytest.CaptureFixture[str]
) -> None:
    queen.scripts = {"a": Script(FAILED), "b": Script(*CAME), "c": Script(FAILED)}
    found = await pull(transport, "demo", ["a", "b", "c"], Transfers())
    assert [one.error is None for one in found] == [False, True, False]
    with pytest.raises(RbeeError, match="2 of 3 failed: demo on hive a, demo on hive c"):
        raise_failures(found)
    assert "demo on hive a: There is no demo." in capsys.readouterr().err.splitlines()
    assert found[0].told(model="demo") == {
        "hive_id": "a",
        "model": "demo",
        "failed": {"code": "MODEL_NOT_FOUND", "message": "There is no demo."},
    }
    assert found[1].told(model="demo").items() >= {**RESULT, "hive_id": "b", "failed": None}.items()


async def test_one_alone_raises_what_it_failed_with(queen: ScriptedQueen, transport: Transport) -> None:
    queen.scripts = {"a": Script(FAILED)}
    with pytest.raises(RbeeError, match=r"^There is no demo\.$"):
        raise_failures(await pull(transport, "demo", ["a"], Transfers()))


async def test_interrupted_every_job_is_cancelled(queen: ScriptedQueen, transport: Transport) -> None:
    queen.scripts = {name: Script(PROGRESS, then=CAME) for name in ("a", "b")}
    display = Transfers()
    pulling = asyncio.create_task(pull(transport, "demo", ["a", "b"], display))
    for script in queen.scripts.values():
        await asyncio.to_thread(script.followed.wait, 10)
    while display.kept != "2 of 10 B":
        await asyncio.sleep(0.01)
    pulling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pulling
    assert sorted(queen.cancelled) == ["a", "b"]


async def test_a_result_that_is_none_is_an_error_of_its_own(queen: ScriptedQueen, transport: Transport) -> None:
    odd = {"type": "data", "action": "result", "payload": {"model_id": 7}}
    queen.scripts = {"a": Script(odd, {"type": "done"})}
    (found,) = await pull(transport, "demo", ["a"], Transfers())
    assert found.error is not None
    assert "another version of rbee" in found.error.message


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"already": True}, "demo: already here"),
        ({"vendor": "hub", "quantization": "Q8_0", "size_bytes": 4812288}, "demo (Q8_0, 4.6 MiB): fetched from hub"),
        ({"vendor": None}, "demo: fetched from demo"),
        ({"vendor": "hub", "from_hive": "gpu1", "fetched_bytes": 9}, "demo: fetched from hive gpu1"),
        ({"fetched_bytes": 0, "linked_bytes": 9}, "demo: linked from files already on the machine"),
        (
            {"vendor": "hub", "fetched_bytes": 9, "linked_bytes": 2048},
            "demo: fetched from hub, 2.0 KiB of it linked from files already on the machine",
        ),
        ({"fetched_bytes": 0}, "demo: used where it is, in /m"),
        ({"fetched_bytes": 0, "path": None}, "demo: it has no files to fetch"),
        ({"name": "a\x1b[2J", "already": True}, "a?[2J: already here"),
    ],
)
def test_what_came_is_told_with_where_it_came_from(facts: dict[str, Any], words: str) -> None:
    assert told("demo", ModelDownloaded(**{**RESULT, "size_bytes": None, **facts})) == words
