"""The operation `bench`: what is asked of it, and what it found."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from rbee.contract.wire.operations import OperationRequest

_Ref = Annotated[str, Meta(min_length=1, max_length=4096)]
_Id = Annotated[str, Meta(min_length=1, max_length=256)]
_Streams = Annotated[int, Meta(ge=1, le=256)]


class Bench(OperationRequest, frozen=True, kw_only=True, omit_defaults=True):
    """``bench``, at the queen; `hive_id` for the workers of one machine.

    Attributes:
        model: any name of a model that workers serve; None for all that are served.
        worker_id: that worker alone.
        streams: numbers of answers at the same time.
        prompt_tokens: length of the prompts, roughly.
        tokens: of each answer, at the most.
        rounds: how often each number of answers is measured.
    """

    model: _Ref | None = None
    worker_id: _Id | None = None
    streams: Annotated[tuple[_Streams, ...], Meta(min_length=1, max_length=16)] = (1, 4, 8)
    prompt_tokens: Annotated[int, Meta(ge=16, le=1_000_000)] = 512
    tokens: Annotated[int, Meta(ge=16, le=100_000)] = 64
    rounds: Annotated[int, Meta(ge=1, le=100)] = 3


class BenchRow(msgspec.Struct, frozen=True, kw_only=True):
    """A worker's speeds with so many answers at the same time; None where the worker does not tell enough.

    Of several rounds each figure is the median of those that told it.

    Attributes:
        streams: answers at the same time.
        prompt_tokens: of one prompt, as the worker counted them; the mean.
        tokens: of one answer, likewise.
        first_token_s: seconds to the first text of an answer; the mean.
        prefill_tok_s: tokens of one prompt a second, up to the first text.
        prefill_total_tok_s: of all prompts together.
        decode_tok_s: tokens of one answer a second while all run.
        decode_total_tok_s: of all answers together.
        rounds: that were measured.
        prefill_spread: how far `prefill_total_tok_s` of the rounds lie apart, the most less the least, as a share of
            the median; None for fewer than two rounds.
        decode_spread: likewise of `decode_tok_s`.
    """

    streams: int
    prompt_tokens: int | None
    tokens: int | None
    first_token_s: float | None
    prefill_tok_s: float | None
    prefill_total_tok_s: float | None
    decode_tok_s: float | None
    decode_total_tok_s: float | None
    rounds: int = 1
    prefill_spread: float | None = None
    decode_spread: float | None = None


class BenchFailure(msgspec.Struct, frozen=True, kw_only=True):
    """Why a worker could not be measured."""

    code: str
    message: str


class WorkerBench(msgspec.Struct, frozen=True, kw_only=True):
    """What one worker does.

    Attributes:
        worker_id: which.
        model_id: canonical name of its model.
        model_name: short name.
        hive_id: its machine.
        engine: that runs the model.
        device: of the machine.
        slots: answers at the same time.
        rows: one for each number of answers that was measured.
        left_out: numbers of answers for which it has too few slots.
        failed: why it could not be measured, or no further; None when it was.
    """

    worker_id: str
    model_id: str | None
    model_name: str | None
    hive_id: str | None
    engine: str | None
    device: str | None
    slots: int | None
    rows: tuple[BenchRow, ...] = ()
    left_out: tuple[int, ...] = ()
    failed: BenchFailure | None = None


class Benched(msgspec.Struct, frozen=True, kw_only=True):
    """Result of ``bench``."""

    workers: tuple[WorkerBench, ...]
