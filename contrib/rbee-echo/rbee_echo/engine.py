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
    LoadedModel,
    LoadSpec,
    StageReport,
    TokenEngine,
    TokenEvent,
    TokenRequest,
)
from rbee.contract.errors import ModelFileError

from rbee_echo import __version__
from rbee_echo.ref import EchoRef
from rbee_echo.vendor import CONTEXT_LENGTH
from rbee_echo.words import WordTokenizer, answer_to, behind, spoken

EXIT_CODE_OF_DEATH = 70


class _Speech:
    """One answer under way.

    Args:
        tokens: what is left to say.
        prompt_tokens: told with the first word.
        ends: False when the engine fails after the last word instead of ending the answer.
    """

    def __init__(self, tokens: Iterator[int], prompt_tokens: int, *, ends: bool) -> None:
        self._tokens = tokens
        self._prompt_tokens: int | None = prompt_tokens
        self._ends = ends
        self._next = next(tokens, None)

    @property
    def broken(self) -> bool:
        """True when the moment has come to fail."""
        return self._next is None and not self._ends

    def next_event(self, request_id: str) -> TokenEvent:
        """The next word; the last one says that the answer has ended."""
        token, self._next = self._next, next(self._tokens, None)
        done, self._prompt_tokens = self._prompt_tokens, None
        finish = "stop" if self._next is None and self._ends else None
        return TokenEvent(request_id=request_id, token=token, finish=finish, prompt_done=done)


class EchoEngine(TokenEngine):
    """Answers the last user message with itself and continues a prompt by repeating it.

    The same request always gets the same answer: temperature, seed and the like change nothing.
    """

    name = "echo"
    formats = frozenset({"echo"})
    backends = frozenset({Backend.CPU})
    capabilities = frozenset({Capability.CHAT, Capability.COMPLETIONS, Capability.TOOLS, Capability.CONTINUATION})
    sampling = frozenset({"temperature", "top_p", "top_k", "seed"})

    def __init__(self) -> None:
        self._ref = EchoRef()
        self._tokenizer = WordTokenizer()
        self._slots = 0
        self._tokens = 0
        self._speeches: dict[str, _Speech] = {}

    @classmethod
    def availability(cls) -> Availability:
        """Always there: it needs no library."""
        return Availability(available=True, version=__version__)

    def load(self, spec: LoadSpec, report: StageReport) -> LoadedModel:
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
        context_length = min(spec.context_length or CONTEXT_LENGTH, CONTEXT_LENGTH)
        return LoadedModel(tokenizer=self._tokenizer, context_length=context_length)

    def add(self, request: TokenRequest) -> None:
        """Take up a request."""
        if len(self._speeches) >= self._slots:
            raise RuntimeError(f"the host gave more than {self._slots} requests at once")
        asked, said = answer_to(request.prompt, self._tokenizer)
        words = behind(spoken(asked, self._ref.faulty_after or self._ref.tokens), said)
        tokens = (token for word in words for token in self._tokenizer.encode(word, special=False))
        self._speeches[request.request_id] = _Speech(tokens, len(request.prompt), ends=not self._ref.faulty_after)

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
        self._tokens += sum(1 for event in events if event.token is not None)
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
