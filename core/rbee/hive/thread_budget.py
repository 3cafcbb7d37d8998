"""Processor threads, handed out so that workers side by side never spin against each other."""

from __future__ import annotations

from rbee.contract.errors import NoPlacementError


class ThreadBudget:
    """Threads by worker.

    A worker gets half of what is free, rounded up: the first on a machine of 8 gets 4, the next 2, then 1 and 1.  An
    engine cannot change its threads while it runs, so giving everything to the first would leave nothing for a second,
    and two engines that both spin on all cores are a hundred times slower than one.  Who wants it otherwise says how
    many one gets.

    The sum of grants never exceeds the total, but for workers that come when nothing is free and no limit was set:
    those get one thread each.  Engines of one thread share a core as any programs do; only those of several wait for
    threads of their own that do not run.

    Args:
        total: threads for all workers together, at least 1.
        fixed: somebody has set that total as a limit; else it is the number of cores.
        most: threads that one worker gets, as far as they are free; None for half of what is free.
    """

    def __init__(self, total: int, *, fixed: bool = True, most: int | None = None) -> None:
        self.total = max(1, total)
        self.fixed = fixed
        self._most = most
        self._granted: dict[str, int] = {}

    @property
    def granted(self) -> int:
        """Threads that workers have; above the total when there are more workers than cores."""
        return sum(self._granted.values())

    @property
    def free(self) -> int:
        """Threads not granted."""
        return max(0, self.total - self.granted)

    def grant(self, worker_id: str) -> int:
        """Threads for a worker.

        Raises:
            NoPlacementError: none are left, and the total is a limit.
        """
        if worker_id in self._granted:
            return self._granted[worker_id]
        if self.free < 1 and self.fixed:
            raise NoPlacementError(
                f"All {self.total} processor threads are given to workers: {', '.join(sorted(self._granted))}. "
                "Stop one of them, or raise the setting hive.threads.",
                retry_after_s=5,
            )
        share = (self.free + 1) // 2 if self._most is None else min(self._most, self.free)
        self._granted[worker_id] = max(1, share)
        return self._granted[worker_id]

    def note(self, worker_id: str, threads: int) -> None:
        """A worker found running has these."""
        self._granted[worker_id] = threads

    def give_back(self, worker_id: str) -> None:
        """The worker has ended; harmless when it had none."""
        self._granted.pop(worker_id, None)
