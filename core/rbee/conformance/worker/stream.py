"""``POST /v1/infer`` streamed: its events and their order."""

from __future__ import annotations

from rbee.conformance.checks import ANSWERS, BrokenPromiseError, Check, NotAskedError, require
from rbee.conformance.client import shaped
from rbee.conformance.subject import Subject
from rbee.conformance.worker.asking import HELLO, PLAIN_END, end_of, events_of, of_type, steady, text_of
from rbee.contract.wire.worker_api import InferEnd, InferError, InferStarted, InferToken

_ODD = "Grüße, 世界! Ελλάδα 👩‍👩‍👧 naïve café — Ĳssel 🇪🇺 ท้องฟ้า."
_REPLACED = "\N{REPLACEMENT CHARACTER}"
_LIMIT = 4


async def _started(subject: Subject) -> None:
    name = "conformance-started"
    body = subject.infer(HELLO, request_id=name, stream=True)
    async with subject.http.stream("/v1/infer", body) as stream:
        kind = stream.headers.get("content-type", "")
        require(kind.startswith("text/event-stream"), f"the content-type of a stream is {kind!r}")
        events = [event async for event in stream.events()]
    require(events, "the stream is empty")
    require(of_type(events[:1], "started"), f"the first event is {str(events[0])[:120]}, not 'started'")
    require(len(of_type(events, "started")) == 1, "the event 'started' came more than once")
    first = shaped(events[0], InferStarted, "the event 'started'")
    require(first.job_id == name, f"job_id is {first.job_id!r} for the request_id {name!r}")


async def _terminal(subject: Subject) -> None:
    events = await events_of(subject, "/v1/infer", subject.infer(HELLO))
    terminal = of_type(events, "end", "error")
    require(terminal, f"the stream ends with {str(events[-1:])[:120]}, not with 'end' or 'error'")
    require(len(terminal) == 1, f"the stream has {len(terminal)} terminal events: {str(terminal)[:200]}")
    require(events[-1] is terminal[0], f"behind the terminal event came {str(events[-1])[:120]}")
    if terminal[0]["type"] == "error":
        told = shaped(terminal[0], InferError, "the event 'error'")
        raise BrokenPromiseError(f"a plain request ended with the error {told.code}: {told.message}")
    end = shaped(terminal[0], InferEnd, "the event 'end'")
    require(end.stop_reason in PLAIN_END, f"stop_reason is {end.stop_reason!r} for a plain request")


async def _indices(subject: Subject) -> None:
    events = await events_of(subject, "/v1/infer", subject.infer(HELLO))
    tokens = [shaped(one, InferToken, "the event 'token'") for one in of_type(events, "token")]
    found = [one.i for one in tokens]
    require(found == list(range(len(found))), f"the indices are {found[:20]}, not 0, 1, 2, ...")
    require(all(one.t for one in tokens), "an event 'token' has no text")


async def _characters(subject: Subject) -> None:
    body = subject.infer(f"Repeat this text: {_ODD}", max_tokens=200)
    asked = await steady(subject, body)
    events = await events_of(subject, "/v1/infer", body)
    for event in of_type(events, "token"):
        text = str(event.get("t", ""))
        try:
            text.encode()
        except UnicodeEncodeError:
            raise BrokenPromiseError(f"event {event.get('i')} has half a surrogate pair: {text!r}") from None
        # The model itself may have made bytes that are no character; the whole answer then shows the same.
        if _REPLACED in text and _REPLACED not in asked.text:
            raise BrokenPromiseError(f"event {event.get('i')} has a part of a character: {text!r}")
    streamed = text_of(events)
    require(streamed == asked.text, f"streamed came {streamed[:100]!r}, whole {asked.text[:100]!r}")
    if asked.text.isascii():
        raise NotAskedError("the model answers in ASCII, where nothing can be split")


async def _count(subject: Subject) -> None:
    body = subject.infer(HELLO)
    asked = await steady(subject, body)
    events = await events_of(subject, "/v1/infer", body)
    told, heard = end_of(events).get("tokens_out"), len(of_type(events, "token"))
    require(isinstance(told, int) and not isinstance(told, bool), f"tokens_out is {told!r}, not a number")
    if text_of(events) != asked.text or asked.tokens_generated is None:
        raise NotAskedError("the whole answer is another one, or does not tell its tokens")
    require(
        told == asked.tokens_generated,
        f"tokens_out is {told}, tokens_generated of the same answer {asked.tokens_generated}",
    )
    # An event may bring several tokens, and the last token may bring no text.
    require(int(told or 0) >= heard, f"tokens_out is {told}, but {heard} events brought text")


async def _reason(subject: Subject) -> None:
    events = await events_of(subject, "/v1/infer", subject.long_infer(max_tokens=_LIMIT))
    end = end_of(events)
    heard = len(of_type(events, "token"))
    require(heard <= _LIMIT, f"{heard} events with text came for max_tokens {_LIMIT}")
    expected = "MAX_TOKENS" if end.get("tokens_out") == _LIMIT else "EOS"
    require(
        end.get("stop_reason") in {expected, "EOS"},
        f"stop_reason is {end.get('stop_reason')!r} after {end.get('tokens_out')} of {_LIMIT} tokens",
    )


CHECKS = (
    Check(
        id="W-STREAM-1",
        promise="A stream of /v1/infer begins with one event 'started', which has the request's id.",
        run=_started,
        needs=ANSWERS,
    ),
    Check(
        id="W-STREAM-2",
        promise="A stream of /v1/infer ends with exactly one terminal event, with nothing behind it.",
        run=_terminal,
        needs=ANSWERS,
    ),
    Check(
        id="W-STREAM-3",
        promise="Events 'token' are numbered 0, 1, 2, ..., and each has text.",
        run=_indices,
        needs=ANSWERS,
    ),
    Check(
        id="W-STREAM-4",
        promise="Streamed text comes in whole characters, and is that of the whole answer.",
        run=_characters,
        needs=ANSWERS,
    ),
    Check(
        id="W-STREAM-5",
        promise="tokens_out counts the tokens of the answer, as tokens_generated of the whole one does.",
        run=_count,
        needs=ANSWERS,
    ),
    Check(
        id="W-STREAM-6",
        promise="A stream of /v1/infer keeps max_tokens and says so in stop_reason.",
        run=_reason,
        needs=ANSWERS,
    ),
)
