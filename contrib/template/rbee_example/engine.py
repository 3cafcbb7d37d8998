"""The engine: says what followed the last byte in the text that it has learned."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Sequence
from pathlib import Path

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

from rbee_example.tokenizer import END, ByteTokenizer

CONTEXT_LENGTH = 4096


class _Answer:
    """One request under way."""

    def __init__(self, request: TokenRequest) -> None:
        self.request = request
        self.last = request.prompt[-1]
        self.said: list[int] = []
        self.draw = random.Random(request.sampling.seed)  # noqa: S311  # for text


class ExampleEngine(TokenEngine):
    """Babbles in the manner of a text."""

    name = "example"
    formats = frozenset({"example"})
    backends = frozenset({Backend.CPU})
    capabilities = frozenset(
        {
            Capability.CHAT,
            Capability.COMPLETIONS,
            Capability.TOOLS,
            Capability.CONTINUATION,
            Capability.LOGPROBS,
            Capability.JSON_SCHEMA,
            Capability.GRAMMAR,
        }
    )
    sampling = frozenset({"temperature", "seed"})

    def __init__(self) -> None:
        self._chances: list[list[float]] = []
        self._answers: dict[str, _Answer] = {}
        self._slots: int | None = None

    @classmethod
    def availability(cls) -> Availability:
        """Always there.  Yours looks for its library with `importlib.util.find_spec`, without importing it."""
        return Availability(available=True, version="1")

    def load(self, spec: LoadSpec, report: StageReport) -> LoadedModel:
        """Learn from the text.

        Raises:
            ModelFileError: there is no text.
        """
        path = Path(spec.model_path or "")
        report(f"learning from {path.name}")
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ModelFileError(f"'{path}' cannot be read: {error}.") from error
        if not text.startswith("a text for rbee-example\n"):
            raise ModelFileError(f"'{path}' is no model for this engine: its first line says otherwise.")
        self._chances = _learned(text.partition("\n")[2].encode())
        self._slots = spec.slots
        return LoadedModel(
            tokenizer=ByteTokenizer(), context_length=min(spec.context_length or CONTEXT_LENGTH, CONTEXT_LENGTH)
        )

    def add(self, request: TokenRequest) -> None:
        """Take up a request."""
        self._answers[request.request_id] = _Answer(request)

    def step(self) -> Sequence[TokenEvent]:
        """One token for each."""
        return [self._next(answer) for answer in self._answers.values()]

    def remove(self, request_id: str) -> None:
        """Drop a request; the host does so when an answer has ended, too."""
        self._answers.pop(request_id, None)

    def unload(self) -> None:
        """Forget everything."""
        self._answers.clear()
        self._chances = []

    def status(self) -> EngineStatus:
        """How many requests are under way."""
        return EngineStatus(slots_total=self._slots, slots_busy=len(self._answers))

    def _next(self, answer: _Answer) -> TokenEvent:
        request = answer.request
        chances = self._chances[answer.last]
        logprobs = [math.log(chance) for chance in chances]
        token = _drawn(answer, logprobs)
        done = len(request.prompt) if not answer.said else None
        answer.said.append(token)
        answer.last = token if token != END else answer.last
        if request.top_logprobs is None:
            return TokenEvent(request_id=request.request_id, token=token, prompt_done=done)
        likely = sorted(range(len(chances)), key=lambda one: (-logprobs[one], one))[: request.top_logprobs]
        return TokenEvent(
            request_id=request.request_id,
            token=token,
            prompt_done=done,
            logprob=logprobs[token],
            top=tuple((one, logprobs[one]) for one in likely),
        )


def _drawn(answer: _Answer, logprobs: Sequence[float]) -> int:
    """A token, by chance or the likeliest, of those that the constraint allows."""
    request = answer.request
    allowed = list(range(len(logprobs)))
    if request.constraint is not None:
        mask = request.constraint.mask(list(answer.said))
        allowed = [token for token in allowed if mask[token // 8] >> token % 8 & 1]
    if request.sampling.temperature == 0:
        return max(allowed, key=lambda token: (logprobs[token], -token))
    # From the likeliest down: a small temperature makes the others nothing, and none of them too much for a number.
    most = max(logprobs[token] for token in allowed)
    weights = [math.exp((logprobs[token] - most) / request.sampling.temperature) for token in allowed]
    return answer.draw.choices(allowed, weights)[0]


def _learned(text: bytes) -> list[list[float]]:
    """For each byte, how likely each token follows it; nothing is quite impossible."""
    counts = [[0.01] * (END + 1) for _ in range(END + 1)]
    for byte, follower in itertools.pairwise(text):
        counts[byte][follower] += 1
    if text:
        counts[text[-1]][END] += 1
    return [[count / sum(row) for count in row] for row in counts]
