"""Recorded decisions made again by another policy: what would change.  Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec

from rbee.contract.policy import Policy
from rbee.scheduler.recorded import Recorded, decide
from rbee.scheduler.values import Decision, Start, Use, Wait


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A decision that would come out otherwise.

    Attributes:
        recorded: as it was.
        decision: as it would be.
    """

    recorded: Recorded
    decision: Decision


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """What another policy makes of recorded decisions.

    Each is made again from what was known when it was made: what would have followed from another choice is not.

    Attributes:
        decisions: how many there were.
        changes: those that would come out otherwise, in the same order.
        before: decisions by what was chosen, in a few words.
        after: the same, as they would be.
    """

    decisions: int
    changes: tuple[Change, ...]
    before: dict[str, int]
    after: dict[str, int]


def replay(recorded: Iterable[Recorded], policy: Policy) -> Replayed:
    """Make decisions again.

    Args:
        recorded: as they were.
        policy: orders workers in place of the one that did.
    """
    changes = []
    before: Counter[str] = Counter()
    after: Counter[str] = Counter()
    for one in recorded:
        decision = decide(one.request, one.snapshot, policy)
        was, becomes = outcome(one.decision), outcome(decision)
        before[was] += 1
        after[becomes] += 1
        if was != becomes:
            changes.append(Change(recorded=one, decision=decision))
    return Replayed(decisions=before.total(), changes=tuple(changes), before=dict(before), after=dict(after))


def outcome(decision: Decision) -> str:
    """What was chosen, in a few words: whether two decisions come to the same."""
    if isinstance(decision, Use):
        return decision.worker_id
    if isinstance(decision, Start):
        return f"start on {decision.hive_id}"
    return "wait" if isinstance(decision, Wait) else "refuse"
