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
    __slots__ = ("made", "model")

    def __init__(self, model: str) -> None:
        self.model = model
        self.made: list[Recorded | Quick] = []


class Decisions:
    """A ring of the last requests that were decided about.

    Args:
        most: requests that are kept; 0 for none.
        policy: whose scores are told.
    """

    def __init__(self, most: int, policy: Policy) -> None:
        self._most = most
        self._policy = policy
        self._requests: OrderedDict[str, _Request] = OrderedDict()

    def quick(self, request_id: str, model: str, decision: Quick) -> None:
        """Note a decision of the common kind."""
        if self._most and request_id:
            self._of(request_id, model).append(decision)

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
        made = self._of(request_id, model)
        last = made[-1] if made else None
        if isinstance(last, Recorded) and last.decision == decision and not isinstance(decision, Use):
            return
        now = datetime.now(UTC)
        made.append(
            Recorded(
                request_id=request_id,
                model=model,
                at=now,
                policy=policy,
                request=request,
                snapshot=snapshot,
                decision=decision,
                tried=tried,
            )
        )

    def explain(self, request_id: str) -> Explanation:
        """Why a request went where it went.

        Raises:
            NotFoundError: nothing is known of it any more.
        """
        found = self._requests.get(request_id)
        if found is None:
            raise NotFoundError(
                f"No decision about request {request_id!r} is known; the last {self._most} requests are kept "
                "(queen.decisions). GET /v1/explain lists them."
            )
        return Explanation(
            request_id=request_id,
            model=found.model,
            decisions=tuple(explain(one, self._policy) for one in self._told(request_id, found)),
        )

    def recent(self, limit: int) -> DecisionList:
        """The requests last decided about, the newest first."""
        lines: list[DecisionLine] = []
        for request_id, found in reversed(self._requests.items()):
            if len(lines) >= limit:
                break
            last = _full(request_id, found.model, found.made[-1])
            lines.append(
                DecisionLine(
                    request_id=request_id,
                    at=last.at,
                    model=found.model,
                    decided=decided(last.decision),
                    worker_id=last.decision.worker_id if isinstance(last.decision, Use) else None,
                    hive_id=hive_of(last),
                    decisions=len(found.made),
                )
            )
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

    def _of(self, request_id: str, model: str) -> list[Recorded | Quick]:
        found = self._requests.get(request_id)
        if found is None:
            if len(self._requests) >= self._most:
                self._requests.popitem(last=False)
            found = self._requests[request_id] = _Request(model)
        elif len(found.made) >= _A_REQUEST:
            del found.made[0]
        return found.made

    @staticmethod
    def _told(request_id: str, found: _Request) -> Iterator[Recorded]:
        for one in found.made:
            yield _full(request_id, found.model, one)


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
