"""What the checks have in common: whole answers and the events of streamed ones."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

from rbee.conformance.checks import NotAskedError
from rbee.conformance.client import shaped
from rbee.conformance.subject import Subject
from rbee.contract.wire import InferAnswer
from rbee.contract.wire.openai_api import ChatAnswer, CompletionAnswer

DONE = "[DONE]"
HELLO = "Say hello to the reader of this text."
PLAIN_END = frozenset({"MAX_TOKENS", "EOS", "STOP_SEQUENCE"})


async def whole_infer(subject: Subject, body: dict[str, Any]) -> InferAnswer:
    """The whole answer of ``/v1/infer``."""
    return (await subject.http.ask("POST", "/v1/infer", {**body, "stream": False})).read(InferAnswer)


async def events_of(subject: Subject, path: str, body: dict[str, Any]) -> list[Any]:
    """All events of a streamed answer to its end; ``[DONE]`` stands for itself."""
    async with subject.http.stream(path, {**body, "stream": True}) as stream:
        return [event async for event in stream.events()]


def of_type(events: Sequence[Any], *types: str) -> list[dict[str, Any]]:
    """The events of ``/v1/infer`` of these types."""
    return [one for one in events if isinstance(one, dict) and one.get("type") in types]


def text_of(events: Sequence[Any]) -> str:
    """Text of the token events of ``/v1/infer``."""
    return "".join(str(one.get("t", "")) for one in of_type(events, "token"))


def end_of(events: Sequence[Any]) -> dict[str, Any]:
    """The event ``end``.

    Raises:
        NotAskedError: there is none, which W-STREAM-2 looks at.
    """
    ends = of_type(events, "end")
    if not ends:
        raise NotAskedError("the stream has no event 'end'; see W-STREAM-2")
    return ends[0]


async def chat(subject: Subject, body: dict[str, Any]) -> ChatAnswer:
    """The whole answer of the chat route."""
    return (await subject.http.ask("POST", "/v1/chat/completions", body)).read(ChatAnswer)


async def completion(subject: Subject, body: dict[str, Any]) -> CompletionAnswer:
    """The whole answer of the completions route."""
    return (await subject.http.ask("POST", "/v1/completions", body)).read(CompletionAnswer)


async def chunks_of(subject: Subject, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    """The chunks of a streamed OpenAI answer, without ``[DONE]``."""
    return [one for one in await events_of(subject, path, body) if isinstance(one, dict)]


def choices_of(chunks: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The choices of all chunks, in order, shaped or not."""
    return [one for chunk in chunks for one in chunk.get("choices") or () if isinstance(one, dict)]


def said(chunks: Sequence[dict[str, Any]]) -> str:
    """Text of the chunks of either route."""
    return "".join((one.get("delta") or {}).get("content") or one.get("text") or "" for one in choices_of(chunks))


def usage_of(chunks: Sequence[dict[str, Any]]) -> dict[str, int]:
    """The figures of usage in a stream.

    Raises:
        NotAskedError: there are none, which W-CHAT-4 looks at.
    """
    told = [chunk["usage"] for chunk in chunks if chunk.get("usage")]
    if not told:
        raise NotAskedError("the stream tells no usage; see W-CHAT-4")
    return shaped(told[-1], dict[str, Any], "usage")


async def steady(subject: Subject, body: dict[str, Any]) -> InferAnswer:
    """The answer of ``/v1/infer``, when it is the same twice.

    Raises:
        NotAskedError: it is not, so that nothing can be compared with it.
    """
    first, second = await whole_infer(subject, body), await whole_infer(subject, body)
    if first.text != second.text:
        raise NotAskedError("the model does not say the same twice at temperature 0")
    return first


async def leave_after_first(subject: Subject, path: str, body: dict[str, Any]) -> None:
    """Ask for a stream and close the connection at its first text."""
    async with subject.http.stream(path, {**body, "stream": True}) as stream:
        await first_text(stream.events())


async def first_text(events: Any) -> bool:
    """Read up to the first text; False when the answer ended without any."""
    async with contextlib.aclosing(events):
        async for event in events:
            if has_text(event):
                return True
    return False


def has_text(event: Any) -> bool:
    """Whether an event of either kind of stream brings text."""
    if not isinstance(event, dict):
        return False
    return bool(event.get("t")) or bool(said([event]))
