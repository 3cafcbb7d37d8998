"""A policy that is tried by a command: what it does wrong is told in one line, and nobody decides in its place."""

from __future__ import annotations

from collections.abc import Sequence

from rbee.contract.errors import PluginError
from rbee.contract.policy import Policy, RequestView, Scores, WorkerView


class CheckedPolicy(Policy):
    """Asks a policy.

    The queen asks another one where a policy fails, and its figures would be those of the other one here.

    Args:
        policy: to be asked.
    """

    def __init__(self, policy: Policy) -> None:
        self.name = policy.name  # type: ignore[misc]  # of the one that is asked, not of this class
        self._policy = policy

    def rank(self, workers: Sequence[WorkerView], request: RequestView) -> Sequence[WorkerView]:
        """See `Policy.rank`.

        Raises:
            PluginError: it fails, loses a worker or invents one.
        """
        try:
            ranked = self._policy.rank(workers, request)
            whole = len(ranked) == len(workers) and {id(one) for one in ranked} == {id(one) for one in workers}
        except (Exception, SystemExit) as error:
            what = " ".join(f"{type(error).__name__}: {error}".split())
            raise PluginError(self._told(f"fails with {what}")) from error
        if not whole:
            raise PluginError(self._told("loses a worker, or invents one"))
        return ranked

    def scores(self, workers: Sequence[WorkerView], request: RequestView) -> Scores:
        """See `Policy.scores`."""
        return self._policy.scores(workers, request)

    def _told(self, what: str) -> str:
        return f"The policy {self.name!r} {what}. In a colony 'balanced' would decide in its place."
