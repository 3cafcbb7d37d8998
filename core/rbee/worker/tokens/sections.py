"""What of an answer is reasoning, and what is for the reader."""

from __future__ import annotations

from typing import NamedTuple

from rbee.worker.tokens.held import undecided


class Marks(NamedTuple):
    """How a model marks its reasoning.

    Attributes:
        begin: before it.
        end: behind it.
    """

    begin: str
    end: str


MARKS = (Marks("<think>", "</think>"), Marks("[THINK]", "[/THINK]"), Marks("<|START_THINKING|>", "<|END_THINKING|>"))
"""Of Qwen, DeepSeek and most others; of Mistral; of Cohere."""


def marks_of(template: str) -> Marks | None:
    """The marks that a chat template knows; None for a model that does not reason aloud."""
    return next((marks for marks in MARKS if marks.end in template), None)


def begun(marks: Marks | None, prompt: str) -> bool:
    """Whether a prompt ends within reasoning: some templates write the first mark themselves."""
    return marks is not None and prompt.rstrip().endswith(marks.begin)


class Split(NamedTuple):
    """A piece of text, by what it is."""

    reasoning: str
    content: str


class Reasoning:
    """Splits a text that comes in pieces; what could still become a mark is held back.

    Reasoning stands at the beginning of an answer and once: a mark further on is text.  White space around it is no
    part of either.

    Args:
        marks: of the model; None lets everything pass as content.
        begun: the text begins within reasoning.
    """

    def __init__(self, marks: Marks | None, *, begun: bool = False) -> None:
        self._marks = marks
        self._inside = begun
        self._over = marks is None
        self._held = ""
        self._fresh = marks is not None
        """Nothing but white space has been seen of the present part, which begins behind a mark."""

    @property
    def inside(self) -> bool:
        """Whether the next token is reasoning, as far as is known."""
        return self._inside

    def feed(self, text: str) -> Split:
        """What may be shown by now."""
        if self._over:
            return Split("", self._trimmed(text))
        text, self._held = self._held + text, ""
        if self._inside:
            return self._within(text)
        assert self._marks is not None  # noqa: S101  # or it would be over
        begin = self._marks.begin
        start = text.lstrip()
        if start.startswith(begin):
            self._inside = True
            return self._within(start[len(begin) :])
        if begin.startswith(start):
            self._held = text
            return Split("", "")
        self._over, self._fresh = True, False
        return Split("", text)

    def flush(self) -> Split:
        """What was held back, at the end of the text."""
        held, self._held = self._held, ""
        return Split(held, "") if self._inside else Split("", held)

    def _within(self, text: str) -> Split:
        assert self._marks is not None  # noqa: S101  # who is inside has marks
        end = self._marks.end
        said, found, rest = text.partition(end)
        if found:
            self._inside, self._over = False, True
            reasoning = self._trimmed(said)
            self._fresh = True
            return Split(reasoning.rstrip(), self._trimmed(rest))
        border = len(text) - undecided(text, (end,))
        # White space at the end may be the last before the mark, which belongs to neither.
        border = len(text[:border].rstrip())
        self._held = text[border:]
        return Split(self._trimmed(text[:border]), "")

    def _trimmed(self, text: str) -> str:
        if self._fresh:
            text = text.lstrip()
            self._fresh = not text
        return text
