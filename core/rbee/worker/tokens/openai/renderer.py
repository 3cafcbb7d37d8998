"""What is alike in all answers, whole and in chunks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec

from rbee.worker.tokens.answer import Piece, Progress
from rbee.worker.tokens.openai.events import DONE, sse
from rbee.worker.tokens.openai.usage import Usage
from rbee.worker.tokens.probabilities import Probabilities

_encode = msgspec.json.Encoder().encode


class Renderer(ABC):
    """Writes the answers to one request.

    Args:
        answer_id: starts with the route's prefix.
        created: Unix time in seconds.
        model: name that the client asked for.
        include_usage: chunks carry the field `usage`, null in all but the last.
        tell_usage: where they do not, a comment at the end tells it, for a gateway.
        probabilities: writes log probabilities; None where none were asked for.
    """

    prefix: ClassVar[str]
    whole_object: ClassVar[str]
    chunk_object: ClassVar[str]

    def __init__(
        self,
        answer_id: str,
        created: int,
        model: str,
        *,
        include_usage: bool = False,
        tell_usage: bool = False,
        probabilities: Probabilities | None = None,
    ) -> None:
        self._tell_usage = tell_usage
        self._head = {"id": answer_id, "created": created, "model": model}
        self._include_usage = include_usage
        self._probabilities = probabilities
        # A chunk a token: everything but the text is encoded once.
        fixed = _encode({**self._head, "object": self.chunk_object})
        self._before = b"data: " + fixed[:-1] + b',"choices":['
        self._after = b'],"usage":null}\n\n' if include_usage else b"]}\n\n"

    @abstractmethod
    def delta(self, piece: Piece) -> bytes:
        """Chunks with what is new; nothing where nothing is."""

    @abstractmethod
    def end(self, piece: Piece) -> dict[str, Any]:
        """The choice of the chunk that ends an answer."""

    @abstractmethod
    def whole_choice(self, pieces: Sequence[Piece]) -> dict[str, Any]:
        """The choice of a whole answer, from all of its pieces."""

    def first(self, index: int) -> bytes:
        """What the stream of one answer begins with."""
        return b""

    def progress(self, progress: Progress, total: int, seconds: float) -> bytes:
        """A chunk without choices that tells how far the prompt is, in llama-server's shape.

        Args:
            progress: how far.
            total: tokens of the prompt.
            seconds: since the request came.
        """
        told = {
            "total": total,
            "cache": progress.cached or 0,
            "processed": progress.done,
            "time_ms": round(seconds * 1000),
        }
        chunk: dict[str, Any] = {**self._head, "object": self.chunk_object, "choices": [], "prompt_progress": told}
        return sse({**chunk, "usage": None} if self._include_usage else chunk)

    def ended(self, piece: Piece) -> bytes:
        """The chunk that says why one answer ended."""
        return self.chunk(self.end(piece))

    def last(self, usage: Usage) -> bytes:
        """The end of a stream: usage where asked for, and the mark of the end."""
        last = b""
        if self._include_usage:
            last = sse({**self._head, "object": self.chunk_object, "choices": [], "usage": usage.told()})
        elif self._tell_usage:
            last = b": rbee-usage " + _encode(usage.measured()) + b"\n\n"
        return last + DONE

    def whole(self, answers: Sequence[Sequence[Piece]], usage: Usage) -> bytes:
        """The body of answers that are not streamed, each from all of its pieces."""
        choices = [self.whole_choice(pieces) for pieces in answers]
        return _encode({**self._head, "object": self.whole_object, "choices": choices, "usage": usage.told()})

    def chunk(self, choice: dict[str, Any]) -> bytes:
        """One choice as a chunk."""
        return self._before + _encode(choice) + self._after


def why(end: Piece) -> dict[str, Any]:
    """Why an answer ended."""
    # `stop_reason` is vLLM's addition: the stop string, which Anthropic's API tells its clients.
    return {"finish_reason": end.finish, "stop_reason": end.stop}
