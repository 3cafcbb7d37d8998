"""The engine: repeats what it hears, word by word."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence

from rbee.contract import (
    Availability,
    Backend,
    Capability,
    EngineStatus,
    LoadSpec,
    StageReport,
    TokenEngine,
    TokenEvent,
    TokenRequest,
)
from rbee.contract.errors import ContextLengthError, ModelFileError

from rbee_echo import __version__
from rbee_echo.ref import EchoRef
from rbee_echo.vendor import CONTEXT_LENGTH
from rbee_echo.words import answer_to, behind, prompt_tokens, tokens

EXIT_CODE_OF_DEATH = 70


class _Speech:
    """One answer under way.

    Args:
        words: what is left to say.
        prompt_tokens: told with the first word.
        limit: words after which the answer is cut.
        ends: False when the engine fails after the last word instead of ending the answer.
    """

    def __init__(self, words: Iterator[str], prompt_tokens: int, limit: int, *, ends: bool) -> None:
        self._words = words
        self._prompt_tokens = prompt_tokens
        self._left = limit
        self._ends = ends
        self._next = next(words, None)
        self._begun = False

    @property
    def broken(self) -> bool:
        """True when the moment has come to fail."""
        return self._next is None and not self._ends

    def next_event(self, request_id: str) -> TokenEvent:
        """The next word; the last one says how the answer ended."""
        word, self._next = self._next or "", next(self._words, None)
        self._left -= 1
        finish = None
        if self._next is None and self._ends:
            finish = "stop"
        elif self._left == 0:
            finish = "length"
        first, self._begun = not self._begun, True
        return TokenEvent(
            request_id=request_id,
            text=word,
            finish=finish,
            prompt_tokens=self._prompt_tokens if first else None,
        )


class EchoEngine(TokenEngine):
    """Answers the last user message with itself and continues a prompt by repeating it.

    The same request always gets the same answer: temperature, seed and the like change nothing.
    """

    name = "echo"
    formats = frozenset({"echo"})
    backends = frozenset({Backend.CPU})
    capabilities = frozenset({Capability.CHAT, Capability.COMPLETIONS, Capability.CONTINUATION})

    def __init__(self) -> None:
        self._ref = EchoRef()
        self._slots = 0
        self._context_length = 0
        self._tokens = 0
        self._speeches: dict[str, _Speech] = {}

    @classmethod
    def availability(cls) -> Availability:
        """Always there: it needs no library."""
        return Availability(available=True, version=__version__)

    def load(self, spec: LoadSpec, report: StageReport) -> int | None:
        """Take the model's parameters from its name.

        Raises:
            ModelFileError: the name asks for it, or is malformed.
        """
        try:
            self._ref = EchoRef.parse(spec.model_id)
        except ValueError as error:
            raise ModelFileError(f"{spec.model_id!r} is no echo model: {error}.") from error
        report(f"learning to echo as {self._ref.name!r}")
        time.sleep(self._ref.load_s or 0)
        if self._ref.fail == "load":
            raise ModelFileError(f"{spec.model_id!r} does not load because its name says so: 'fail=load'.")
        self._slots = spec.slots
        self._context_length = min(spec.context_length or CONTEXT_LENGTH, CONTEXT_LENGTH)
        return self._context_length

    def add(self, request: TokenRequest) -> None:
        """Take up a request.

        Raises:
            ContextLengthError: the prompt leaves no room for an answer.
        """
        if len(self._speeches) >= self._slots:
            raise RuntimeError(f"the host gave more than {self._slots} requests at once")
        prompt = prompt_tokens(request.messages, request.prompt)
        room = self._context_length - prompt
        if room < 1:
            raise ContextLengthError(
                f"The prompt has {prompt} tokens, the context is {self._context_length}; shorten the prompt."
            )
        words = tokens(answer_to(request.messages, request.prompt), self._ref.faulty_after or self._ref.tokens)
        if request.continues and request.messages is not None:
            words = behind(words, request.messages[-1]["content"])
        limit = room if request.max_tokens is None else min(room, request.max_tokens)
        self._speeches[request.request_id] = _Speech(words, prompt, limit, ends=not self._ref.faulty_after)

    def step(self) -> Sequence[TokenEvent]:
        """One word for every request, after the model's delay."""
        if not self._speeches:
            return ()
        time.sleep(self._ref.delay_s)
        if any(speech.broken for speech in self._speeches.values()):
            self._fail()
        events = [speech.next_event(request_id) for request_id, speech in self._speeches.items()]
        for event in events:
            if event.finish is not None:
                del self._speeches[event.request_id]
        self._tokens += sum(1 for event in events if event.text)
        return events

    def _fail(self) -> None:
        if self._ref.fail == "die":
            os._exit(EXIT_CODE_OF_DEATH)  # as a crash in native code: no clean-up, no goodbye
        raise RuntimeError(f"{self._ref.canonical!r} fails in mid-answer because its name says so")

    def remove(self, request_id: str) -> None:
        """Forget a request."""
        self._speeches.pop(request_id, None)

    def unload(self) -> None:
        """Forget everything."""
        self._speeches.clear()

    def status(self) -> EngineStatus:
        """How many it speaks to."""
        return EngineStatus(
            slots_total=self._slots,
            slots_busy=len(self._speeches),
            queue_depth=0,
            tokens_generated=self._tokens,
        )
