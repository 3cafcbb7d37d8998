"""Who of those that wait comes first: a fair share of the slots for each key, and interactive requests before batch."""

from __future__ import annotations

from itertools import count
from typing import NamedTuple

from rbee.gateway import Traits

_INTERACTIVE, _BATCH = 16.0, 1.0
"""Weights of the lanes: for one token of a batch request, sixteen of interactive ones, while both wait."""

_PROMPT_TOKENS = 256
_ANSWER_TOKENS = 256
_MOST_ANSWER_TOKENS = 1024
"""A bound on the answer is no forecast: beyond this it is not believed."""


class Flow(NamedTuple):
    """Requests that share one part of the slots.

    Attributes:
        key: whose they are.
        batch: nobody waits for their first token.
    """

    key: str = ""
    batch: bool = False


class Ticket(NamedTuple):
    """A place in one queue; the lower one is served first.

    Attributes:
        finish: virtual time at which the request would be done.
        number: of its arrival, between equals.
    """

    finish: float
    number: int


class FairClock:
    """Gives out tickets.

    Self-clocked fair queueing: a request's ticket is the virtual time at which it would be done if every flow got its
    share, that is, the later of now and its flow's last ticket, plus its cost by the flow's weight.  Now is the ticket
    of whoever was last called.  So flows get shares of the tokens in proportion to their weights, however many requests
    each sends, a flow that comes new is not behind all that others have queued up, none is ever starved, and within a
    flow it is first come, first served.  It has the fairness of deficit round robin and gives those who wait one order,
    in which a place can be told.

    Source: S. J. Golestani, A self-clocked fair queueing scheme for broadband applications, INFOCOM 1994.
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._last: dict[Flow, float] = {}
        self._numbers = count()

    def ticket(self, flow: Flow, cost: float) -> Ticket:
        """A new one.

        Args:
            flow: of the request.
            cost: tokens, roughly; above 0.
        """
        weight = _BATCH if flow.batch else _INTERACTIVE
        finish = max(self._now, self._last.get(flow, 0.0)) + cost / weight
        self._last[flow] = finish
        return Ticket(finish, next(self._numbers))

    def called(self, ticket: Ticket) -> None:
        """The request with that ticket is served."""
        self._now = max(self._now, ticket.finish)
        # Flows that are behind have no more of a past than one that comes new.
        for flow in [flow for flow, last in self._last.items() if last <= self._now]:
            del self._last[flow]


def flow_of(traits: Traits) -> Flow:
    """The flow to which a request belongs."""
    return Flow(traits.key, traits.batch)


def cost_of(traits: Traits) -> float:
    """About how many tokens a request is."""
    prompt = _PROMPT_TOKENS if traits.prompt_tokens is None else traits.prompt_tokens
    answer = _ANSWER_TOKENS if traits.max_tokens is None else min(traits.max_tokens, _MOST_ANSWER_TOKENS)
    return max(1.0, float(prompt + answer))
