"""The scheduler's decision about one request, as the colony is now, noted for whoever asks why."""

from __future__ import annotations

from collections.abc import Container

from rbee.gateway import Traits
from rbee.queen.decisions import Decisions
from rbee.queen.guarded import GuardedPolicy
from rbee.queen.history import request_view
from rbee.queen.names import Resolved
from rbee.queen.views import Views
from rbee.queen.wanted import Wanted
from rbee.scheduler import Decision, HiveView, PlaceRequest, Refusal, Snapshot, Start, Use, Wait, Wish, place
from rbee.settings import Settings


class Deciding:
    """Asks the scheduler.

    Args:
        views: of the colony.
        policy: orders workers.
        decisions: that are kept.
        settings: of new workers.
    """

    def __init__(self, views: Views, policy: GuardedPolicy, decisions: Decisions, settings: Settings) -> None:
        self._views = views
        self._policy = policy
        self._decisions = decisions
        self._context_length, self._slots = settings.worker.context_length, settings.worker.slots

    def request(self, found: Resolved, wish: Wish, traits: Traits) -> PlaceRequest:
        """A request as the scheduler takes it.

        Args:
            found: what its name means.
            wish: what is asked of a worker besides.
            traits: its own.
        """
        return PlaceRequest(
            capability=wish.capability,
            hive_id=wish.hive_id,
            worker_id=wish.worker_id,
            device=wish.device,
            variants=found.variants,
            context_length=self._context_length,
            slots=self._slots,
            view=request_view(traits),
        )

    def decide(
        self, request: PlaceRequest, found: Resolved, wanted: Wanted, without: Container[str]
    ) -> Use | Start | Wait | Refusal:
        """What is to be done about it.

        Args:
            request: as the scheduler takes it.
            found: what its name means.
            wanted: what it wants.
            without: hives on which nothing is started.
        """
        if wanted.tried and isinstance(here := self.now(request, found, wanted), Use):
            return here
        hives: list[HiveView] = []

        def looked_at() -> list[HiveView]:
            hives[:] = [one for one in self._views.hives(request.variants) if one.hive_id not in without]
            return hives

        candidates = self._views.candidates(found.model_ids, wanted.traits)
        decision = place(request, candidates, looked_at, self._policy)
        self._note(request, wanted, Snapshot(candidates=tuple(candidates), hives=tuple(hives) or None), decision)
        return decision

    def now(self, request: PlaceRequest, found: Resolved, wanted: Wanted) -> Use | Start | Wait | Refusal:
        """The decision among the workers there are, without those that have been tried; no hive is looked at."""
        candidates = self._views.candidates(found.model_ids, wanted.traits)
        if wanted.tried:
            candidates = [one for one in candidates if one.view.worker_id not in wanted.tried]
        decision = place(request, candidates, _no_hives, self._policy)
        if isinstance(decision, Use):
            self._note(request, wanted, Snapshot(candidates=tuple(candidates)), decision)
        return decision

    def _note(self, request: PlaceRequest, wanted: Wanted, snapshot: Snapshot, decision: Decision) -> None:
        policy, tried = self._policy.decided_by, tuple(sorted(wanted.tried))
        self._decisions.full(wanted.request_id, wanted.model, request, snapshot, decision, policy, tried)


def _no_hives() -> list[HiveView]:
    return []
