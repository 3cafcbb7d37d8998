"""Processor threads, handed out so that workers side by side never ask for more than there are."""

from __future__ import annotations

from rbee.contract.errors import NoPlacementError


class ThreadBudget:
    """Threads by worker; the sum of grants never exceeds the total.

    A worker gets half of what is free, rounded up: the first on a machine of 8 gets 4, the next 2, then 1 and 1.  An
    engine cannot change its threads while it runs, so giving everything to the first would leave nothing for a second,
    and two engines that both spin on all cores are a hundred times slower than one.

    Args:
        total: threads for all workers together, at least 1.
    """

    def __init__(self, total: int) -> None:
        self.total = max(1, total)
        self._granted: dict[str, int] = {}

    @property
    def free(self) -> int:
        """Threads not granted."""
        return max(0, self.total - sum(self._granted.values()))

    def grant(self, worker_id: str) -> int:
        """Threads for a worker.

        Raises:
            NoPlacementError: none are left.
        """
        if worker_id in self._granted:
            return self._granted[worker_id]
        if self.free < 1:
            raise NoPlacementError(
                f"All {self.total} processor threads are given to workers: {', '.join(sorted(self._granted))}. "
                "Stop one of them, or raise the setting hive.threads.",
                retry_after_s=5,
            )
        self._granted[worker_id] = (self.free + 1) // 2
        return self._granted[worker_id]

    def note(self, worker_id: str, threads: int) -> None:
        """A worker found running has these."""
        self._granted[worker_id] = threads

    def give_back(self, worker_id: str) -> None:
        """The worker has ended; harmless when it had none."""
        self._granted.pop(worker_id, None)
