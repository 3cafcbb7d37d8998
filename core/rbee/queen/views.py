"""Telemetry as the scheduler sees it: frozen values, made for one decision."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from rbee.contract.types import ModelVariant
from rbee.contract.wire import LearnedMemory
from rbee.gateway import NO_TRAITS, Traits
from rbee.queen.coming import Coming, held_by, less
from rbee.queen.held import HeldIndex
from rbee.queen.history import History
from rbee.queen.idleness import idle_s, is_idle, is_ours
from rbee.scheduler import Candidate, Failure, HiveView, gpu_free, idle_worker, ram_free
from rbee.telemetry import HiveRecord, TelemetryRegistry, WorkerEntry

FailureOf = Callable[[str, str], tuple[float, str, int] | None]
"""When and why a model last failed to load on a hive, and how often in a row, by canonical name and hive."""

LoadOf = Callable[[str, str], float | None]
"""Seconds that a model lately took to load on a hive, by canonical name and hive; None when unknown."""


LearnedOf = Callable[[Iterable[str], str], tuple[LearnedMemory, ...]]
"""What workers of models, by canonical name, have needed on a hive, or elsewhere."""


class Views:
    """Makes them.

    Args:
        telemetry: the colony.
        held: what lies on the disks.
        clock: the telemetry's.
        failure: when and why a variant last failed to load on a hive.
        barred: why a worker is to get nothing for now; None when it may.
        history: of the requests that workers had.
        load_s: how long a model lately took to load on a hive.
        pinned: whether a model's workers must stay.
        learned: what workers have needed of memory.
        coming: starts under way, by hive.
        fetch_bytes_s: how quickly a hive fetches models.
        leaves: whether a worker is being stopped for having been idle.
    """

    def __init__(
        self,
        telemetry: TelemetryRegistry,
        held: HeldIndex,
        clock: Callable[[], float],
        failure: FailureOf,
        barred: Callable[[str], str | None] = lambda _: None,
        history: History | None = None,
        load_s: LoadOf = lambda *_: None,
        pinned: Callable[[str | None], bool] = lambda _: False,
        learned: LearnedOf = lambda *_: (),
        coming: Callable[[str], Sequence[Coming]] = lambda _: (),
        fetch_bytes_s: Callable[[str], float | None] = lambda _: None,
        leaves: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._fetch_bytes_s = fetch_bytes_s
        self._leaves = leaves
        self._load_s = load_s
        self._pinned = pinned
        self._learned = learned
        self._coming = coming
        self.history = history or History()
        self._telemetry = telemetry
        self._barred = barred
        self._held = held
        self._clock = clock
        self._failure = failure

    def candidates(self, model_ids: Sequence[str], traits: Traits = NO_TRAITS) -> list[Candidate]:
        """Workers of any of the models; costs what these have workers.

        Args:
            model_ids: canonical names.
            traits: of the request.
        """
        return [
            self._candidate(entry, traits)
            for model_id in model_ids
            for entry in self._telemetry.find_workers_by_model(model_id)
        ]

    def candidate(self, worker_id: str) -> Candidate | None:
        """One worker; None when it is not known."""
        entry = self._telemetry.get_worker(worker_id)
        return None if entry is None else self._candidate(entry, NO_TRAITS)

    def hives(self, variants: Sequence[ModelVariant], *, coming: bool = True, busy: bool = False) -> list[HiveView]:
        """All hives as places for a new worker of a model.

        Args:
            variants: of what is to be placed.
            coming: what starts under way will take is not free.
            busy: workers count as idle whose requests have still to end.
        """
        held = self._held
        model_ids = frozenset(variant.model_id for variant in variants)
        # What lies nowhere yet may lie anywhere: only a hive's catalogue says where a file in place is.
        in_place = frozenset(
            one.model_id for one in variants if one.in_place is not None and held.holders(one.model_id)
        )
        views = []
        for record in self._telemetry.list_all_hives():
            plain = _hive(
                self._telemetry,
                record,
                model_ids,
                in_place,
                held,
                self._clock(),
                self._failure,
                self._load_s,
                self._pinned,
                self._leaves,
                is_ours if busy else is_idle,
            )
            plain = msgspec.structs.replace(plain, fetch_bytes_s=self._fetch_bytes_s(record.hive_id))
            views.append(self._less_coming(plain, record, model_ids, self._coming(record.hive_id) if coming else ()))
        return views

    def _less_coming(
        self, view: HiveView, record: HiveRecord, model_ids: frozenset[str], starts: Sequence[Coming]
    ) -> HiveView:
        """The view with what was learned, and without what starts under way will take."""
        learned = self._learned(model_ids, record.hive_id)
        if not learned and not starts:
            return view
        held = held_by(starts, record)
        return msgspec.structs.replace(
            view,
            threads_free=less(view.threads_free, held.threads),
            ram_free_bytes=less(view.ram_free_bytes, held.ram_bytes),
            gpu_free_bytes={
                name: max(0, free - held.gpu_bytes.get(name, 0)) for name, free in view.gpu_free_bytes.items()
            },
            learned=learned,
        )

    def _candidate(self, entry: WorkerEntry, traits: Traits) -> Candidate:
        return Candidate(
            view=self.history.view(entry, traits),
            state=entry.state,
            presence=self._telemetry.presence(entry),
            routable=self._telemetry.is_routable(entry),
            capabilities=entry.capabilities,
            device=entry.device,
            barred=self._barred(entry.worker_id),
        )


def _hive(
    telemetry: TelemetryRegistry,
    record: HiveRecord,
    model_ids: frozenset[str],
    in_place: frozenset[str],
    held: HeldIndex,
    now: float,
    failure: FailureOf,
    load_s: LoadOf,
    pinned: Callable[[str | None], bool],
    leaves: Callable[[str], bool],
    may_go: Callable[[WorkerEntry], bool],
) -> HiveView:
    info = record.info
    promised = () if info is None else info.memory
    here = model_ids & held.on(record.hive_id).keys()
    failed = {model_id: found for model_id in model_ids if (found := failure(model_id, record.hive_id)) is not None}
    return HiveView(
        hive_id=record.hive_id,
        online=telemetry.is_hive_online(record.hive_id) and record.url is not None,
        accepting=info is None or info.operational_status == "ready",
        devices=record.devices,
        engines=record.engines,
        threads_free=info.threads_free if info is not None else None,
        ram_free_bytes=ram_free(record.node, record.devices or (), promised),
        gpu_free_bytes=gpu_free(record.node, record.devices or (), promised),
        idle=tuple(
            idle_worker(
                entry.worker_id,
                idle_s(entry, now),
                entry.device,
                entry.backend,
                entry.sample,
                load_s(entry.model_id or "", record.hive_id),
                pinned=pinned(entry.model_id),
            )
            for entry in telemetry.get_workers_on_hive(record.hive_id)
            if entry.model_id not in model_ids and may_go(entry) and not leaves(entry.worker_id)
        ),
        held=here,
        elsewhere=in_place - here,
        failed={model_id: Failure(now - when, why, times) for model_id, (when, why, times) in failed.items()},
        age_s=telemetry.hive_age(record.hive_id),
        labels={} if info is None else info.labels,
    )
