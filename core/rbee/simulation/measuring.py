"""What came of a load."""

from __future__ import annotations

from array import array
from collections import Counter

import msgspec

from rbee.simulation.load import Load
from rbee.simulation.requests import Request


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds, by how many in a hundred were not longer; None when there were none."""

    p50: float | None
    p95: float | None
    p99: float | None


class KeyOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the requests of one key.

    Attributes:
        requests: that were counted.
        answered: of these.
        tokens: of prompts and answers.
        ttft_s: seconds from a request's arrival to the first token.
    """

    requests: int
    answered: int
    tokens: int
    ttft_s: Spread


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a load with one policy; the same for equal input.

    Attributes:
        policy: its name.
        requests: that were counted: those after the warm-up.
        answered: of these.
        refused: the others, by the code of the error.
        waited: requests that had to wait for a slot or a load.
        ttft_s: seconds from the arrival to the first token.
        answer_s: seconds from the arrival to the whole answer.
        wait_s: seconds from the arrival until a worker had the request, of those that waited.
        goodput: answers a second whose first token came within the load's limit.
        answers_s: answers a second.
        loads: workers that were started.
        evictions: workers that were stopped for others.
        unloads: workers that were stopped for being idle.
        failed_loads: starts that came to nothing, since a hive had less room than its last beat said, or a worker that
            was to make room was in use again.
        utilisation: share of the time in which devices computed that had a worker at the end, by group of hives.
        cached: share of the prompts' tokens that were taken from caches.
        decisions: how often it was decided where a request goes.
        simulated_s: until the last answer.
        keys: by key, where the load has keys.
    """

    policy: str
    requests: int
    answered: int
    refused: dict[str, int]
    waited: int
    ttft_s: Spread
    answer_s: Spread
    wait_s: Spread
    goodput: float
    answers_s: float
    loads: int
    evictions: int
    unloads: int
    failed_loads: int
    utilisation: dict[str, float]
    cached: float
    decisions: int
    simulated_s: float
    keys: dict[str, KeyOutcome]


class _Key:
    def __init__(self) -> None:
        self.requests = 0
        self.tokens = 0
        self.first = array("d")


class Measure:
    """Takes notes.

    Args:
        load: whose limit and warm-up count.
    """

    def __init__(self, load: Load) -> None:
        self._from = load.warmup_s
        self._seconds = load.duration_s - load.warmup_s
        self._limit = load.ttft_limit_s
        self._requests = 0
        self._waited = 0
        self._good = 0
        self._prompts = 0
        self._computed = 0
        self._refused: Counter[str] = Counter()
        self._first = array("d")
        self._whole = array("d")
        self._wait = array("d")
        self._keys: dict[str, _Key] = {}
        self.loads = 0
        self.evictions = 0
        self.unloads = 0
        self.failed_loads = 0
        self.decisions = 0

    def came(self, request: Request) -> None:
        """A request."""
        if request.at >= self._from:
            self._requests += 1
            if request.key:
                self._keys.setdefault(request.key, _Key()).requests += 1

    def refused(self, request: Request, code: str) -> None:
        """It gets no answer."""
        if request.at >= self._from:
            self._refused[code] += 1

    def answered(self, request: Request, sent_at: float, first_at: float, now: float, computed: int) -> None:
        """It was answered.

        Args:
            request: which.
            sent_at: when a worker got it.
            first_at: when its first token came.
            now: when it was complete.
            computed: tokens of its prompt that were in no cache.
        """
        if request.at < self._from:
            return
        first = first_at - request.at
        self._first.append(first)
        self._whole.append(now - request.at)
        self._good += first <= self._limit
        self._prompts += request.prompt_tokens
        self._computed += computed
        if request.waited:
            self._waited += 1
            self._wait.append(sent_at - request.at)
        if request.key:
            key = self._keys[request.key]
            key.tokens += request.prompt_tokens + request.answer_tokens
            key.first.append(first)

    def outcome(self, policy: str, now: float, utilisation: dict[str, float]) -> Outcome:
        """All of it.

        Args:
            policy: its name.
            now: end of the simulation.
            utilisation: by group of hives.
        """
        return Outcome(
            policy=policy,
            requests=self._requests,
            answered=len(self._first),
            refused=dict(sorted(self._refused.items())),
            waited=self._waited,
            ttft_s=_spread(self._first),
            answer_s=_spread(self._whole),
            wait_s=_spread(self._wait),
            goodput=self._good / self._seconds,
            answers_s=len(self._first) / self._seconds,
            loads=self.loads,
            evictions=self.evictions,
            unloads=self.unloads,
            failed_loads=self.failed_loads,
            utilisation=utilisation,
            cached=1 - self._computed / self._prompts if self._prompts else 0.0,
            decisions=self.decisions,
            simulated_s=now,
            keys={
                name: KeyOutcome(
                    requests=one.requests, answered=len(one.first), tokens=one.tokens, ttft_s=_spread(one.first)
                )
                for name, one in sorted(self._keys.items())
            },
        )


def _spread(seconds: array[float]) -> Spread:
    ordered = sorted(seconds)
    return Spread(p50=_share(ordered, 50), p95=_share(ordered, 95), p99=_share(ordered, 99))


def _share(ordered: list[float], percent: int) -> float | None:
    """The nearest rank: a value that was measured."""
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)] if ordered else None
