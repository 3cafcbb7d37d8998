"""How long workers stay while nobody asks them: who is due to be unloaded."""

from __future__ import annotations

from collections.abc import Callable, Collection

from rbee.contract.durations import FOR_EVER, keep_alive_s
from rbee.contract.errors import ConfigurationError
from rbee.queen.idleness import idle_s, may_be_stopped
from rbee.queen.standing import Standings
from rbee.settings import Settings
from rbee.telemetry import TelemetryRegistry, WorkerEntry


class Keeping:
    """Judges; stops nobody.

    The word of the last request counts first, as with Ollama, unless something was said of its model since; then what
    was said of its model, then the colony's.
    A pinned model stays whatever a request says.

    Args:
        telemetry: the colony.
        standings: what was said of models.
        default_s: the colony's word, in seconds; -1 for ever.
        clock: the telemetry's.
        rush_s: how long a worker stays at most that was started for a rush.
        wanted: whether somebody waits for a slot at a worker of a model, which then stays.
    """

    def __init__(
        self,
        telemetry: TelemetryRegistry,
        standings: Standings,
        default_s: float,
        clock: Callable[[], float],
        rush_s: float = FOR_EVER,
        wanted: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._wanted = wanted
        self._telemetry = telemetry
        self._standings = standings
        self._default_s = default_s
        self._clock = clock
        self._said: dict[str, float] = {}
        self._rushed: set[str] = set()
        self._rush_s = rush_s

    def said(self, worker_id: str, seconds: float | None) -> None:
        """A request's word, for the worker that has answered it; None when it said nothing."""
        if seconds is not None:
            self._said[worker_id] = seconds

    def rushed(self, worker_ids: Collection[str]) -> None:
        """These were started because requests waited: they go when that is over, and others of their model stay."""
        self._rushed.update(worker_ids)

    def unsaid(self, worker_id: str) -> None:
        """Something newer was said than all requests had."""
        self._said.pop(worker_id, None)

    def kept_s(self, entry: WorkerEntry) -> float:
        """How long a worker stays while idle, in seconds; -1 for ever."""
        kept = self._kept_s(entry)
        if entry.worker_id not in self._rushed or self._rush_s == FOR_EVER:
            return kept
        return self._rush_s if kept == FOR_EVER else min(kept, self._rush_s)

    def _kept_s(self, entry: WorkerEntry) -> float:
        if self.pinned(entry):
            return FOR_EVER
        said = self._said.get(entry.worker_id)
        if said is not None:
            return said
        standing = self._standings.of(entry.model_id)
        if standing is not None and standing.keep_alive_s is not None:
            return standing.keep_alive_s
        return self._default_s

    def pinned(self, entry: WorkerEntry) -> bool:
        """Whether a worker's model must stay."""
        return self._standings.pinned(entry.model_id)

    def left_s(self, entry: WorkerEntry) -> float | None:
        """Seconds until a worker is unloaded if nobody asks it; None for never, and while it is not ours to stop."""
        kept = self.kept_s(entry)
        if kept == FOR_EVER or not may_be_stopped(entry):
            return None
        return max(0.0, kept - idle_s(entry, self._clock())) if entry.idle else kept

    def due(self) -> list[WorkerEntry]:
        """Workers whose time is over."""
        return [
            entry
            for entry in self._telemetry.find_idle_workers()
            if self.left_s(entry) == 0 and not (entry.model_id is not None and self._wanted(entry.model_id))
        ]

    def forget(self, known: Callable[[str], bool]) -> None:
        """Drop the words for workers that are gone."""
        for worker_id in [one for one in self._said if not known(one)]:
            del self._said[worker_id]
        self._rushed = {one for one in self._rushed if known(one)}


def configured_keep_alive_s(settings: Settings) -> float:
    """The colony's word, in seconds.

    Raises:
        ConfigurationError: it is no span of time.
    """
    try:
        return keep_alive_s(settings.queen.keep_alive)
    except ValueError as error:
        raise ConfigurationError(f"The setting queen.keep_alive: {error}") from error
