"""Streams of each API, however the worker's bytes are cut."""

from __future__ import annotations

import datetime as dt
import itertools
import json
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rbee.doors.anthropic.telling import MessageWriter
from rbee.doors.ollama.telling import Clock, LineWriter, Shape
from rbee.doors.responses.requests import ResponsesRequest
from rbee.doors.responses.telling import Frame, ResponseWriter
from rbee.doors.writing import Translator, Writer
from unit.doors.scripted import BROKEN, CUT, FAILED, HELLO, THOUGHT, TOOLS, events, piece

STREAMS = {"text": HELLO, "tools": TOOLS, "thoughts": THOUGHT, "cut": CUT, "broken": BROKEN, "failed": FAILED}


def ollama(*, chat: bool) -> Writer:
    clock = Clock(lambda: dt.datetime(2026, 1, 2, tzinfo=dt.UTC), lambda: 5)
    return LineWriter(Shape("m", clock, chat=chat))


def responses() -> Writer:
    return ResponseWriter(Frame(msgspec.convert({"model": "m", "input": "?"}, ResponsesRequest), "a", 1))


WRITERS: dict[str, Callable[[], Writer]] = {
    "anthropic": lambda: MessageWriter("msg_1", "m"),
    "ollama chat": lambda: ollama(chat=True),
    "ollama generate": lambda: ollama(chat=False),
    "responses": responses,
}


def translated(name: str, *parts: bytes) -> bytes:
    translator = Translator(WRITERS[name](), "a")
    return b"".join([*(translator.feed(part) for part in parts), translator.end()])


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("stream", STREAMS)
def test_a_stream_is_the_same_when_every_byte_comes_alone(name: str, stream: str) -> None:
    data = STREAMS[stream]
    expected = translated(name, data)
    assert expected
    assert translated(name, *(bytes([byte]) for byte in data)) == expected


@pytest.mark.parametrize("name", WRITERS)
@settings(max_examples=30, deadline=None)
@given(cuts=st.sets(st.integers(1, len(TOOLS) - 1), max_size=12))
def test_a_stream_is_the_same_wherever_it_is_cut(name: str, cuts: set[int]) -> None:
    places = [0, *sorted(cuts), len(TOOLS)]
    parts = [TOOLS[start:end] for start, end in itertools.pairwise(places)]
    assert translated(name, *parts) == translated(name, TOOLS)


@pytest.mark.parametrize("name", WRITERS)
@settings(max_examples=50, deadline=None)
@given(junk=st.binary(max_size=200))
def test_whatever_a_worker_sends_ends_in_an_error_of_the_api_and_never_in_a_traceback(name: str, junk: bytes) -> None:
    translator = Translator(WRITERS[name](), "a")
    out = translator.feed(b"data: " + junk + b"\n\n") + translator.end()
    assert translator.over
    assert translator.refusal is not None
    assert b"worker" in out.lower()
    assert translator.feed(HELLO) == b""


@pytest.mark.parametrize("name", WRITERS)
def test_parts_of_calls_that_are_mixed_are_an_error(name: str) -> None:
    def part(place: int, **function: str) -> dict:
        return piece({"tool_calls": [{"index": place, "id": f"c{place}", "function": function}]})

    mixed = events(
        part(0, name="a", arguments="{"), part(1, name="b", arguments="{}"), part(0, arguments="}"), piece({}, "stop")
    )
    assert b"mixed" in translated(name, mixed)


@pytest.mark.parametrize("name", WRITERS)
def test_comments_of_the_gateway_are_no_part_of_the_answer(name: str) -> None:
    assert translated(name, b": waiting, place 2\n\n" + HELLO) == translated(name, HELLO)


def test_an_error_in_the_stream_keeps_the_status_that_its_code_has() -> None:
    failed = events({"error": {"message": "full", "code": "queue_full"}}, done=False)
    translator = Translator(MessageWriter("msg_1", "m"), "a")
    out = translator.feed(failed)
    assert json.loads(out.split(b"data: ")[1])["error"]["type"] == "overloaded_error"
