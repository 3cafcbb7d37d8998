"""What a vendor writes whose inference library yields tokens."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import msgspec

from rbee.contract.engine import Engine, StageReport
from rbee.contract.tokenizer import Constraint, Tokenizer
from rbee.contract.types import LoadSpec


class Sampling(msgspec.Struct, frozen=True, kw_only=True):
    """How the next token is drawn; within bounds, the host has seen to that.

    The penalties look at the tokens of the answer; the factor of `repetition_penalty` also at the prompt's.

    Attributes:
        temperature: 0 is greedy, up to 2.
        top_p: nucleus, above 0; 1 is off.
        top_k: 0 is off.
        min_p: share of the most probable token's probability that a token must have; 0 is off.
        repetition_penalty: positive logits are divided by it, negative ones multiplied; 1 is off.
        presence_penalty: taken once from the logit of each token there; 0 is off.
        frequency_penalty: taken from it as often as the token is there; 0 is off.
        logit_bias: added to the logits of these tokens.
        seed: of this request's draws: the same request with the same seed gets the same answer when it runs alone.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: dict[int, float] = {}
    seed: int = 0


class TokenRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One request as a token engine gets it.

    Attributes:
        request_id: unique in the worker.
        prompt: tokens, at least one; with `max_tokens` they fit into the context.
        max_tokens: tokens to generate at most; the host drops the request when they are there.
        sampling: how tokens are drawn.
        constraint: what may come at each token; None for anything.  Only for engines with the capability
            ``json_schema`` or ``grammar``.
        top_logprobs: of how many of the likeliest tokens log probabilities are wanted, 0 for the chosen one's alone;
            None for none.  Only for engines with the capability ``logprobs``.
        ignore_ends: tokens that end an answer do not end this one.  The host ends answers at them; an engine that does
            so itself must not here.
    """

    request_id: str
    prompt: tuple[int, ...]
    max_tokens: int
    sampling: Sampling = Sampling()
    constraint: Constraint | None = None
    top_logprobs: int | None = None
    ignore_ends: bool = False


class TokenEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What a step did for one request.

    Attributes:
        request_id: whose.
        token: the next token of the answer; None in an event that only tells of the prompt, or of the end.
        finish: ``stop`` or ``length`` when the engine has ended the request and forgotten it; it need not: the host
            knows the tokens that end an answer and counts them, and drops a request by `remove`.
        logprob: of `token`, natural logarithm, before sampling parameters; None where not asked for.
        top: the likeliest tokens with their log probabilities, likeliest first.
        prompt_done: tokens of the prompt computed so far, or taken from a cache; None where nothing new is to tell.
        cached: tokens of the prompt taken from a cache, in the first event that knows it.
    """

    request_id: str
    token: int | None = None
    finish: str | None = None
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()
    prompt_done: int | None = None
    cached: int | None = None


class LoadedModel(msgspec.Struct, frozen=True, kw_only=True):
    """What the host must know of a model that a token engine has loaded.

    Attributes:
        tokenizer: its tokens.
        context_length: tokens of prompt and answer together, a request.
        slots: requests that the engine takes up at the same time, where these are fewer than it was asked for.
    """

    tokenizer: Tokenizer
    context_length: int
    slots: int | None = None


class TokenEngine(Engine):
    """An engine that yields tokens; the worker host does everything an OpenAI client sees.

    That is: chat templates, tools, reasoning, stop strings, structured output, several answers, log probabilities in
    OpenAI's shapes, usage, streams, the queue.  All methods but `availability` are called in one thread that belongs to
    the engine.  The host fills free slots with `add`, calls `step` while there is work, and `remove` to cancel.

    Declare the capabilities ``chat``, ``completions``, ``tools`` and ``continuation`` always: a worker offers those
    that its model can do.  ``logprobs`` says that events carry them, ``json_schema`` and ``grammar`` that constraints
    are kept.

    Attributes:
        sampling: names of the fields of `Sampling` that the engine honours; a request that asks for another is refused.

    A whole plugin: see ``contrib/rbee-echo``.
    """

    sampling: ClassVar[frozenset[str]] = frozenset({"temperature", "top_p", "seed"})

    @abstractmethod
    def load(self, spec: LoadSpec, report: StageReport) -> LoadedModel:
        """Load the model.

        Raises:
            EngineUnavailableError: the library or the device is missing.
            ModelFileError: the file is truncated or not a model; the message says what the library said.
            InsufficientMemoryError: it does not fit.
        """

    @abstractmethod
    def add(self, request: TokenRequest) -> None:
        """Take up a request; called only while fewer than ``slots`` are under way.

        Raises:
            RbeeError: this request cannot be answered; it ends with that error, the others go on.
        """

    @abstractmethod
    def step(self) -> Sequence[TokenEvent]:
        """Advance all requests by about one token each, or by a part of a prompt; blocks at most a step.

        What it raises is the end of the engine, and of its worker.
        """

    @abstractmethod
    def remove(self, request_id: str) -> None:
        """Drop a request at once; unknown and finished ones are ignored."""

    @abstractmethod
    def unload(self) -> None:
        """Release everything; harmless when nothing is loaded."""
