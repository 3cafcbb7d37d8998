"""Several answers of one request, from an engine that counts the tokens of each for itself.

OpenAI's figures are of the whole request: every answer's tokens, and each prompt's once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from rbee.gateway.message import is_event_stream
from rbee.worker.face import Scope, Send

_OF_PROMPT = ("cache_n", "prompt_n", "prompt_ms")
_OF_ANSWER = ("predicted_n", "predicted_ms")
_DATA = b"data: "
_DONE = b"[DONE]"


def asked(body: Mapping[str, Any]) -> tuple[int, int]:
    """How many answers to each prompt a request asks for, and how many prompts it has; what makes no sense is 1."""
    n, prompt = body.get("n"), body.get("prompt")
    # A list of numbers is one prompt in tokens.
    several = isinstance(prompt, list) and len(prompt) > 1 and not isinstance(prompt[0], int)
    return (n if isinstance(n, int) and n > 1 else 1), (len(prompt) if several and prompt is not None else 1)


def together(parts: Sequence[Mapping[str, Any]], n: int) -> dict[str, Any]:
    """The usage of all answers.

    Args:
        parts: of each; at least one.
        n: answers to each prompt.
    """
    completion = sum(part.get("completion_tokens") or 0 for part in parts)
    prompt = sum(part.get("prompt_tokens") or 0 for part in parts) // n
    cached = [(part.get("prompt_tokens_details") or {}).get("cached_tokens") for part in parts]
    details: dict[str, Any] = {}
    known = [one for one in cached if one is not None]
    if len(known) == len(parts) and n in {1, len(parts)}:
        # Of several answers to one prompt the first computes it, and the others find it.
        details = {"prompt_tokens_details": {"cached_tokens": sum(known) if n == 1 else min(known)}}
    return {"completion_tokens": completion, "prompt_tokens": prompt, "total_tokens": completion + prompt, **details}


def timed_together(parts: Sequence[Mapping[str, Any]], n: int) -> dict[str, Any]:
    """Tokens and milliseconds of all answers: their ratio is the speed of one.

    Args:
        parts: of each; at least one.
        n: answers to each prompt.
    """
    # Of several answers to one prompt the one that has computed most of it tells how quick that was.
    prompts = parts if n < len(parts) else [max(parts, key=lambda part: part.get("prompt_n") or 0)]
    return _sums(prompts, _OF_PROMPT) | _sums(parts, _OF_ANSWER)


def _sums(parts: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, Any]:
    return {name: sum(part.get(name) or 0 for part in parts) for name in names if any(name in part for part in parts)}


class OneUsage:
    """ASGI's `send` for a stream of several answers, with their figures in one last event instead of one each.

    Figures of which there are not as many as answers are no figures of each: the last ones are then passed on.

    Args:
        send: of ASGI.
        n: answers to each prompt.
        prompts: how many.
    """

    def __init__(self, send: Send, n: int, prompts: int) -> None:
        self._send = send
        self._n = n
        self._answers = n * prompts
        self._streams = False
        self._rest = b""
        self._last: dict[str, Any] = {}
        self._usages: list[Mapping[str, Any]] = []
        self._timings: list[Mapping[str, Any]] = []

    async def __call__(self, message: Scope) -> None:
        """Take a message of the answer."""
        if message["type"] == "http.response.start":
            self._streams = is_event_stream(message.get("headers", ()))
        if not self._streams or message["type"] != "http.response.body":
            await self._send(message)
            return
        events, mark, self._rest = (self._rest + message.get("body", b"")).rpartition(b"\n\n")
        told = b"".join(self._seen(event) for event in events.split(b"\n\n")) if mark else b""
        if not message.get("more_body", False):
            told, self._rest = told + self._rest, b""
        if told or not message.get("more_body", False):
            await self._send({**message, "body": told})

    def _seen(self, event: bytes) -> bytes:
        """What is passed on of an event."""
        data = event[len(_DATA) :].strip()
        if data == _DONE and self._usages:
            return self._figures() + event + b"\n\n"
        if b'"usage"' not in data or not event.startswith(_DATA):
            return event + b"\n\n"
        try:
            chunk = msgspec.json.decode(data, type=dict[str, Any])
        except msgspec.DecodeError:
            return event + b"\n\n"
        usage, timings = chunk.pop("usage", None), chunk.pop("timings", None)
        if usage is None:
            return event + b"\n\n"
        self._last = chunk
        self._usages.append(usage)
        self._timings += [] if timings is None else [timings]
        return _event(chunk) if chunk.get("choices") else b""

    def _figures(self) -> bytes:
        each = len(self._usages) == self._answers
        usage = together(self._usages, self._n) if each else self._usages[-1]
        told = {**self._last, "choices": [], "usage": usage}
        if self._timings:
            told["timings"] = timed_together(self._timings, self._n) if each else self._timings[-1]
        return _event(told)


def _event(chunk: Mapping[str, Any]) -> bytes:
    return _DATA + msgspec.json.encode(chunk) + b"\n\n"
