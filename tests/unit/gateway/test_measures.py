"""What the record of a request tells of how quick its worker was."""

from __future__ import annotations

import asyncio

import pytest
from rbee.gateway import Pool
from rbee.gateway.accounting import speaks, texts, usage_of
from rbee.gateway.passage import Passage
from unit.gateway.test_passage import DONE, EVENTS, WHOLE, Door, Places, answer, chunk, event, worker

ROLE = b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n'
NULL_ROLE = b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":null}}]}\n\n'
PROGRESS = b'data: {"choices":[],"prompt_progress":{"total":9,"processed":4}}\n\n'
COMMENT = b': rbee-usage {"prompt_tokens":9,"completion_tokens":2,"cached_tokens":4,"prompt_ms":50,"decode_ms":20}\n\n'
TIMINGS = b'data: {"choices":[],"timings":{"cache_n":4,"prompt_n":5,"prompt_ms":50.0,"predicted_n":2,"predicted_ms":20.0}}\n\n'


@pytest.mark.parametrize("piece", [b":\n\n", b": waiting\n\n", ROLE, NULL_ROLE, PROGRESS, COMMENT, TIMINGS, DONE])
def test_what_comes_before_the_text_is_none(piece: bytes) -> None:
    assert not speaks(piece)


@pytest.mark.parametrize(
    "delta",
    [b'{"content":"a"}', b'{"content": "a"}', b'{"reasoning_content":"a"}', b'{"content":"\\n"}',
     b'{"tool_calls":[{"index":0,"function":{"name":"f","arguments":"{"}}]}'],
)  # fmt: skip
def test_text_is_what_the_model_says_in_whichever_form(delta: bytes) -> None:
    assert speaks(ROLE + b'data: {"choices":[{"index":0,"delta":' + delta + b"}]}\n\n")
    assert speaks(b'data: {"choices":[{"index":0,"text":"a"}]}\n\n')


def test_pieces_of_text_are_counted() -> None:
    assert texts(ROLE + event("a") + event("b") + event(None, finish="stop") + DONE) == 2


@pytest.mark.parametrize("tail", [COMMENT + DONE, TIMINGS + DONE], ids=["a comment of ours", "timings"])
async def test_a_worker_tells_what_it_took(serve, pool: Pool, tail: bytes) -> None:
    parts = [ROLE, event("a"), event("b"), event(None, finish="stop"), tail]
    places = Places(await serve(worker(EVENTS + b"".join(map(chunk, parts)) + b"0\r\n\r\n")))
    door = Door(pool, places)
    await door.ask().finished()
    (record,) = door.records
    assert (record.prompt_tokens, record.cached_tokens, record.completion_tokens) == (9, 4, 2)
    assert (record.prompt_s, record.decode_s) == (0.05, 0.02)
    assert record.first_text_s is not None


async def test_the_first_text_is_later_than_the_first_byte_of_who_speaks_and_comments(serve, pool: Pool) -> None:
    go_on = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(EVENTS + chunk(b":\n\n") + chunk(ROLE))
        await go_on.wait()
        writer.write(chunk(event("a") + DONE) + b"0\r\n\r\n")

    door = Door(pool, Places(await serve(handle)))
    client = door.ask()
    await client.some.wait()
    go_on.set()
    await client.finished()
    (record,) = door.records
    assert record.first_byte_s is not None
    assert record.first_text_s is not None
    assert record.first_byte_s < record.first_text_s <= record.duration_s


async def test_a_stream_that_its_client_held_up_tells_no_times_of_its_worker(serve, pool: Pool) -> None:
    door = Door(pool, Places(await serve(worker(EVENTS + chunk(event("a") + DONE) + b"0\r\n\r\n"))))
    client = door.ask()
    passage: Passage = client.passage  # type: ignore[attr-defined]
    passage.pause()
    passage.resume()
    await client.finished()
    assert door.records[0].first_text_s is None


async def test_how_many_were_with_the_worker_is_in_the_record(serve, pool: Pool) -> None:
    places = Places(await serve(worker(answer(200, WHOLE))))
    door = Door(pool, places)
    places.targets.append(places.targets[0])
    await door.ask({"model": "m"}).finished()
    assert door.records[0].beside is None

    lease = places._next()
    lease.beside = 3
    places.try_acquire = lambda route: lease  # type: ignore[method-assign]
    await door.ask({"model": "m"}).finished()
    assert door.records[1].beside == 3
    assert door.records[1].first_text_s is None


def test_times_of_one_of_several_answers_are_not_taken_for_those_of_all() -> None:
    both = b'{"usage":{"prompt_tokens":9,"completion_tokens":%d},"timings":{"prompt_n":9,"prompt_ms":5,"predicted_n":2,"predicted_ms":8}}'
    one, several = usage_of(both % 2), usage_of(both % 4)
    assert (one.prompt_s, one.decode_s, one.cached_tokens) == (0.005, 0.008, 0)
    assert (several.prompt_s, several.decode_s) == (0.005, None)


@pytest.mark.parametrize("details", [b"null", b"7", b"{}", b'{"cached_tokens":null}', b'{"cached_tokens":"many"}'])
def test_details_that_are_none_leave_the_usage_as_it_is(details: bytes) -> None:
    usage = usage_of(b'{"usage":{"prompt_tokens":9,"completion_tokens":2,"prompt_tokens_details":%b}}' % details)
    assert (usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens) == (9, 2, None)
