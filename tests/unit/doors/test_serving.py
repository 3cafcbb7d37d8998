"""What all doors do alike."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from rbee.contract.errors import NoPlacementError, WorkerFailedError
from rbee.doors import DOOR_ROUTES, make_doors
from rbee.doors.anthropic import Messages
from rbee.doors.serving import TranslatingDoor
from unit.doors.scripted import HELLO, PATIENCE_S, Models, Scripted, Visit, piece, visit, whole
from unit.doors.scripted import events as stream_of

ANTHROPIC = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
ASKS = {
    "/v1/messages": ANTHROPIC,
    "/api/chat": {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": False},
    "/v1/responses": {"model": "m", "input": "hi"},
}
FULL = b'{"error":{"message":"the prompt is too long","type":"invalid_request_error","code":"context_length_exceeded"}}'
FIRST = stream_of(piece({"content": "a"}), done=False)


def said(answer: Visit) -> str:
    error = answer.json["error"]
    return error if isinstance(error, str) else error["message"]


def test_every_route_has_its_door() -> None:
    assert set(make_doors(Scripted(), Models())) == DOOR_ROUTES


@pytest.mark.parametrize("path", ASKS)
async def test_the_call_says_who_asks_and_through_which_door(path: str) -> None:
    calls = Scripted(whole({"content": "x"}))
    headers = [(b"x-deadline", b"5"), (b"content-type", b"text/plain"), (b"accept-encoding", b"gzip")]
    await visit(calls, path, ASKS[path], trusted=True, headers=headers)
    call = calls.calls[0]
    assert (call.request_id, call.door, call.trusted) == ("req-1", path, True)
    assert call.headers == ((b"x-deadline", b"5"), (b"content-type", b"application/json"))


@pytest.mark.parametrize("path", ASKS)
async def test_headers_of_the_gateway_reach_the_client_and_those_of_the_worker_do_not(path: str) -> None:
    headers = ((b"x-rbee-worker", b"w1"), (b"content-length", b"999"), (b"server", b"w"), (b"x-ratelimit-limit", b"5"))
    answer = await visit(Scripted(whole({"content": "x"}), headers=headers), path, ASKS[path])
    assert (answer.headers[b"x-rbee-worker"], answer.headers[b"x-ratelimit-limit"]) == (b"w1", b"5")
    assert answer.headers[b"content-length"] == str(len(answer.body)).encode()
    assert b"server" not in answer.headers
    assert answer.headers[b"x-request-id"] == answer.headers[b"request-id"] == b"req-1"


@pytest.mark.parametrize("path", ASKS)
async def test_an_error_of_the_worker_keeps_its_status_and_words(path: str) -> None:
    answer = await visit(Scripted(FULL, status=400), path, ASKS[path])
    assert (answer.status, said(answer)) == (400, "the prompt is too long")


@pytest.mark.parametrize("path", ASKS)
async def test_an_error_of_the_gateway_is_told_in_the_doors_envelope(path: str) -> None:
    answer = await visit(Scripted(opening=NoPlacementError("no room", retry_after_s=9)), path, ASKS[path])
    assert answer.status in {503, 529}
    assert said(answer) == "no room"
    assert answer.headers[b"retry-after"] == b"9"


@pytest.mark.parametrize("path", ASKS)
async def test_what_goes_wrong_unexpectedly_tells_nothing_of_the_inside(path: str, caplog) -> None:
    calls = Scripted()
    calls.open = None  # type: ignore[assignment]
    answer = await visit(calls, path, ASKS[path])
    assert answer.status == 500
    assert "NoneType" not in answer.body.decode()
    assert "NoneType" in caplog.text


@pytest.mark.parametrize("path", ASKS)
async def test_a_body_over_the_limit_is_refused(path: str) -> None:
    assert (await visit(Scripted(), path, b"x" * 200, max_body=100)).status == 413


@pytest.mark.parametrize("path", ASKS)
async def test_an_answer_in_another_form_is_the_workers_failure(path: str) -> None:
    answer = await visit(Scripted(HELLO, stream=True), path, ASKS[path])
    assert (answer.status, "another form" in said(answer)) == (500, True)


@pytest.mark.parametrize("path", ASKS)
async def test_an_answer_that_is_none_of_openais_is_the_workers_failure(path: str) -> None:
    for body in (b"<html>", b"{}", b'{"choices":[]}'):
        assert (await visit(Scripted(body), path, ASKS[path])).status == 500


@pytest.mark.parametrize("path", ASKS)
async def test_an_error_before_the_first_word_has_its_status(path: str) -> None:
    failed = stream_of({"error": {"message": "full", "code": "queue_full"}}, done=False)
    answer = await visit(Scripted(failed, stream=True), path, ASKS[path] | {"stream": True})
    assert (answer.status in {503, 529}, said(answer)) == (True, "full")


@pytest.mark.parametrize("path", ASKS)
async def test_a_stream_is_read_to_its_end_so_that_it_counts_as_answered(path: str) -> None:
    calls = Scripted(HELLO, stream=True)
    await visit(calls, path, ASKS[path] | {"stream": True})
    assert calls.left_early is False


@pytest.mark.parametrize("path", ASKS)
async def test_a_client_that_leaves_while_it_waits_cancels_the_call(path: str) -> None:
    calls = Scripted(wait=asyncio.Event())
    leaving = Visit(calls, path, ASKS[path])
    serving = asyncio.create_task(leaving.run())
    async with asyncio.timeout(PATIENCE_S):
        while not calls.calls:
            await asyncio.sleep(0)
        leaving.gone.set()
        await serving
    assert leaving.sent == []


@pytest.mark.parametrize("path", ASKS)
async def test_a_client_that_leaves_in_the_middle_of_a_stream_cancels_the_call(path: str) -> None:
    calls = Scripted(FIRST, stream=True, hang=True)
    leaving = Visit(calls, path, ASKS[path] | {"stream": True})
    serving = asyncio.create_task(leaving.run())
    async with asyncio.timeout(PATIENCE_S):
        await leaving.some.wait()
        leaving.gone.set()
        await serving
    assert calls.left_early is True


async def test_a_cancellation_from_outside_is_not_taken_for_the_clients_leaving() -> None:
    serving = asyncio.create_task(Visit(Scripted(wait=asyncio.Event()), "/v1/messages", ANTHROPIC).run())
    await asyncio.sleep(0.01)
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving


async def test_a_stream_that_waits_is_told_that_the_line_holds() -> None:
    free = asyncio.Event()
    waiting = Visit(Scripted(HELLO, stream=True, wait=free), "/v1/messages", ANTHROPIC | {"stream": True})
    waiting.door = TranslatingDoor(Scripted(HELLO, stream=True, wait=free), Messages(), 1000, ping_s=0.01)
    serving = asyncio.create_task(waiting.run())
    async with asyncio.timeout(PATIENCE_S):
        await waiting.some.wait()
        free.set()
        await serving
    kinds = [kind for kind, _ in itertools.groupby(event["type"] for event in waiting.events)]
    assert kinds[:2] == ["ping", "message_start"]
    assert kinds[-1] == "message_stop"
    assert sum(1 for message in waiting.sent if message["type"] == "http.response.start") == 1


async def test_an_error_behind_a_ping_is_an_event() -> None:
    free = asyncio.Event()
    calls = Scripted(wait=free, opening=WorkerFailedError("it died"))
    waiting = Visit(calls, "/v1/messages", ANTHROPIC | {"stream": True})
    waiting.door = TranslatingDoor(calls, Messages(), 1000, ping_s=0.01)
    serving = asyncio.create_task(waiting.run())
    async with asyncio.timeout(PATIENCE_S):
        await waiting.some.wait()
        free.set()
        await serving
    assert (waiting.status, waiting.events[-1]["error"]["message"]) == (200, "it died")
    assert waiting.ended
