"""The requests of a load, one after the other: the same ones for the same seed, whatever becomes of them."""

from __future__ import annotations

import heapq
import random
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, count

import msgspec

from rbee.gateway import Traits
from rbee.simulation.load import Arrivals, Load

BLOCK_TOKENS = 128
"""Tokens of a prompt that are known or not as one: about what the gateway hashes as one."""
_MOST_BLOCKS = 128
"""Blocks of a prompt that the gateway looks at."""
_DAY_S = 86_400.0
_APART = 1 << 20
"""Between the numbers of two prompts' blocks."""


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """One arrival of a recording; None where it does not say."""

    at: float
    model: str | None = None
    prompt_tokens: int | None = None
    answer_tokens: int | None = None
    key: str | None = None
    session: str | None = None


class Request:
    """One request.

    Attributes:
        number: from 0, in the order of arrival.
        at: when it comes, simulated seconds.
        model: name.
        prompt_tokens: of the whole prompt.
        answer_tokens: that the answer will have; nobody knows before.
        key: name of the key; empty for none.
        traits: what the queen knows of it.
        later: blocks of the next prompt of its session, as far as the answer goes; those of the prompt where there is
            no session.
        tries: how often it was in vain to load its model.
        waiting: it stands in a queue.
        waited: it had to wait.
    """

    __slots__ = (
        "answer_tokens", "at", "key", "later", "model", "number", "prompt_tokens", "traits", "tries",
        "waited", "waiting",
    )  # fmt: skip

    def __init__(
        self, number: int, at: float, model: str, prompt: int, answer: int, key: str, traits: Traits,
        later: tuple[int, ...],
    ) -> None:  # fmt: skip
        self.number = number
        self.at = at
        self.model = model
        self.prompt_tokens = prompt
        self.answer_tokens = answer
        self.key = key
        self.traits = traits
        self.later = later
        self.tries = 0
        self.waiting = False
        self.waited = False


class _Conversation:
    """What was said, and what is left to say."""

    __slots__ = ("batch", "history", "key", "left", "model", "name", "prefix", "root")

    def __init__(self, model: int, root: int, prefix: int, key: str, *, batch: bool, name: str | None) -> None:
        self.model = model
        self.root = root
        self.prefix = prefix
        self.key = key
        self.batch = batch
        self.name = name
        self.history = 0
        self.left = 0


class Requests:
    """Makes them.

    Args:
        load: what is asked.
        seed: of the dice.
        context_length: tokens that prompt and answer may have together.
        recorded: the arrivals, where the load has recorded ones.
    """

    def __init__(self, load: Load, seed: int, context_length: int, recorded: Sequence[Recorded] = ()) -> None:
        self._load = load
        self._recorded = recorded
        self._context = context_length
        self._dice = random.Random(seed)  # noqa: S311  # repeatable is what is wanted
        self._numbers = count()
        self._roots = count(1)
        self._models = [(name, one) for one in load.models for name in one.names()]
        self._places = {name: place for place, (name, _) in enumerate(self._models)}
        weights = [
            (place + 1) ** -load.zipf if load.zipf is not None else one.share / one.copies
            for place, (_, one) in enumerate(self._models)
        ]
        self._popularity = list(accumulate(weights))
        self._keys = list(accumulate(key.share for key in load.keys))

    def __iter__(self) -> Iterator[Request]:
        return self._replayed() if self._recorded else self._drawn()

    def _drawn(self) -> Iterator[Request]:
        """Conversations begin at random; their further requests come in between."""
        later: list[tuple[float, int, _Conversation]] = []
        order = count()
        sessions = self._load.sessions
        each = 1.0 if sessions is None else 1.0 - sessions.share + sessions.share * sessions.turns
        for at in _beginnings(self._load.arrivals, self._load.duration_s, each, self._dice):
            while later and later[0][0] <= at:
                when, _, talk = heapq.heappop(later)
                yield self._next(when, talk)
                self._go_on(when, talk, later, order)
            talk = self._begin()
            yield self._next(at, talk)
            self._go_on(at, talk, later, order)
        while later:
            when, _, talk = heapq.heappop(later)
            yield self._next(when, talk)
            self._go_on(when, talk, later, order)

    def _go_on(
        self, at: float, talk: _Conversation, later: list[tuple[float, int, _Conversation]], order: count[int]
    ) -> None:
        if talk.left <= 0 or self._load.sessions is None:
            return
        talk.left -= 1
        when = at + self._dice.expovariate(1 / self._load.sessions.think_s)
        if when < self._load.duration_s:
            heapq.heappush(later, (when, next(order), talk))

    def _begin(self) -> _Conversation:
        dice, sessions = self._dice, self._load.sessions
        long = sessions is not None and dice.random() < sessions.share
        talk = self._conversation(_drawn_of(self._popularity, dice))
        if long and sessions is not None:
            talk.name = f"session-{talk.root}"
            # Geometric: whether another turn follows does not depend on how many there were.
            stop = 1 / sessions.turns
            while dice.random() >= stop:
                talk.left += 1
        return talk

    def _conversation(self, model: int, name: str | None = None, key: str | None = None) -> _Conversation:
        dice, prefixes = self._dice, self._load.prefixes
        prefix = 0 if prefixes is None else 1 + model * prefixes.count + dice.randrange(prefixes.count)
        batch = False
        if self._keys:
            chosen = self._load.keys[_drawn_of(self._keys, dice)]
            known = {one.name: one for one in self._load.keys} if key is not None else {}
            chosen = known.get(key or "", chosen)
            batch, key = chosen.batch, key or chosen.name
        return _Conversation(model, next(self._roots), prefix, key or "", batch=batch, name=name)

    def _next(self, at: float, talk: _Conversation, prompt: int | None = None, answer: int | None = None) -> Request:
        name, model = self._models[talk.model]
        dice, prefixes = self._dice, self._load.prefixes
        fixed = 0 if prefixes is None else prefixes.tokens
        new = (model.prompt or self._load.prompt).draw(dice)
        told = (model.answer or self._load.answer).draw(dice)
        answer = min(told if answer is None else answer, self._context - 1)
        whole = fixed + talk.history + new if prompt is None else prompt
        if whole > self._context - answer:
            # What no longer fits begins anew, as clients cut off the oldest turns.
            talk.history, talk.root = 0, next(self._roots)
            whole = min(fixed + new if prompt is None else prompt, self._context - answer)
        talk.history = whole + answer - fixed if prompt is None else 0
        blocks = self._blocks(talk, fixed, whole)
        traits = Traits(key=talk.key, batch=talk.batch, session=talk.name, prompt_tokens=whole, blocks=blocks)
        later = blocks if talk.name is None else self._blocks(talk, fixed, whole + answer)
        return Request(next(self._numbers), at, name, whole, answer, talk.key, traits, later)

    @staticmethod
    def _blocks(talk: _Conversation, fixed: int, tokens: int) -> tuple[int, ...]:
        number = min(_MOST_BLOCKS, tokens // BLOCK_TOKENS)
        common = min(number, fixed // BLOCK_TOKENS)
        own = talk.root * 2 * _APART + _APART
        prefix = talk.prefix * 2 * _APART
        return (*range(prefix, prefix + common), *range(own, own + number - common))

    def _replayed(self) -> Iterator[Request]:
        talks: dict[str, _Conversation] = {}
        for one in self._recorded:
            model = _drawn_of(self._popularity, self._dice) if one.model is None else self._places[one.model]
            talk = None if one.session is None else talks.get(one.session)
            if talk is None:
                talk = self._conversation(model, one.session, one.key)
                if one.session is not None:
                    talks[one.session] = talk
            yield self._next(one.at, talk, one.prompt_tokens, one.answer_tokens)


def _beginnings(arrivals: Arrivals, duration_s: float, each: float, dice: random.Random) -> Iterator[float]:
    """Times of a Poisson process whose rate may change: drawn for the highest rate, and thinned."""
    daily = arrivals.daily
    highest = (arrivals.rate or 0.0) / each
    mean = sum(daily) / len(daily) if daily else 1.0
    if daily:
        highest *= max(daily) / mean
    at = 0.0
    while True:
        at += dice.expovariate(highest)
        if at >= duration_s:
            return
        if not daily or dice.random() * max(daily) < daily[int(at % _DAY_S / _DAY_S * len(daily))]:
            yield at


def _drawn_of(cumulated: list[float], dice: random.Random) -> int:
    return min(len(cumulated) - 1, bisect_right(cumulated, dice.random() * cumulated[-1]))
