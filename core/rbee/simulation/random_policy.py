"""A baseline that knows nothing."""

from __future__ import annotations

import random
from collections.abc import Sequence

from rbee.contract.policy import Policy, RequestView, WorkerView


class RandomPolicy(Policy):
    """Anybody.  It is not pure, so that no colony has it: what it decided could not be explained.

    Args:
        seed: of its dice.
    """

    name = "random"

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)  # noqa: S311  # repeatable is what is wanted

    def rank(self, workers: Sequence[WorkerView], request: RequestView) -> Sequence[WorkerView]:
        """See `Policy.rank`."""
        first = self._dice.randrange(len(workers))
        return [workers[first], *workers[:first], *workers[first + 1 :]]
