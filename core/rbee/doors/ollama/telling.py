"""From OpenAI's answers to Ollama's."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, ClassVar

import msgspec

from rbee.contract.errors import WorkerFailedError
from rbee.doors.chat import Ending, ToolCall, Whole
from rbee.doors.refusal import Refusal, ollama_body
from rbee.doors.writing import Writer

_MS = 1_000_000
_LARGEST_CALLS = 4 * 1024 * 1024

_encode = msgspec.json.Encoder().encode


class Clock:
    """The time of day and since the request came.

    Args:
        now: the time of day.
        monotonic_ns: nanoseconds since some moment.
    """

    def __init__(
        self,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._now = now
        self._monotonic_ns = monotonic_ns
        self._started = monotonic_ns()

    def told(self) -> str:
        """The time of day as Ollama writes it."""
        return self._now().isoformat().replace("+00:00", "Z")

    def since(self) -> int:
        """Nanoseconds since the request came."""
        return self._monotonic_ns() - self._started


class Shape:
    """What differs between the answers of ``/api/chat`` and ``/api/generate``.

    Args:
        model: as the client named it.
        clock: of the request.
        chat: of a chat.
    """

    def __init__(self, model: str, clock: Clock, *, chat: bool) -> None:
        self._model = model
        self._clock = clock
        self._chat = chat

    def piece(self, text: str, *, thought: str = "", calls: list[ToolCall] | None = None) -> dict[str, Any]:
        """A part of an answer, or all of it."""
        said: dict[str, Any] = {"role": "assistant", "content": text} if self._chat else {"response": text}
        if thought:
            said["thinking"] = thought
        if calls:
            said["tool_calls"] = [{"function": {"name": call.name, "arguments": call.values()}} for call in calls]
        told = {"message": said} if self._chat else said
        return {"model": self._model, "created_at": self._clock.told(), **told, "done": False}

    def ending(self, ending: Ending) -> dict[str, Any]:
        """What the last part tells besides: figures that nobody gave are left out."""
        usage, timings = ending.usage, ending.timings
        figures: dict[str, int | None] = {
            "total_duration": self._clock.since(),
            "prompt_eval_count": usage.prompt_tokens,
            "prompt_eval_duration": _ns(timings.prompt_ms),
            "eval_count": usage.completion_tokens,
            "eval_duration": _ns(timings.predicted_ms),
        }
        known = {name: value for name, value in figures.items() if value is not None}
        return {"done": True, "done_reason": "length" if ending.finish == "length" else "stop", **known}

    def loaded(self, *, unloads: bool = False) -> bytes:
        """The answer to a request without a prompt, which only has the model loaded, or unloaded."""
        why = "unload" if unloads else "load"
        return _encode({**self.piece(""), "done": True, "done_reason": why, "total_duration": self._clock.since()})


def whole_of(whole: Whole, shape: Shape) -> bytes:
    """A whole answer.

    Raises:
        WorkerFailedError: a tool was called with what is no JSON object.
    """
    told = shape.piece(whole.text, thought=whole.thought, calls=list(whole.calls))
    if whole.logprobs is not None:
        told["logprobs"] = [_logprob(one) for one in whole.logprobs]
    return _encode({**told, **shape.ending(whole.ending)})


class LineWriter(Writer):
    """Writes a streamed answer: a JSON object a line.

    Args:
        shape: of the route.
    """

    media_type: ClassVar[bytes] = b"application/x-ndjson"
    ping: ClassVar[bytes | None] = None

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._calls: list[tuple[str, str, list[str]]] = []
        self._held = 0

    def begin(self) -> bytes:
        """Nothing: the first line is the first text."""
        return b""

    def thought(self, text: str) -> bytes:
        """A line with thoughts."""
        return _line(self._shape.piece("", thought=text))

    def text(self, text: str, logprobs: list[dict[str, Any]] | None) -> bytes:
        """A line with text."""
        told = self._shape.piece(text)
        if logprobs is not None:
            told["logprobs"] = [_logprob(one) for one in logprobs]
        return _line(told)

    def call(self, call_id: str, name: str) -> bytes:
        """Nothing yet: Ollama tells calls whole."""
        self._calls.append((call_id, name, []))
        return b""

    def arguments(self, part: str) -> bytes:
        """Likewise."""
        self._held += len(part)
        if self._held > _LARGEST_CALLS:
            raise WorkerFailedError(f"The model's calls of tools have more than {_LARGEST_CALLS} characters.")
        self._calls[-1][2].append(part)
        return b""

    def end(self, ending: Ending) -> bytes:
        """A line with the calls, if there are some, and the last one."""
        calls = [ToolCall(id=call_id, name=name, arguments="".join(parts)) for call_id, name, parts in self._calls]
        if ending.finish == "length":
            calls = [call for call in calls if call.whole]
        told = _line(self._shape.piece("", calls=calls)) if calls else b""
        return told + _line({**self._shape.piece(""), **self._shape.ending(ending)})

    def fail(self, refusal: Refusal) -> bytes:
        """A line with an error, behind which nothing comes."""
        return _line(ollama_body(refusal))


class _Embedding(msgspec.Struct, frozen=True):
    embedding: list[float]
    index: int


class _Counted(msgspec.Struct, frozen=True):
    prompt_tokens: int | None = None


class _Embeddings(msgspec.Struct, frozen=True):
    data: list[_Embedding]
    usage: _Counted = _Counted()


def embeddings_of(body: bytes, model: str, clock: Clock) -> bytes:
    """The answer of ``/api/embed``.

    Raises:
        WorkerFailedError: the worker's is none of OpenAI's.
    """
    found = _embeddings(body)
    told: dict[str, Any] = {
        "model": model,
        "embeddings": [one.embedding for one in sorted(found.data, key=lambda one: one.index)],
        "total_duration": clock.since(),
    }
    if found.usage.prompt_tokens is not None:
        told["prompt_eval_count"] = found.usage.prompt_tokens
    return _encode(told)


def embedding_of(body: bytes) -> bytes:
    """The answer of ``/api/embeddings``.

    Raises:
        WorkerFailedError: the worker's is none of OpenAI's.
    """
    found = _embeddings(body)
    if len(found.data) != 1:
        raise WorkerFailedError(f"The worker gave {len(found.data)} embeddings for one text.")
    return _encode({"embedding": found.data[0].embedding})


def _embeddings(body: bytes) -> _Embeddings:
    try:
        return msgspec.json.decode(body, type=_Embeddings)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WorkerFailedError(f"The worker's answer is not one of OpenAI's API: {error}.") from error


def _line(value: dict[str, Any]) -> bytes:
    return _encode(value) + b"\n"


def _ns(milliseconds: float | None) -> int | None:
    return None if milliseconds is None else int(milliseconds * _MS)


def _logprob(one: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {"token": one.get("token"), "logprob": one.get("logprob")}
    if top := one.get("top_logprobs"):
        told["top_logprobs"] = [{"token": other.get("token"), "logprob": other.get("logprob")} for other in top]
    return told
