"""How much of a stream is kept while it goes by."""

from __future__ import annotations

import json
import tracemalloc

from rbee.gateway.accounting import StreamUsage
from rbee.gateway.continuing import _MAX_TEXT, _STALLED_TEXT, Transcript

CHAT = "/v1/chat/completions"
WORD = b'data: {"choices":[{"index":0,"delta":{"content":"word"},"finish_reason":null}]}\n\n'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":7}}\n\n'


def test_the_usage_at_the_end_of_a_large_piece_is_found_and_the_piece_not_kept() -> None:
    usage = StreamUsage()
    tracemalloc.start()
    usage.saw(WORD * 10_000)
    usage.saw(WORD * 10_000 + USAGE + b"data: [DONE]\n\n")
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert usage.usage().completion_tokens == 7
    assert usage.usage().prompt_tokens == 3
    assert kept < 16_000


def test_a_transcript_takes_little_more_than_its_text() -> None:
    transcript = Transcript(CHAT)
    words = _MAX_TEXT // 4 - 100
    tracemalloc.start()
    for _ in range(words):
        transcript.add(bytes(bytearray(WORD)))
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert transcript.text() == "word" * words
    assert kept < 2 * _MAX_TEXT


def test_a_client_that_stalls_keeps_its_short_transcript_and_loses_its_long_one() -> None:
    transcript = Transcript(CHAT)
    transcript.add(WORD * 100)
    transcript.stalls()
    assert transcript.text() == "word" * 100
    while transcript.text() is not None and len(transcript.text() or "") <= _STALLED_TEXT:
        transcript.add(WORD * 100)
    transcript.stalls()
    assert transcript.text() is None
    transcript.add(WORD)
    assert transcript.text() is None


def test_what_is_no_text_alone_is_not_kept() -> None:
    transcript = Transcript(CHAT)
    call = {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0}]}, "finish_reason": None}]}
    transcript.add(WORD * 100 + b"data: " + json.dumps(call).encode() + b"\n\n")
    assert transcript.text() is None
