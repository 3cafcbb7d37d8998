"""Events out of bytes."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rbee.contract.errors import WorkerFailedError
from rbee.doors.sse import LARGEST_EVENT, EventData

STREAM = b': ping\n\ndata: {"a":1}\n\nevent: x\nid: 7\ndata:{"b":\ndata: 2}\r\n\r\n\n\nretry: 5\n\ndata: \xc3\xa9\n\ndata: half'
FOUND = [b'{"a":1}', b'{"b":\n2}', b"\xc3\xa9"]


@given(st.lists(st.integers(0, len(STREAM)), max_size=20))
def test_events_are_the_same_wherever_the_bytes_are_cut(cuts: list[int]) -> None:
    reader = EventData()
    found = []
    places = sorted({0, *cuts, len(STREAM)})
    for start, end in itertools.pairwise(places):
        found += reader.feed(STREAM[start:end])
    assert found == FOUND


def test_every_byte_alone_makes_the_same_events() -> None:
    reader = EventData()
    assert [one for byte in STREAM for one in reader.feed(bytes([byte]))] == FOUND


@pytest.mark.parametrize("line", [b"x" * 65_536, b"data: " + b"x" * 65_536 + b"\n"], ids=["one line", "many lines"])
def test_an_event_without_an_end_is_not_kept_for_ever(line: bytes) -> None:
    reader = EventData()
    for _ in range(LARGEST_EVENT // len(line)):
        assert reader.feed(line) == []
    with pytest.raises(WorkerFailedError, match="bytes"):
        reader.feed(line + line)


def test_small_events_in_one_large_read_are_no_large_event() -> None:
    many = b"data: 1\n\n" * 500_000
    assert len(EventData().feed(many)) == 500_000
