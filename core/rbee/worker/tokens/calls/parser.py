"""From a model's text to contents and calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum, auto
from typing import Any

from rbee.worker.tokens.calls.deltas import CallDelta, Counter
from rbee.worker.tokens.calls.elements import call_of, parameters_of
from rbee.worker.tokens.calls.objects import ObjectReader
from rbee.worker.tokens.calls.styles import NAMED, Style
from rbee.worker.tokens.held import undecided

Part = str | CallDelta
"""A piece of an answer: text for the reader, or a piece of a call."""


class _Where(Enum):
    START = auto()
    """Nothing but white space has come."""
    TEXT = auto()
    BETWEEN = auto()
    """Behind the mark that begins calls, or behind a call."""
    CALL = auto()
    OVER = auto()
    """No more is wanted."""


class CallParser:
    """Finds the calls in a text that comes in pieces.

    Text that looks like a call and turns out to be none is text.

    Args:
        style: of the model.
        tools: that it may call, in OpenAI's shape.
        single: the answer ends with its first call.

    Attributes:
        finished: the answer has ended with a call, and nothing more is wanted.
    """

    def __init__(self, style: Style, tools: Sequence[Mapping[str, Any]], *, single: bool = False) -> None:
        self._style = style
        self._tools = parameters_of(tools)
        self._single = single
        self._counter = Counter()
        self._where = _Where.START
        self._held = ""
        self._marked = False
        """The mark that begins calls stands before what is held."""
        self._reader: ObjectReader | None = None
        self._told = 0
        """Characters of the present call's arguments that have been told; -1 before its name was."""
        self.finished = False

    @property
    def called(self) -> bool:
        """At least one call has been told of."""
        return self._counter.begun > 0

    def feed(self, text: str) -> list[Part]:
        """What has become clear."""
        parts: list[Part] = []
        self._held += text
        while self._held and self._where is not _Where.OVER:
            before = (self._where, self._held)
            self._advance(parts)
            if (self._where, self._held) == before:
                break
        return parts

    def flush(self) -> list[Part]:
        """What was held back, at the end of the text: a call that broke off before its name was told is text."""
        parts: list[Part] = []
        if self._where is _Where.CALL and self._style.body == "elements":
            self._end_elements(parts, self._held)
        elif self._where is _Where.CALL and self._reader is not None:
            if self._told < 0:
                parts.append(self._mark() + self._reader.raw + self._held)
        elif self._where in {_Where.START, _Where.TEXT} or self._where is _Where.CALL:
            parts.append(self._held)
        self._held, self._where = "", _Where.OVER
        return [part for part in parts if part != ""]

    def _advance(self, parts: list[Part]) -> None:
        if self._where is _Where.START:
            self._start()
        elif self._where is _Where.TEXT:
            self._text(parts)
        elif self._where is _Where.BETWEEN:
            self._between()
        elif self._style.body == "elements":
            self._elements(parts)
        else:
            self._object(parts)

    def _start(self) -> None:
        """The first character decides whether the answer is a bare call, in styles that have them."""
        stripped = self._held.lstrip()
        if not stripped:
            return
        if self._style.optional and stripped[0] == "{":
            self._held = stripped
            self._begin()
        else:
            self._where = _Where.TEXT

    def _text(self, parts: list[Part]) -> None:
        begin = self._style.begin
        if not begin:
            parts.append(self._held)
            self._held = ""
            return
        text, found, rest = self._held.partition(begin)
        if found:
            # White space before a call is the model's way of setting it apart.
            if text := text.rstrip():
                parts.append(text)
            self._held, self._where, self._marked = rest, _Where.BETWEEN, True
            return
        border = len(text) - undecided(text, (begin,))
        border = len(text[:border].rstrip())
        if border:
            parts.append(text[:border])
            self._held = text[border:]

    def _between(self) -> None:
        held = self._held.lstrip()
        style = self._style
        for word in (style.begin, style.end, style.separator, *(("[", ",", "]") if style.opened else ())):
            if not word:
                continue
            if held.startswith(word):
                self._marked = word == style.begin or (self._marked and word == "[")
                self._held = held[len(word) :]
                return
            if word.startswith(held):
                self._held = held
                return
        self._held = held
        if not held:
            return
        if self._marked or held[0] == "{":
            self._begin()
        else:
            self._where = _Where.TEXT

    def _begin(self) -> None:
        self._where, self._told = _Where.CALL, -1
        self._reader = ObjectReader() if self._style.body == "object" else None

    def _object(self, parts: list[Part]) -> None:
        if self._reader is None:  # the name comes first, and the arguments alone behind it
            name, found, rest = self._held.partition(NAMED)
            if not found:
                return
            self._reader, self._held = ObjectReader(name=name.strip()), rest.lstrip()
            return
        reader = self._reader
        if not reader.raw and not self._held.startswith("{"):
            parts.append(self._mark() + self._held)
            self._held, self._where, self._reader = "", _Where.TEXT, None
            return
        self._held = reader.feed(self._held)
        if reader.name is not None and (reader.lone or reader.has_arguments):
            self._tell(parts, reader.name, reader.arguments)
        if reader.done:
            self._end_object(parts, reader)

    def _end_object(self, parts: list[Part], reader: ObjectReader) -> None:
        found = reader.value()
        if found is not None:
            self._tell(parts, *found)
        elif self._told < 0:
            parts.append(self._mark() + reader.raw)
            self._where, self._reader, self._marked = _Where.TEXT, None, False
            return
        self._ended()

    def _elements(self, parts: list[Part]) -> None:
        text, found, rest = self._held.partition(self._style.end)
        if found:
            self._held = rest
            self._end_elements(parts, text)

    def _end_elements(self, parts: list[Part], text: str) -> None:
        call = call_of(text, self._tools)
        if call is None:
            parts.append(self._mark() + text)
            self._where = _Where.TEXT
            return
        parts.append(self._counter.begin(*call))
        self._ended()

    def _tell(self, parts: list[Part], name: str, arguments: str) -> None:
        if self._told < 0:
            parts.append(self._counter.begin(name, arguments))
        elif len(arguments) > self._told:
            parts.append(self._counter.more(arguments[self._told :]))
        self._told = len(arguments)

    def _ended(self) -> None:
        self._reader, self._marked, self._where = None, False, _Where.BETWEEN
        if self._single:
            self.finished, self._where, self._held = True, _Where.OVER, ""

    def _mark(self) -> str:
        """What stood before a call that is none: it was taken out of the text."""
        return self._style.begin if self._marked else ""
