"""What the tokens of one answer say: stop strings, reasoning, calls of tools, and the rest."""

from __future__ import annotations

from typing import NamedTuple

from rbee.worker.tokens.calls import CallDelta, CallParser
from rbee.worker.tokens.detokenizer import Detokenizer
from rbee.worker.tokens.sections import Reasoning
from rbee.worker.tokens.stops import StopFilter


class Read(NamedTuple):
    """What has become clear with a token.

    Attributes:
        content: for the reader.
        reasoning: before it.
        calls: pieces of calls.
    """

    content: str = ""
    reasoning: str = ""
    calls: tuple[CallDelta, ...] = ()


NOTHING = Read()


class Reading:
    """Reads one answer, token by token.

    Args:
        text: of the tokens.
        stops: ends the text.
        reasoning: splits it.
        calls: finds calls in what is no reasoning; None where none are looked for.
    """

    def __init__(self, text: Detokenizer, stops: StopFilter, reasoning: Reasoning, calls: CallParser | None) -> None:
        self._text = text
        self._stops = stops
        self._reasoning = reasoning
        self._calls = calls

    @property
    def stop(self) -> str | None:
        """The stop string that has ended the answer."""
        return self._stops.stopped

    @property
    def over(self) -> bool:
        """No more tokens are wanted."""
        return self._stops.stopped is not None or (self._calls is not None and self._calls.finished)

    @property
    def called(self) -> bool:
        """The answer calls a tool."""
        return self._calls is not None and self._calls.called

    @property
    def thinking(self) -> bool:
        """The present token is reasoning."""
        return self._reasoning.inside

    def feed(self, token: int) -> Read:
        """Take a token that does not end the answer."""
        text = self._text.feed(token)
        return self._split(self._stops.feed(text)) if text else NOTHING

    def flush(self) -> Read:
        """What was held back, at the end of the answer."""
        if self._stops.stopped is None:
            first = self._split(self._stops.feed(self._text.flush()) + self._stops.flush())
        else:
            first = NOTHING
        split = self._reasoning.flush()
        last = Read(split.content, split.reasoning)
        if self._calls is not None:
            content, calls = _sorted([*self._calls.feed(split.content), *self._calls.flush()])
            last = Read(content, split.reasoning, calls)
        return Read(first.content + last.content, first.reasoning + last.reasoning, first.calls + last.calls)

    def _split(self, text: str) -> Read:
        split = self._reasoning.feed(text)
        if self._calls is None or not split.content:
            return Read(split.content, split.reasoning)
        content, calls = _sorted(self._calls.feed(split.content))
        return Read(content, split.reasoning, calls)


def _sorted(parts: list[str | CallDelta]) -> tuple[str, tuple[CallDelta, ...]]:
    text = "".join(part for part in parts if isinstance(part, str))
    return text, tuple(part for part in parts if not isinstance(part, str))
