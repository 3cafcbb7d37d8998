"""The queen's latest decisions, each with what it was made from."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from rbee.contract.errors import NotFoundError
from rbee.contract.policy import Policy, WorkerView
from rbee.contract.wire import DecisionLine, DecisionList, Explanation
from rbee.scheduler import (
    Candidate,
    Decision,
    PlaceRequest,
    Recorded,
    Snapshot,
    Use,
    decided,
    explain,
    hive_of,
)

_A_REQUEST = 16
"""Decisions kept of one request, the last ones: who waits long is looked at again and again."""

_MOST_SEEN = 250_000
"""Workers and hives, as they were, in all decisions together: about 150 MB.  It counts in a large fleet alone."""

_A_HIVE = 5
"""A hive in a decision takes the memory of so many workers."""


class Quick(NamedTuple):
    """A decision among workers that were known to do, as it is noted on a request's way: told in full when asked for.

    Attributes:
        at: seconds since 1970.
        policy: whose order was followed.
        candidates: workers of the model, as they were when it was last looked who would do.
        views: those that had a slot, as they were at the decision.
        worker_id: that was chosen.
        request: makes what was wanted.
    """

    at: float
    policy: str
    candidates: tuple[Candidate, ...]
    views: Sequence[WorkerView]
    worker_id: str
    request: Callable[[], PlaceRequest]


class _Request:
    __slots__ = ("made", "model", "seen")

    def __init__(self, model: str) -> None:
        self.model = model
        self.seen = 0
        """What its decisions take, in workers."""
        self.made: list[Recorded | Quick] = []


class Decisions:
    """A ring of the last requests that were decided about.

    Args:
        most: requests that are kept; 0 for none.
        policies: that may have decided, and whose scores are told where they have.
        most_seen: workers that may be in all decisions together, a hive counting as some; of the newest request the
            last decision is kept whatever it takes.
    """

    def __init__(self, most: int, *policies: Policy, most_seen: int = _MOST_SEEN) -> None:
        self._most = most
        self._policies = {policy.name: policy for policy in reversed(policies)}
        self._most_seen = most_seen
        self._seen = 0
        self._requests: OrderedDict[str, _Request] = OrderedDict()

    def quick(self, request_id: str, model: str, decision: Quick) -> None:
        """Note a decision of the common kind."""
        if self._most and request_id:
            self._put(self._of(request_id, model), decision, len(decision.views))

    def full(
        self,
        request_id: str,
        model: str,
        request: PlaceRequest,
        snapshot: Snapshot,
        decision: Decision,
        policy: str,
        tried: tuple[str, ...] = (),
    ) -> None:
        """Note any decision.  The same one again, of a request that waits, is noted once."""
        if not self._most or not request_id:
            return
        found = self._of(request_id, model)
        made = found.made
        last = made[-1] if made else None
        if isinstance(last, Recorded) and last.decision == decision and not isinstance(decision, Use):
            return
        recorded = Recorded(
            request_id=request_id,
            model=model,
            at=datetime.now(UTC),
            policy=policy,
            request=request,
            snapshot=snapshot,
            decision=decision,
            tried=tried,
        )
        self._put(found, recorded, _seen(recorded))

    def explain(self, request_id: str) -> Explanation:
        """Why a request went where it went.

        Raises:
            NotFoundError: nothing is known of it any more.
        """
        found = self._requests.get(request_id)
        if found is None:
            raise NotFoundError(
                f"No decision about request {request_id!r} is known; the last {self._most} requests are kept "
                "at most (queen.decisions). `rbee explain` lists them."
            )
        return Explanation(
            request_id=request_id,
            model=found.model,
            decisions=tuple(explain(one, self._policies.get(one.policy)) for one in self._told(request_id, found)),
        )

    def recent(self, limit: int) -> DecisionList:
        """The requests last decided about, the newest first."""
        lines: list[DecisionLine] = []
        for request_id, found in reversed(self._requests.items()):
            if len(lines) >= limit:
                break
            lines.append(_line(request_id, found))
        return DecisionList(decisions=tuple(lines))

    def recorded(self, request_id: str | None = None) -> Iterator[Recorded]:
        """All decisions that are kept, or those about one request, the oldest first.

        Raises:
            NotFoundError: nothing is known of that request.
        """
        if request_id is not None and request_id not in self._requests:
            self.explain(request_id)
        for one, found in list(self._requests.items()):
            if request_id in {None, one}:
                yield from self._told(one, found)

    def _of(self, request_id: str, model: str) -> _Request:
        found = self._requests.get(request_id)
        if found is None:
            if len(self._requests) >= self._most:
                self._seen -= self._requests.popitem(last=False)[1].seen
            found = self._requests[request_id] = _Request(model)
        else:
            self._requests.move_to_end(request_id)
        return found

    def _put(self, found: _Request, one: Recorded | Quick, seen: int) -> None:
        found.made.append(one)
        found.seen += seen
        self._seen += seen
        if len(found.made) > _A_REQUEST:
            self._pop(found)
        while self._seen > self._most_seen:
            request_id, oldest = next(iter(self._requests.items()))
            if len(oldest.made) > 1:
                self._pop(oldest)
            elif oldest is not found:
                del self._requests[request_id]
                self._seen -= oldest.seen
            else:
                break

    def _pop(self, found: _Request) -> None:
        gone = _seen(found.made.pop(0))
        found.seen -= gone
        self._seen -= gone

    @staticmethod
    def _told(request_id: str, found: _Request) -> Iterator[Recorded]:
        for one in found.made:
            yield _full(request_id, found.model, one)


def _line(request_id: str, found: _Request) -> DecisionLine:
    last, count = found.made[-1], len(found.made)
    if isinstance(last, Quick):
        # Not told in full for this: that costs what the model has workers.
        where = next((view.hive_id for view in last.views if view.worker_id == last.worker_id), None)
        at = datetime.fromtimestamp(last.at, UTC)
        return DecisionLine(
            request_id=request_id,
            at=at,
            model=found.model,
            decided="use",
            worker_id=last.worker_id,
            hive_id=where,
            decisions=count,
        )
    return DecisionLine(
        request_id=request_id,
        at=last.at,
        model=found.model,
        decided=decided(last.decision),
        worker_id=last.decision.worker_id if isinstance(last.decision, Use) else None,
        hive_id=hive_of(last),
        decisions=count,
    )


def _seen(one: Recorded | Quick) -> int:
    """How much a decision takes, in workers; those that many decisions share are none of one's own."""
    if isinstance(one, Quick):
        return len(one.views)
    return len(one.snapshot.candidates) + len(one.snapshot.hives or ()) * _A_HIVE


def _full(request_id: str, model: str, one: Recorded | Quick) -> Recorded:
    if isinstance(one, Recorded):
        return one
    fresh = {view.worker_id: view for view in one.views}
    # Who is not among the views and would do had no slot.
    candidates = tuple(
        msgspec.structs.replace(
            candidate,
            view=fresh.get(candidate.view.worker_id) or msgspec.structs.replace(candidate.view, slots_free=0),
        )
        for candidate in one.candidates
    )
    return Recorded(
        request_id=request_id,
        model=model,
        at=datetime.fromtimestamp(one.at, UTC),
        policy=one.policy,
        request=one.request(),
        snapshot=Snapshot(candidates=candidates),
        decision=Use(worker_id=one.worker_id),
    )
