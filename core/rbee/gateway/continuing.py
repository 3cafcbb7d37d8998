"""Going on with an answer whose worker has died: what the client has so far, and a request for the rest."""

from __future__ import annotations

from typing import Any

import msgspec

from rbee.gateway.events import Event, events_of, replaced_event

_FOLD_BYTES = 4 * 1024
_FOLD_TEXTS = 32
_MAX_TEXT = 64 * 1024
_STALLED_TEXT = 16 * 1024
"""Bytes of text that are kept for a client that takes no more."""
_CHAT = "/v1/chat/completions"
_COMPLETIONS = "/v1/completions"
_FORBIDDING = ("tools", "functions", "response_format", "grammar", "guided_json", "guided_regex", "logprobs",
               "seed", "top_logprobs", "echo", "suffix", "audio", "modalities",
               "frequency_penalty", "presence_penalty")  # fmt: skip
"""Parameters with which an answer in two parts would not be the answer in one.

What is bound to a grammar, counted, or promised again for the same seed cannot be taken up by another worker.
"""


class Transcript:
    """What a client has got of a stream, kept small: old events are folded into their text.

    Args:
        path: OpenAI path of the request.
    """

    __slots__ = ("_raw", "_size", "_text", "_text_size", "first", "plain", "tokens")

    def __init__(self, path: str) -> None:
        self._raw: list[bytes] = []
        self._size = 0
        self._text: list[str] = []
        """Of many events each: that of one, of a few letters, would take ten times as much."""
        self._text_size = 0
        self.plain = path in {_CHAT, _COMPLETIONS}
        """So far it is text alone, of one choice, which has not ended."""
        self.first: Event | None = None
        """The first event, whose id and model the rest must bear."""
        self.tokens = 0
        """Events with text."""

    def add(self, data: bytes) -> None:
        """Whole events that the client has got."""
        if not self.plain:
            return
        self._raw.append(data)
        self._size += len(data)
        if self._size > _FOLD_BYTES:
            self._fold()

    def stalls(self) -> None:
        """The client takes no more for now: much is no longer kept for it, and its answer not continued."""
        if self._text_size > _STALLED_TEXT:
            self.plain = False
            self._text.clear()
            self._raw.clear()

    def text(self) -> str | None:
        """All text so far; None when the answer is not text that can be gone on with."""
        self._fold()
        return "".join(self._text) if self.plain else None

    def _fold(self) -> None:
        raw, self._raw, self._size = self._raw, [], 0
        texts = []
        for event in events_of(b"".join(raw)):
            if event is None:
                self.plain = False
                break
            self.first = self.first or event
            text = event.text()
            if text is None:
                self.plain = False
                break
            if text:
                self.tokens += 1
                texts.append(text)
        if texts:
            self._text.append("".join(texts))
            self._text_size += len(self._text[-1])
            if len(self._text) > _FOLD_TEXTS:
                self._text = ["".join(self._text)]
        if self._text_size > _MAX_TEXT:
            self.plain = False
        if not self.plain:
            self._text.clear()


def rest_of(path: str, body: bytes, transcript: Transcript) -> bytes | None:
    """The body of a request for the rest of an answer; None when nobody can go on with it.

    Args:
        path: OpenAI path.
        body: of the first request.
        transcript: what the client has.
    """
    text = transcript.text()
    if not text:
        return None
    try:
        asked = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return None
    if any(asked.get(name) for name in _FORBIDDING) or asked.get("n", 1) not in {1, None}:
        return None
    rest: dict[str, Any] = dict(asked)
    for name in ("max_tokens", "max_completion_tokens"):
        if isinstance(rest.get(name), int):
            rest[name] -= transcript.tokens
            if rest[name] < 1:
                return None
    if path == _COMPLETIONS:
        if not isinstance(asked.get("prompt"), str):
            return None
        rest["prompt"] = asked["prompt"] + text
    else:
        messages = asked.get("messages")
        if not isinstance(messages, list) or not messages or messages[-1].get("role") == "assistant":
            return None
        rest["messages"] = [*messages, {"role": "assistant", "content": text}]
        # As vLLM names them; workers that list the capability `continuation` take both.
        rest["add_generation_prompt"] = False
        rest["continue_final_message"] = True
    return msgspec.json.encode(rest)


class Rest:
    """Makes the events of the second worker those of the same answer.

    Args:
        transcript: of what the client has.
    """

    __slots__ = ("_first", "_tokens")

    def __init__(self, transcript: Transcript) -> None:
        self._first = transcript.first
        self._tokens = transcript.tokens

    def __call__(self, data: bytes) -> bytes:
        """Whole events, with the id, time and model of the first worker's, and without a second beginning."""
        return b"".join(
            replaced for raw in data.split(b"\n\n") if (replaced := replaced_event(raw, self._first, self._tokens))
        )
