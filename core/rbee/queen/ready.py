"""The decision of the common case, made cheap: which workers could take a request for a name, until that changes.

It is the same decision as `scheduler.place` makes: the filters do not look at slots, so that what they let through
stays the same from one request to the next; slots and order are looked at for each.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

from rbee.contract.policy import Policy, WorkerView
from rbee.gateway import NO_TRAITS, Traits
from rbee.queen.history import request_view
from rbee.queen.names import ModelNames, Resolved
from rbee.queen.views import Views
from rbee.scheduler import Candidate, Wish, suits
from rbee.telemetry import TelemetryRegistry, WorkerEntry

_REMEMBERED = 1_000

_Stamp = tuple[int, int, Hashable]


class _Able:
    __slots__ = ("candidates", "entries", "found", "stamp")

    def __init__(
        self, stamp: _Stamp, found: Resolved, entries: dict[str, WorkerEntry], candidates: tuple[Candidate, ...]
    ) -> None:
        self.stamp = stamp
        self.found = found
        self.entries = entries
        self.candidates = candidates


class Best(NamedTuple):
    """Where a request goes, and from what that was decided.

    Attributes:
        entry: the worker.
        found: what the request's name means.
        among: workers that could have taken it, with a slot or without.
        views: of those that had a slot.
        candidates: all workers of the model, as they were when it was last looked who would do.
    """

    entry: WorkerEntry
    found: Resolved
    among: int
    views: Sequence[WorkerView]
    candidates: tuple[Candidate, ...]


class ReadyWorkers:
    """Workers that could take a request now.

    Args:
        telemetry: the colony.
        names: from names to models.
        views: of the colony.
        bars: something else whenever other workers may be barred than before.
        policy: orders workers.
        crowded: whether somebody waits for a slot at a worker of the model, and so comes first.
    """

    def __init__(
        self,
        telemetry: TelemetryRegistry,
        names: ModelNames,
        views: Views,
        bars: Callable[[], Hashable],
        policy: Policy,
        crowded: Callable[[Resolved], bool],
    ) -> None:
        self._telemetry = telemetry
        self._names = names
        self._views = views
        self._bars = bars
        self._policy = policy
        self._crowded = crowded
        self._known: dict[tuple[str, bool, str | None], _Able] = {}

    def best(self, name: str, wish: Wish, *, trusted: bool, traits: Traits = NO_TRAITS) -> Best | None:
        """The worker to send a request to.

        Args:
            name: as the request has it.
            wish: what is asked of the worker; its capability alone.
            trusted: as in `ModelNames.resolve`.
            traits: of the request.

        Returns:
            None when nobody can take it this instant, or the vendors would have to be asked what the name means.

        Raises:
            RbeeError: as `ModelNames.resolve`.
        """
        name, trusted = self._names.meant(name, trusted=trusted)
        key = (name, trusted, wish.capability)
        stamp = (self._telemetry.version(), self._names.changes, self._bars())
        able = self._known.get(key)
        if able is None or able.stamp != stamp:
            able = self._look(key, wish, stamp)
            if able is None:
                return None
        entries = able.entries
        if not entries or self._crowded(able.found):
            return None
        views = self._views.history.views(entries.values(), traits, free=True)
        if not views:
            return None
        first = views[0] if len(views) == 1 else self._policy.rank(views, request_view(traits))[0]
        return Best(entries[first.worker_id], able.found, len(entries), views, able.candidates)

    def _look(self, key: tuple[str, bool, str | None], wish: Wish, stamp: _Stamp) -> _Able | None:
        found = self._names.present(key[0], trusted=key[1])
        if found is None:
            self._known.pop(key, None)
            return None
        entries = {}
        candidates = tuple(self._views.candidates(found.model_ids))
        for one in candidates:
            entry = self._telemetry.get_worker(one.view.worker_id)
            if entry is not None and suits(wish, one):
                entries[entry.worker_id] = entry
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        able = self._known[key] = _Able(stamp, found, entries, candidates)
        return able
