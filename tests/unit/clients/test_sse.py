"""Events out of a body, however it is cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rbee.clients.sse import SseEvent, decode
from rbee.contract.errors import UnreachableError
from rbee.http.sse import encode

DATA = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\r\n"), min_size=1)
WORD = st.none() | st.text("abc:123", min_size=1, max_size=5)


async def pieces(parts: list[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def events(*parts: bytes) -> list[SseEvent]:
    async def run() -> list[SseEvent]:
        return [event async for event in decode(pieces(list(parts)))]

    return asyncio.run(run())


@given(st.lists(st.tuples(DATA, WORD, WORD), max_size=4), st.lists(st.integers(0, 400), max_size=8), st.booleans())
def test_what_is_encoded_is_decoded_at_every_cut(told: list, cuts: list[int], crlf: bool) -> None:
    body = b"".join(encode(data.encode(), event=event, event_id=number) for data, event, number in told)
    body = body.replace(b"\n", b"\r\n") if crlf else body
    bounds = [0, *sorted(cuts), len(body)]
    found = events(*(body[start:end] for start, end in pairwise(bounds)))
    assert found == [SseEvent(data=data, event=event or "message", id=number) for data, event, number in told]


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_every_byte_alone_makes_the_same_events(end: bytes) -> None:
    body = end.join([b": hello", b"id: 1", b"event: beat", b"data: a", b"data:b", b"", b"data: \xc3\xbc", b"", b""])
    found = events(*(bytes([byte]) for byte in body))
    assert found == [SseEvent(data="a\nb", event="beat", id="1"), SseEvent(data="ü")]


def test_comments_and_unfinished_events_are_nothing() -> None:
    assert events(b": keep alive\n\nevent: x\n\ndata: half") == []


def test_an_event_without_end_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rbee.clients.sse.LARGEST_EVENT", 1000)
    assert events(b"data: " + b"x" * 900 + b"\n\n", b"data: y\n\n")[1].data == "y"
    with pytest.raises(UnreachableError, match="more than 1000 bytes"):
        events(b"data: ", *[b"x" * 100] * 20)
