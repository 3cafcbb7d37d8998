"""The operation `bench`: workers measured one after the other, each while it does nothing else."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

from rbee.contract.errors import NotFoundError, RbeeError, UnreachableError
from rbee.contract.types import Capability
from rbee.contract.wire import Bench, Benched, BenchFailure, BenchRow, WorkerBench
from rbee.gateway import Outcome, Pool
from rbee.jobs import Narrator, parse
from rbee.queen.dispatcher import QueenDispatcher
from rbee.queen.leases import WorkerLease
from rbee.queen.names import ModelNames
from rbee.queen.rates import Rates
from rbee.queen.trial_figures import median_of
from rbee.queen.trials import Trial
from rbee.queen.wanted import Wanted
from rbee.telemetry import TelemetryRegistry, WorkerEntry

_ROUTES = (Capability.COMPLETIONS, Capability.CHAT)


class Benching:
    """Measures workers.  All slots of a worker are taken for as long as it is measured: other requests go elsewhere, or
    wait as they do when it is busy.

    Args:
        telemetry: the workers.
        names: from names to models.
        dispatcher: gives slots.
        rates: told what was found, which counts from then on.
    """

    def __init__(
        self, telemetry: TelemetryRegistry, names: ModelNames, dispatcher: QueenDispatcher, rates: Rates
    ) -> None:
        self._telemetry = telemetry
        self._names = names
        self._dispatcher = dispatcher
        self._rates = rates
        self._pool = Pool()
        # Workers of one machine would measure each other.
        self._one_at_a_time = asyncio.Lock()

    def close(self) -> None:
        """Close the connections to workers."""
        self._pool.close()

    async def bench(self, body: dict[str, Any], say: Narrator) -> Benched:
        """Measure the workers of a model, or of all models."""
        asked = parse(body, Bench)
        entries = self._meant(asked)
        if self._one_at_a_time.locked():
            say.say("queen", "bench", "Waits for another trial to end")
        async with self._one_at_a_time:
            progress = _Progress(say, [asked.rounds * len(_within(entry, asked.streams)) for entry in entries])
            alone = len(entries) == 1
            found = [await self._measure(entry, asked, progress, say, alone=alone) for entry in entries]
        return Benched(workers=tuple(found))

    def _meant(self, asked: Bench) -> list[WorkerEntry]:
        """The workers that are to be measured, by id.

        Raises:
            NotFoundError: there is none; says what to do.
        """
        entries = sorted(self._served(asked.model), key=lambda entry: entry.worker_id)
        if asked.hive_id is not None:
            entries = [entry for entry in entries if entry.hive_id == asked.hive_id]
        if asked.worker_id is not None:
            entries = [entry for entry in entries if entry.worker_id == asked.worker_id]
        able = [entry for entry in entries if _route(entry) is not None]
        if able:
            return able
        if entries:
            raise NotFoundError(f"Worker {entries[0].worker_id!r} generates no text, which is what is measured.")
        of = "" if asked.model is None else f" serves {asked.model[:200]!r}"
        if asked.worker_id is not None:
            raise NotFoundError(f"No worker {asked.worker_id!r}{of}; `rbee ps` lists them.")
        where = "" if asked.hive_id is None else f" on hive {asked.hive_id!r}"
        name = "MODEL" if asked.model is None else asked.model[:200]
        raise NotFoundError(f"No worker{of or ' takes requests'}{where}. Load the model first: rbee load {name}")

    def _served(self, model: str | None) -> Sequence[WorkerEntry]:
        if model is None:
            return self._telemetry.list_routable_workers()
        name, trusted = self._names.meant(model, trusted=True)
        found = self._names.present(name, trusted=trusted)
        model_ids = () if found is None else found.model_ids
        entries = [entry for one in model_ids for entry in self._telemetry.find_workers_by_model(one)]
        return [entry for entry in entries if self._telemetry.is_routable(entry)]

    async def _measure(
        self, entry: WorkerEntry, asked: Bench, progress: _Progress, say: Narrator, *, alone: bool
    ) -> WorkerBench:
        """Measure one; only where it is the only one an error is raised."""
        rounds: dict[int, list[BenchRow]] = {}
        failed = None
        streams = _within(entry, asked.streams)
        try:
            async with self._alone(entry, max(streams, default=1), say) as lease:
                await _unless_lost(lease, self._rounds(entry, lease, asked, streams, rounds, progress, say))
        except RbeeError as error:
            if alone and not rounds:
                raise
            failed = BenchFailure(code=error.code, message=error.message)
            say.say("queen", "bench", f"{entry.worker_id} could not be measured: {error.message}", entry.worker_id)
        rows = [median_of(some) for some in rounds.values()]
        if rows:
            decode = {row.streams: row.decode_tok_s for row in rows if row.decode_tok_s is not None}
            self._rates.tried(entry, rows[0].prefill_total_tok_s, decode)
        return WorkerBench(
            worker_id=entry.worker_id,
            model_id=entry.model_id,
            model_name=entry.model_name,
            hive_id=entry.hive_id,
            engine=entry.implementation,
            device=entry.device,
            slots=entry.slots_total,
            rows=tuple(rows),
            left_out=tuple(sorted(set(asked.streams) - set(streams))),
            failed=failed,
        )

    async def _rounds(
        self,
        entry: WorkerEntry,
        lease: WorkerLease,
        asked: Bench,
        streams: Sequence[int],
        rounds: dict[int, list[BenchRow]],
        progress: _Progress,
        say: Narrator,
    ) -> None:
        trial = Trial(
            self._pool,
            lease.target,
            entry.worker_id,
            entry.model_name or lease.model_id,
            _route(entry) or Capability.CHAT,
            entry.context_length,
            asked.prompt_tokens,
            asked.tokens,
        )
        await trial.warm_up()
        # Each number of answers once, and then again: what disturbs some seconds disturbs one round of each.
        for number in range(1, asked.rounds + 1):
            of = "" if asked.rounds == 1 else f", round {number} of {asked.rounds}"
            for count in streams:
                at_once = "1 answer" if count == 1 else f"{count} answers at the same time"
                say.say("queen", "bench", f"Measuring {entry.worker_id} with {at_once}{of}", entry.worker_id)
                progress.tell()
                rounds.setdefault(count, []).append(await trial.round(count))
                progress.step()

    @contextlib.asynccontextmanager
    async def _alone(self, entry: WorkerEntry, streams: int, say: Narrator) -> AsyncIterator[WorkerLease]:
        """All slots of a worker, for as long as the block lasts; waits until its answers have ended."""
        wanted = Wanted(
            model=entry.model_id or "",
            capability=_route(entry),
            worker_id=entry.worker_id,
            tell=say.relay,
            keep=False,
            trusted=True,
        )
        reached = True
        leases: list[WorkerLease] = []
        try:
            for _ in range(max(streams, entry.slots_total or 1)):
                leases.append(await self._dispatcher.place(wanted))  # noqa: PERF401  # kept one by one: each goes back
            yield leases[0]
        except UnreachableError:
            reached = False
            raise
        finally:
            for lease in leases:
                lease.finish(Outcome(reached=reached))


class _Progress:
    """Of all workers together."""

    def __init__(self, say: Narrator, rounds: Sequence[int]) -> None:
        self._say = say
        self._total = sum(rounds)
        self._done = 0
        self.tell()

    def step(self) -> None:
        """One more round is over."""
        self._done += 1
        self.tell()

    def tell(self) -> None:
        """Say how far it is: also beside a new sentence, with which a terminal begins a new line."""
        self._say.progress("bench", self._done, self._total, "rounds")


def _route(entry: WorkerEntry) -> Capability | None:
    """How the worker is asked for text; None when it generates none.  One that does not tell is asked to chat."""
    if entry.capabilities is None:
        return Capability.CHAT
    return next((one for one in _ROUTES if one in entry.capabilities), None)


def _within(entry: WorkerEntry, streams: Sequence[int]) -> list[int]:
    """Numbers of answers for which the worker has slots, the fewest first."""
    return [one for one in sorted(set(streams)) if entry.slots_total is None or one <= entry.slots_total]


async def _unless_lost(lease: WorkerLease, work: Any) -> None:
    """Await some work, and give it up when the worker turns out dead or hung.

    Raises:
        UnreachableError: it did.
    """
    doing = asyncio.ensure_future(work)
    lost = asyncio.Event()

    def lose() -> None:
        lost.set()
        doing.cancel()

    lease.watch(lose)
    try:
        await asyncio.wait([doing])
    finally:
        if not doing.done():
            doing.cancel()
            await asyncio.gather(doing, return_exceptions=True)
    if lost.is_set() and doing.cancelled():
        raise UnreachableError(f"Worker {lease.worker_id!r} died or hangs.")
    doing.result()
