"""A policy that cannot hurt: what it gets wrong is decided by another one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from math import isfinite

from rbee.contract.policy import Policy, RequestView, Scores, WorkerView

log = logging.getLogger(__name__)

_SLOWEST_S = 0.05
_FAULTS = 3
"""Decisions in a row that went wrong, after which a policy is not asked for a while: the queen stands still while one
is slow, and each is a line in her log."""

_REST_S = 60.0


class GuardedPolicy(Policy):
    """Asks a policy, and the default one where that raises, loses or invents a worker, or takes longer than 50 ms.

    One of which that is true three times in a row is left alone for a minute.

    Args:
        policy: to be asked.
        default: in its place.
        clock: seconds that never go back.
        trusted: the policy is one of ours, whose order need not be looked at.

    Attributes:
        default: as given.
    """

    def __init__(self, policy: Policy, default: Policy, clock: Callable[[], float], *, trusted: bool = False) -> None:
        self._trusted = trusted
        self.name = policy.name  # type: ignore[misc]  # of the guarded one, not of this class
        self._policy = policy
        self.default = default
        self._clock = clock
        self._faults = 0
        self._rests_until = 0.0
        self.decided_by = policy.name
        """Name of the policy whose order the last decision followed."""

    def rank(self, workers: Sequence[WorkerView], request: RequestView) -> Sequence[WorkerView]:
        """See `Policy.rank`."""
        if self._trusted:
            return self._policy.rank(workers, request)
        started = self._clock()
        if started >= self._rests_until:
            ranked = self._ask(workers, request)
            took = self._clock() - started
            if took > _SLOWEST_S:
                self._slowed(took)
            elif ranked is not None:
                self._faults = 0
                self.decided_by = self.name
                return ranked
            self._went_wrong()
        self.decided_by = self.default.name
        return self.default.rank(workers, request)

    def scores(self, workers: Sequence[WorkerView], request: RequestView) -> Scores:
        """See `Policy.scores`; none where the policy fails, and without what is no number."""
        try:
            return {
                worker_id: {name: float(score) for name, score in told.items() if isfinite(score)}
                for worker_id, told in self._policy.scores(tuple(workers), request).items()
            }
        except Exception:
            log.warning("policy %s failed to tell its scores", self.name, exc_info=True)
            return {}

    def _ask(self, workers: Sequence[WorkerView], request: RequestView) -> Sequence[WorkerView] | None:
        """The policy's order; None when it gives none."""
        try:
            # Its own: what it does to a list would be done to the queen's.
            ranked = self._policy.rank(tuple(workers), request)
            whole = len(ranked) == len(workers) and {id(one) for one in ranked} == {id(one) for one in workers}
        except (Exception, SystemExit):
            # A plugin that means to end its own program must not end the queen's.
            log.warning("policy %s failed; %s decides in its place", self.name, self.default.name, exc_info=True)
            return None
        if not whole:
            log.warning("policy %s lost or invented a worker; %s decides in its place", self.name, self.default.name)
            return None
        return ranked

    def _slowed(self, took: float) -> None:
        log.warning(
            "policy %s took %.0f ms, of 50 at most; %s decides in its place",
            self.name,
            took * 1000,
            self.default.name,
        )

    def _went_wrong(self) -> None:
        self._faults += 1
        if self._faults >= _FAULTS:
            self._faults = 0
            self._rests_until = self._clock() + _REST_S
            log.warning(
                "policy %s is left alone for %.0f s: %d decisions in a row went wrong", self.name, _REST_S, _FAULTS
            )
