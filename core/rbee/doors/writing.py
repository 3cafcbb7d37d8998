"""The streamed answer: events of OpenAI's in, bytes of another API out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import msgspec

from rbee.contract.errors import RbeeError, WorkerFailedError
from rbee.doors.chat import (
    Choice,
    Ending,
    Said,
    Timings,
    ToolPart,
    Usage,
    call_id,
    logprobs_in,
    stop_in,
    thought_in,
    told,
)
from rbee.doors.refusal import Refusal, refusal_in, refusal_of
from rbee.doors.sse import EventData
from rbee.http.errors import STATUS_BY_CODE

_DONE = b"[DONE]"
_NO_END = "The worker ended its answer before it was complete; ask again."


class Writer(ABC):
    """Writes one streamed answer; each method gives the bytes that tell it, which may be none.

    Attributes:
        media_type: of the stream.
        ping: tells that the line still holds; None where the format has nothing for it.
    """

    media_type: ClassVar[bytes]
    ping: ClassVar[bytes | None]

    @abstractmethod
    def begin(self) -> bytes:
        """The answer begins; called once, before all others but `fail`."""

    @abstractmethod
    def thought(self, text: str) -> bytes:
        """More of the model's thoughts."""

    @abstractmethod
    def text(self, text: str, logprobs: list[dict[str, Any]] | None) -> bytes:
        """More of the answer."""

    @abstractmethod
    def call(self, call_id: str, name: str) -> bytes:
        """The model begins to call a tool."""

    @abstractmethod
    def arguments(self, part: str) -> bytes:
        """More of the arguments of that call."""

    @abstractmethod
    def end(self, ending: Ending) -> bytes:
        """The answer is complete.

        Raises:
            RbeeError: it cannot be told after all.
        """

    @abstractmethod
    def fail(self, refusal: Refusal) -> bytes:
        """The answer ends here, by an error."""


class Translator:
    """Feeds a `Writer` from the events of a chat or a completion.

    Args:
        writer: of the answer.
        answer_id: from which calls of tools get ids where the engine gives none.

    Attributes:
        begun: something of an answer has come.
        over: nothing comes any more.
        refusal: the error that ended it, None without one.
    """

    def __init__(self, writer: Writer, answer_id: str) -> None:
        self.writer = writer
        self.begun = False
        self.over = False
        self.refusal: Refusal | None = None
        self._answer_id = answer_id
        self._events = EventData()
        self._calls = 0
        self._call: int | None = None
        self._finish: str | None = None
        self._stop: str | None = None
        self._usage = Usage()
        self._timings = Timings()

    def feed(self, data: bytes) -> bytes:
        """What the client gets for these bytes, wherever they were cut."""
        out: list[bytes] = []
        try:
            for event in self._events.feed(data):
                if self.over:
                    break
                if event.strip() == _DONE:
                    out.append(self._end())
                else:
                    self._take(event, out)
        except RbeeError as error:
            out.append(self.fail(refusal_of(error)))
        return b"".join(out)

    def end(self) -> bytes:
        """What the client gets when the worker's answer is over."""
        if self.over:
            return b""
        try:
            return self._end()
        except RbeeError as error:
            return self.fail(refusal_of(error))

    def fail(self, refusal: Refusal) -> bytes:
        """What the client gets when it goes on no longer."""
        if self.over:
            return b""
        self.over = True
        self.refusal = refusal
        return self.writer.fail(refusal)

    def _begin(self) -> bytes:
        if self.begun:
            return b""
        self.begun = True
        return self.writer.begin()

    def _end(self) -> bytes:
        if self._finish is None:
            raise WorkerFailedError(_NO_END)
        ending = Ending(
            finish=self._finish,
            stop=self._stop,
            usage=self._usage,
            timings=self._timings,
            called=self._calls > 0,
        )
        out = self._begin() + self.writer.end(ending)
        self.over = True
        return out

    def _take(self, event: bytes, out: list[bytes]) -> None:
        found = told(event)
        if found.error is not None:
            out.append(self.fail(_told_error(event)))
            return
        if found.usage is not None:
            self._usage = found.usage
        if found.timings is not None:
            self._timings = found.timings
        out.append(self._begin())
        for choice in found.choices[:1]:
            self._choice(choice, out)

    def _choice(self, choice: Choice, out: list[bytes]) -> None:
        said = choice.delta or Said(content=choice.text)
        if thought := thought_in(said):
            self._call = None
            out.append(self.writer.thought(thought))
        logprobs = logprobs_in(choice)
        if (text := (said.content or "") + (said.refusal or "")) or logprobs:
            self._call = None
            out.append(self.writer.text(text, logprobs))
        for part in said.tool_calls or ():
            self._tool(part, out)
        if choice.finish_reason is not None:
            self._finish = choice.finish_reason
            self._stop = stop_in(choice)

    def _tool(self, part: ToolPart, out: list[bytes]) -> None:
        place = part.index if part.index is not None else (self._calls if part.function.name else self._call)
        if place != self._call:
            # Each API tells one call after the other: engines write them so, one of an earlier place is none of them.
            if place is None or place < self._calls or not part.function.name:
                raise WorkerFailedError("The worker mixed the parts of several calls of tools.")
            self._call = place
            self._calls = place + 1
            out.append(self.writer.call(part.id or call_id(self._answer_id, place), part.function.name))
        if part.function.arguments:
            out.append(self.writer.arguments(part.function.arguments))


def _told_error(event: bytes) -> Refusal:
    """An error that came in the middle of a stream; its code says which status it would have had."""
    refusal = refusal_in(500, (), event)
    code = refusal.code or ""
    status = int(code) if code.isdigit() and len(code) == 3 else STATUS_BY_CODE.get(code.upper(), refusal.status)
    return msgspec.structs.replace(refusal, status=status)
