"""A decision with all that it was made from: enough to make it again."""

from __future__ import annotations

from datetime import datetime

import msgspec

from rbee.contract.policy import Policy
from rbee.scheduler.place import place
from rbee.scheduler.values import Candidate, Decision, HiveView, PlaceRequest


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """What was known when a decision was made.

    Attributes:
        candidates: workers of the model.
        hives: None where they were not looked at, since a worker would do.
    """

    candidates: tuple[Candidate, ...]
    hives: tuple[HiveView, ...] | None = None


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """One decision.

    Attributes:
        request_id: of the request; one may have several decisions.
        model: as the request named it.
        at: when, in UTC.
        policy: whose order was followed.
        request: what was wanted.
        snapshot: what was known.
        decision: what came out.
        tried: workers that had failed with the request before, and are not in the snapshot.
    """

    request_id: str
    model: str
    at: datetime
    policy: str
    request: PlaceRequest
    snapshot: Snapshot
    decision: Decision
    tried: tuple[str, ...] = ()


def decide(request: PlaceRequest, snapshot: Snapshot, policy: Policy) -> Decision:
    """The decision from a snapshot: equal ones give equal decisions."""
    return place(request, snapshot.candidates, lambda: snapshot.hives or (), policy)
