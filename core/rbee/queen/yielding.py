"""Taking turns: busy workers that get nothing new, since another model has waited long enough for their room."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from types import TracebackType
from typing import Self

_REST = 2.0
"""A worker that has yielded in vain yields to nobody for this many times as long as it did."""


class Yielding:
    """Knows which workers yield.

    Without turns, a model that is asked for without a pause would keep its room from all others for ever.  Nobody's
    open request is cut for it: a worker whose requests last goes on with them, and is asked again when those who
    waited for it have given up.

    Args:
        turn_s: seconds that somebody has to have waited.
        model_of: the model of a worker; None when there is no such worker any more.
    """

    def __init__(self, turn_s: float, model_of: Callable[[str], str | None]) -> None:
        self._turn_s = turn_s
        self._model_of = model_of
        self._claims: dict[str, dict[Claim, float]] = {}
        """By worker: who claims its room, and since when by the event loop's clock."""
        self._rests: dict[str, float] = {}
        """By worker: until when it yields to nobody."""
        self._ended = asyncio.Event()
        self.changes = 0
        """Something else whenever `barred` may answer otherwise than before."""

    def claim(self, model_id: str) -> Claim:
        """For one request for a model; a context, at whose end nobody yields to it any more."""
        return Claim(self, self._turn_s, model_id)

    def barred(self, worker_id: str) -> str | None:
        """Why a worker is to get nothing now; None when it may."""
        claims = self._claims.get(worker_id)
        if not claims:
            return None
        return f"it gets nothing new: it is to make room for {next(iter(claims)).model_id}, which has waited its turn"

    def of(self, model_ids: Sequence[str]) -> bool:
        """Whether any worker of the models yields."""
        return any(self._model_of(worker_id) in model_ids for worker_id in self._claims)

    async def one_ends(self, within_s: float) -> bool:
        """Wait until somebody has got the room that he waited for, or has given up; whether that was in time."""
        try:
            async with asyncio.timeout(within_s):
                await self._ended.wait()
        except TimeoutError:
            return False
        return True

    def take(self, claim: Claim, worker_ids: Iterable[str]) -> None:
        """These workers yield, but for those that rest."""
        now = asyncio.get_running_loop().time()
        self._rests = {one: until for one, until in self._rests.items() if until > now}
        for worker_id in worker_ids:
            if worker_id not in self._rests:
                self._claims.setdefault(worker_id, {}).setdefault(claim, now)
                self.changes += 1

    def release(self, claim: Claim, keep: Collection[str] = (), *, vain: bool = True) -> None:
        """Nobody yields to this one any more.

        Args:
            claim: whose.
            keep: but for these.
            vain: those who yielded did so for nothing, and rest.
        """
        now = asyncio.get_running_loop().time()
        mine = [worker_id for worker_id, claims in self._claims.items() if claim in claims and worker_id not in keep]
        for worker_id in mine:
            since = self._claims[worker_id].pop(claim)
            if not self._claims[worker_id]:
                del self._claims[worker_id]
            if vain and self._model_of(worker_id) is not None:
                self._rests[worker_id] = now + _REST * (now - since)
        if mine:
            self.changes += 1
            self._ended.set()
            self._ended = asyncio.Event()


class Claim:
    """What one request that waits for room may ask of others.

    Args:
        owner: knows who yields.
        turn_s: seconds that it has to wait before.
        model_id: for which room is wanted.
    """

    def __init__(self, owner: Yielding, turn_s: float, model_id: str) -> None:
        self._owner = owner
        self._turn_s = turn_s
        self._due: float | None = None
        self.model_id = model_id

    def due_in(self) -> float:
        """Seconds until it may take room; they count from the first call, which is when it begins to wait."""
        now = asyncio.get_running_loop().time()
        if self._due is None:
            self._due = now + self._turn_s
        return max(0.0, self._due - now)

    def take(self, worker_ids: Iterable[str]) -> None:
        """See `Yielding.take`."""
        self._owner.take(self, worker_ids)

    def keep(self, worker_ids: Collection[str]) -> None:
        """Room was found, which only these have to make: the others serve again."""
        self._owner.release(self, worker_ids, vain=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._owner.release(self)
