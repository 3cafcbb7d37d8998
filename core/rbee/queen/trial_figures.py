"""Speeds out of what was heard of answers that ran at the same time.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median

import msgspec

from rbee.contract.wire import BenchRow

_SEVERAL = frozenset({"streams", "rounds", "prefill_spread", "decode_spread"})
"""What a row says besides the figures of one round."""

_ENOUGH = 4
"""Tokens of each answer that must come while all of them run, or what comes before and after counts too."""


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """One answer.  Times are seconds of one clock.

    Attributes:
        sent_at: when it was asked for.
        texts: when how many pieces of text came, in order; about a piece a token.
        prompt_tokens: of its prompt, those from a cache left out; None when the worker did not tell.
        tokens: of the answer, likewise.
    """

    sent_at: float
    texts: tuple[tuple[float, int], ...]
    prompt_tokens: int | None
    tokens: int | None

    @property
    def first_at(self) -> float:
        """When its first text came."""
        return self.texts[0][0]

    @property
    def last_at(self) -> float:
        """When its last text came."""
        return self.texts[-1][0]

    def tokens_within(self, start: float, end: float) -> float:
        """Tokens that came after `start` and up to `end`."""
        pieces = sum(count for _, count in self.texts)
        within = sum(count for at, count in self.texts if start < at <= end)
        return within * (1.0 if self.tokens is None else self.tokens / pieces)


def row_of(heard: Sequence[Heard]) -> BenchRow:
    """Speeds of answers that were asked for at the same time; of answers without any text nothing is known."""
    spoke = [one for one in heard if one.texts]
    if not spoke or len(spoke) < len(heard):
        return _row(len(heard))
    total = _decode(spoke)
    return _row(
        len(heard),
        prompt_tokens=_mean_count(one.prompt_tokens for one in spoke),
        tokens=_mean_count(one.tokens for one in spoke),
        first_token_s=sum(one.first_at - one.sent_at for one in spoke) / len(spoke),
        prefill_tok_s=_prefill(spoke),
        prefill_total_tok_s=_prefill_total(spoke),
        decode_tok_s=None if total is None else total / len(spoke),
        decode_total_tok_s=total,
    )


def median_of(rounds: Sequence[BenchRow]) -> BenchRow:
    """Several rounds in one row: what else a machine did meanwhile shows in their spread, and not in the figures.

    Args:
        rounds: of the same number of answers, at least one.
    """
    figures = {name: _median(rounds, name) for name in BenchRow.__struct_fields__ if name not in _SEVERAL}
    return BenchRow(
        streams=rounds[0].streams,
        rounds=len(rounds),
        prefill_spread=_spread(rounds, "prefill_total_tok_s"),
        decode_spread=_spread(rounds, "decode_tok_s"),
        **figures,  # type: ignore[arg-type]  # counts are whole already
    )


def _known(rounds: Sequence[BenchRow], name: str) -> list[float]:
    return [value for one in rounds if (value := getattr(one, name)) is not None]


def _median(rounds: Sequence[BenchRow], name: str) -> float | None:
    known = _known(rounds, name)
    if not known:
        return None
    middle = median(known)
    return round(middle) if isinstance(known[0], int) else _rounded(middle)


def _spread(rounds: Sequence[BenchRow], name: str) -> float | None:
    known = _known(rounds, name)
    return None if len(known) < 2 else round((max(known) - min(known)) / median(known), 4)  # one alone


def _row(streams: int, **found: float | None) -> BenchRow:
    rounded = {name: _rounded(value) for name, value in found.items()}
    unknown = dict.fromkeys((name for name in BenchRow.__struct_fields__ if name not in _SEVERAL), None)
    return BenchRow(streams=streams, **{**unknown, **rounded})  # type: ignore[arg-type]  # counts are whole already


def _rounded(value: float | None) -> float | None:
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _mean_count(counts: Iterable[int | None]) -> int | None:
    known = [one for one in counts if one is not None]
    return round(sum(known) / len(known)) if known else None


def _prefill(spoke: Sequence[Heard]) -> float | None:
    speeds = [_speed(one.prompt_tokens, one.first_at - one.sent_at) for one in spoke if one.prompt_tokens is not None]
    known = [speed for speed in speeds if speed is not None]
    return sum(known) / len(known) if len(known) == len(spoke) else None


def _prefill_total(spoke: Sequence[Heard]) -> float | None:
    counts = [one.prompt_tokens for one in spoke if one.prompt_tokens is not None]
    if len(counts) < len(spoke):
        return None
    return _speed(sum(counts), max(one.first_at for one in spoke) - min(one.sent_at for one in spoke))


def _decode(spoke: Sequence[Heard]) -> float | None:
    """Of all answers, while all run; where that is too short, from the first text of any to the last of any."""
    start, end = max(one.first_at for one in spoke), min(one.last_at for one in spoke)
    tokens = sum(one.tokens_within(start, end) for one in spoke)
    if tokens < _ENOUGH * len(spoke):
        start, end = min(one.first_at for one in spoke), max(one.last_at for one in spoke)
        tokens = sum(one.tokens_within(start, end) for one in spoke)
    return _speed(tokens, end - start)


def _speed(tokens: float, seconds: float) -> float | None:
    return tokens / seconds if tokens > 0 and seconds > 0 else None
