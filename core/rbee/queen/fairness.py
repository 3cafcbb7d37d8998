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
        flow: of the request.
    """

    finish: float
    number: int
    flow: Flow


class FairClock:
    """Gives out tickets.

    Self-clocked fair queueing: a request's ticket is the virtual time at which it would be done if every flow got its
    share, that is, the later of now and its flow's last ticket, plus its cost by the flow's weight.  Now is the ticket
    of whoever was last called.  So flows get shares of the tokens in proportion to their weights, however many requests
    each sends, a flow that comes new is not behind all that others have queued up, none is ever starved, and within a
    flow it is first come, first served.  It has the fairness of deficit round robin and gives those who wait one order,
    in which a place can be told.  Who goes without being served costs his flow nothing: a client that gives up and
    comes again stands where it stood.

    Source: S. J. Golestani, A self-clocked fair queueing scheme for broadband applications, INFOCOM 1994.

    Args:
        now: virtual time at which it begins.

    Attributes:
        latest: the highest virtual time that a ticket has had, or at which it began.
    """

    def __init__(self, now: float = 0.0) -> None:
        self._now = self.latest = now
        self._waiting: dict[Flow, list[float]] = {}
        """Virtual times at which the requests of a flow that wait would be done, rising; no flow without any."""
        self._numbers = count()

    def ticket(self, flow: Flow, cost: float) -> Ticket:
        """A new one.

        Args:
            flow: of the request.
            cost: tokens, roughly; above 0.
        """
        weight = _BATCH if flow.batch else _INTERACTIVE
        # Whoever of the flow was served was done by now: those who wait are all of its past that counts.
        waiting = self._waiting.setdefault(flow, [])
        finish = max(self._now, waiting[-1] if waiting else 0.0) + cost / weight
        waiting.append(finish)
        self.latest = max(self.latest, finish)
        return Ticket(finish, next(self._numbers), flow)

    def called(self, ticket: Ticket) -> None:
        """The request with that ticket is served."""
        self._now = max(self._now, ticket.finish)
        self.left(ticket)

    def left(self, ticket: Ticket) -> None:
        """The request with that ticket waits no longer; harmless when it was served or has left before."""
        waiting = self._waiting.get(ticket.flow)
        if waiting is None or ticket.finish not in waiting:
            return
        waiting.remove(ticket.finish)
        if not waiting:
            del self._waiting[ticket.flow]


def flow_of(traits: Traits) -> Flow:
    """The flow to which a request belongs."""
    return Flow(traits.key, traits.batch)


def cost_of(traits: Traits) -> float:
    """About how many tokens a request is."""
    prompt = _PROMPT_TOKENS if traits.prompt_tokens is None else traits.prompt_tokens
    answer = _ANSWER_TOKENS if traits.max_tokens is None else min(traits.max_tokens, _MOST_ANSWER_TOKENS)
    return max(1.0, float(prompt + answer))
