"""Answers of one worker, asked for so that they can be timed."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from rbee.contract.errors import RbeeError, WorkerFailedError
from rbee.contract.types import Capability
from rbee.gateway import Pool, Target
from rbee.queen.trials import Trial

STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
Answer = Callable[[dict[str, Any], asyncio.StreamWriter], Awaitable[None]]


class Worker:
    """A worker on a loopback port that answers as it is told, and closes."""

    def __init__(self, answer: Answer) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.at_once = self.most = 0
        self._answer = answer

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(int(one.split(b":")[1]) for one in head.split(b"\r\n") if one.startswith(b"content-length"))
            self.asked.append((head.split()[1].decode(), json.loads(await reader.readexactly(length))))
            await self._answer(self.asked[-1][1], writer)
            await writer.drain()
        self.at_once -= 1
        writer.close()


@contextlib.asynccontextmanager
async def trial_of(
    answer: Answer, route: Capability = Capability.COMPLETIONS, context: int | None = None, **asked: int
) -> AsyncIterator[tuple[Trial, Worker]]:
    worker, pool = Worker(answer), Pool()
    server = await asyncio.start_server(worker.handle, "127.0.0.1", 0)
    target = Target(host="127.0.0.1", port=server.sockets[0].getsockname()[1])
    sizes = {"prompt_tokens": 128, "tokens": 16, **asked}
    try:
        yield Trial(pool, target, "w1", "m", route, context, **sizes), worker
    finally:
        pool.close()
        server.close()
        await server.wait_closed()
        await asyncio.sleep(0)


def words_in(body: dict[str, Any]) -> list[str]:
    return str(body["prompt"] if "prompt" in body else body["messages"][0]["content"]).split()


async def speak(body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    """Two tokens a word, and as many pieces as were asked for."""
    writer.write(STREAM)
    for _ in range(body["max_tokens"]):
        # Cut in the middle of an event, as networks do.
        writer.write(b'data: {"choices":[{"index":0,"te')
        await writer.drain()
        writer.write(b'xt":"a"}]}\n\n')
        await asyncio.sleep(0)
    usage = {"prompt_tokens": 2 * len(words_in(body)), "completion_tokens": body["max_tokens"]}
    writer.write(b"data: " + json.dumps({"choices": [], "usage": usage}).encode() + b"\n\ndata: [DONE]\n\n")


def refusal(status: int, message: str) -> bytes:
    body = json.dumps({"error": {"message": message, "type": "invalid_request_error", "code": "invalid_request"}})
    head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return (head + body).encode()


async def test_prompts_have_the_length_that_was_asked_for_and_begin_with_something_new() -> None:
    async with trial_of(speak) as (trial, worker):
        await trial.warm_up()
        row = await trial.round(3)
    assert row.streams == 3
    assert row.prompt_tokens == pytest.approx(128, abs=8)
    assert row.tokens == 16
    assert row.prefill_total_tok_s is not None
    assert row.prefill_total_tok_s > 0
    assert worker.most == 3
    assert len({words_in(body)[0] for _, body in worker.asked}) == 4
    assert all(body["ignore_eos"] and body["stream"] for _, body in worker.asked)
    assert {path for path, _ in worker.asked} == {"/v1/completions"}


async def test_a_worker_that_only_chats_is_asked_to_chat() -> None:
    async with trial_of(speak, Capability.CHAT) as (trial, worker):
        await trial.round(1)
    assert worker.asked[0][0] == "/v1/chat/completions"


async def test_a_worker_that_takes_no_more_than_the_api_has_is_asked_for_no_more() -> None:
    async def strict(body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        if "ignore_eos" in body:
            writer.write(refusal(400, "there is no ignore_eos"))
        else:
            await speak(body, writer)

    async with trial_of(strict) as (trial, worker):
        await trial.warm_up()
        row = await trial.round(2)
    assert row.tokens == 16
    assert ["ignore_eos" in body for _, body in worker.asked] == [True, False, False, False]


async def test_prompt_and_answer_fit_the_context() -> None:
    async with trial_of(speak, context=100, prompt_tokens=5000, tokens=5000) as (trial, worker):
        await trial.warm_up()
        row = await trial.round(1)
    assert row.tokens == 50
    assert row.prompt_tokens is not None
    assert row.prompt_tokens + row.tokens <= 100
    assert worker.asked[-1][1]["max_tokens"] == 50


async def test_a_refusal_is_the_workers_own() -> None:
    async def refuse(body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        writer.write(refusal(400, "not today"))

    async with trial_of(refuse) as (trial, _):
        with pytest.raises(RbeeError, match="not today"):
            await trial.warm_up()


async def test_an_error_in_the_midst_of_a_stream_is_one() -> None:
    async def fail(body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM + b'data: {"choices":[{"index":0,"text":"a"}]}\n\n')
        writer.write(b'data: {"error":{"message":"the engine died","code":"worker_failed"}}\n\ndata: [DONE]\n\n')

    async with trial_of(fail) as (trial, _):
        with pytest.raises(WorkerFailedError, match="the engine died"):
            await trial.round(1)


async def test_a_worker_that_breaks_off_ends_all_its_answers() -> None:
    async def some(body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 999\r\n\r\ndata: {}\n\n")

    async with trial_of(some) as (trial, _):
        with pytest.raises(WorkerFailedError, match="'w1' does not answer, or broke off"):
            await trial.round(2)


async def test_an_interrupted_trial_hangs_up() -> None:
    begun, left = asyncio.Event(), asyncio.Event()

    async def endless(body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM)
        while True:
            writer.write(b'data: {"choices":[{"index":0,"text":"a"}]}\n\n')
            await writer.drain()
            begun.set()
            await asyncio.sleep(0)

    async def handle(body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        try:
            await endless(body, writer)
        finally:
            left.set()

    async with trial_of(handle) as (trial, _):
        going = asyncio.create_task(trial.round(1))
        await begun.wait()
        going.cancel()
        with pytest.raises(asyncio.CancelledError):
            await going
        await asyncio.wait_for(left.wait(), 10)
