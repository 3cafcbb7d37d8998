"""A load as a file tells it: who asks for what, how often, and for how much."""

from __future__ import annotations

import random
from typing import Annotated

import msgspec
from msgspec import Meta

from rbee.contract.figures import ModelFigures
from rbee.contract.types import ModelFile, ModelVariant
from rbee.simulation.fleet import Gib, Name

Tokens = Annotated[int, Meta(ge=1, le=1_000_000)]
Share = Annotated[float, Meta(ge=0, le=1)]
Weight = Annotated[float, Meta(ge=0, le=1_000_000)]
Span = Annotated[float, Meta(gt=0, le=31 * 86_400)]

_Z95 = 1.6448536269514722
"""Standard deviations above the mean below which 95 of 100 lie."""
_GIB = 1024**3


class Length(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long texts are, in tokens.

    With a `median`, lengths are distributed log-normally so that `p95` is what 95 of 100 do not exceed, cut at the
    bounds; without, evenly between the bounds.

    Attributes:
        median: half are shorter; None for an even distribution.
        p95: None for texts that are all as long as the median.
        least: lower bound.
        most: upper bound.
    """

    median: Tokens | None = None
    p95: Tokens | None = None
    least: Tokens = 1
    most: Tokens = 8192

    def __post_init__(self) -> None:
        if self.least > self.most:
            raise ValueError(f"`least` is {self.least} and may be {self.most} (`most`) at the most")
        if self.p95 is not None and (self.median is None or self.p95 < self.median):
            raise ValueError("`p95` needs a `median`, which may not be greater")

    def draw(self, dice: random.Random) -> int:
        """One length."""
        if self.median is None:
            return dice.randint(self.least, self.most)
        factor = 1.0
        if self.p95 is not None and self.p95 > self.median:
            factor = (self.p95 / self.median) ** (dice.gauss(0.0, 1.0) / _Z95)
        return max(self.least, min(self.most, round(self.median * factor)))


class Figures(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of a model, for the memory of its cache: see `rbee.contract.figures.ModelFigures`."""

    layers: Tokens
    heads: Tokens
    embedding_length: Tokens
    kv_heads: Tokens | None = None
    vocabulary: Tokens | None = None
    context_length: Tokens | None = None


class ModelLoad(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model and what is asked of it.

    Attributes:
        name: as the fleet names it.
        weights_gib: size of its weights, which are its files.
        copies: so many models alike, ``NAME-1`` and so on, each as popular as the next; machines that are to run NAME
            take them in turn.
        share: how often it is asked for, beside the others.
        format: of its files.
        figures: for a better estimate of its memory.
        prompt: lengths; None for the load's.
        answer: lengths; None for the load's.
    """

    name: Name
    weights_gib: Gib
    copies: Annotated[int, Meta(ge=1, le=10_000)] = 1
    share: Weight = 1.0
    format: Name = "gguf"
    figures: Figures | None = None
    prompt: Length | None = None
    answer: Length | None = None

    def names(self) -> tuple[str, ...]:
        """Of all its copies."""
        return (self.name,) if self.copies == 1 else tuple(f"{self.name}-{one}" for one in range(1, self.copies + 1))

    def variant(self, name: str) -> ModelVariant:
        """The artefact of a copy."""
        size = int(self.weights_gib * _GIB)
        told = {} if self.figures is None else msgspec.structs.asdict(self.figures)
        return ModelVariant(
            model_id=name,
            name=name,
            vendor="simulated",
            format=self.format,
            files=(ModelFile(name="weights", size_bytes=size),),
            figures=ModelFigures(weights_bytes=size, **told),
        )


class Arrivals(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When requests come: at random, independently of each other (Poisson), or as recorded.

    Attributes:
        rate: requests a second, on average.
        daily: how the rate changes over a day: any number of figures, as of 24 hours, whose mean stands for `rate`.
        recorded: file with a JSON object a line, ``{"at": 0.25, "model": ..., "prompt_tokens": ..., "answer_tokens":
            ..., "key": ..., "session": ...}``; all but ``at`` may be missing.  Relative to the file of the load.
    """

    rate: Annotated[float, Meta(gt=0, le=1_000_000)] | None = None
    daily: Annotated[tuple[Weight, ...], Meta(max_length=1440)] = ()
    recorded: str | None = None

    def __post_init__(self) -> None:
        if (self.rate is None) == (self.recorded is None):
            raise ValueError("give either `rate` or `recorded`")
        if self.daily and not sum(self.daily):
            raise ValueError("one figure of `daily` has to be above 0")


class Sessions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Conversations, whose every prompt begins with all that was said before.

    Attributes:
        share: of the conversations that have more than one request.
        turns: requests of such a one, on average.
        think_s: seconds from one request to the next, on average.
    """

    share: Share
    turns: Annotated[float, Meta(ge=1, le=1000)] = 4.0
    think_s: Span = 60.0


class Prefixes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Beginnings that prompts for a model have in common, as the instructions of an application.

    Attributes:
        count: of them, for each model, equally popular.
        tokens: of each.
    """

    count: Annotated[int, Meta(ge=1, le=10_000)]
    tokens: Tokens


class Key(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose requests they are.

    Attributes:
        name: of the key.
        share: of the requests, beside the other keys.
        batch: nobody waits for their first tokens.
    """

    name: Name
    share: Weight = 1.0
    batch: bool = False


class Load(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that is asked.

    Attributes:
        duration_s: how long requests come; all are answered.
        warmup_s: what comes in the first seconds is not counted.
        ttft_limit_s: a request counts as well served whose first token comes in so many seconds.
        arrivals: when.
        models: for which models.
        zipf: their shares are 1 / place to this power, in their order, instead of `share`.
        prompt: lengths of what is new in each prompt.
        answer: lengths of answers.
        sessions: None for single requests.
        prefixes: None when prompts begin differently.
        keys: whose they are; none for one and the same.
    """

    duration_s: Span
    arrivals: Arrivals
    models: Annotated[tuple[ModelLoad, ...], Meta(min_length=1, max_length=10_000)]
    warmup_s: Annotated[float, Meta(ge=0, le=31 * 86_400)] = 0.0
    ttft_limit_s: Span = 2.0
    zipf: Annotated[float, Meta(ge=0, le=10)] | None = None
    prompt: Length = Length(median=256)
    answer: Length = Length(median=128)
    sessions: Sessions | None = None
    prefixes: Prefixes | None = None
    keys: tuple[Key, ...] = ()

    def __post_init__(self) -> None:
        if self.warmup_s >= self.duration_s:
            raise ValueError("`warmup_s` has to be less than `duration_s`")
        if self.keys and not sum(key.share for key in self.keys):
            raise ValueError("the `share` of one key has to be above 0")
        if self.zipf is None and not sum(model.share for model in self.models):
            raise ValueError("the `share` of one model has to be above 0")
