"""What the queen remembers of her requests, as far as it decides where the next one goes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from itertools import count

from rbee.contract.policy import RequestView, WorkerView
from rbee.contract.wire import RequestRecord
from rbee.gateway import NO_TRAITS, Traits
from rbee.queen.measuring import measured
from rbee.queen.prefixes import Prefixes
from rbee.queen.rates import Kind, Rates, Speed
from rbee.telemetry import WorkerEntry

_SESSIONS = 10_000


class History:
    """Who was asked when, for which session, with which beginning, and how quick it was.

    Args:
        clock: seconds that never go back.
        seen: when a worker has last told of itself, by that clock and by id; None when it has not.
        past: what is known of a kind of workers from before; None when nothing is.

    Attributes:
        rates: speeds.
    """

    def __init__(
        self,
        clock: Callable[[], float] = lambda: 0.0,
        seen: Callable[[str], float | None] = lambda _: None,
        past: Callable[[Kind], Speed | None] = lambda _: None,
    ) -> None:
        self._clock = clock
        self._seen = seen
        self.rates = Rates(past)
        self._prefixes = Prefixes()
        self._sessions: OrderedDict[tuple[str, str, str], str] = OrderedDict()
        """Worker of the last request, by key, session and model: two who call a session alike share none."""
        self._numbers = count(1)
        self._sent: dict[str, int] = {}

    def sent(self, entry: WorkerEntry, traits: Traits) -> None:
        """A request goes to a worker."""
        worker_id = entry.worker_id
        self._sent[worker_id] = next(self._numbers)
        self._prefixes.computed(worker_id, traits.blocks)
        if traits.session is not None:
            key = (traits.key, traits.session, entry.model_id or "")
            self._sessions[key] = worker_id
            self._sessions.move_to_end(key)
            if len(self._sessions) > _SESSIONS:
                self._sessions.popitem(last=False)

    def finished(self, entry: WorkerEntry, record: RequestRecord) -> None:
        """A request has ended there, and its place is free again."""
        speed = self.rates.speed(entry)
        found = measured(record, None if speed.prefill is None else speed.prefill.tok_s)
        if found.prefill_tok_s is not None or found.decode_tok_s is not None:
            # Between those that it met there and those that it leaves.
            left = entry.reserved + entry.external
            met = left if record.beside is None else record.beside
            self.rates.learn(entry, found, (met + left) // 2)

    def view(self, entry: WorkerEntry, traits: Traits = NO_TRAITS) -> WorkerView:
        """A worker as a policy sees it for a request."""
        return self.views((entry,), traits)[0]

    def views(
        self, entries: Iterable[WorkerEntry], traits: Traits = NO_TRAITS, *, free: bool = False
    ) -> list[WorkerView]:
        """Workers as a policy sees them for a request.

        Args:
            entries: the workers.
            traits: of the request.
            free: leave out those of which it is known that they have no slot.
        """
        now, seen, sent = self._clock(), self._seen, self._sent
        speeds, prefixes, blocks, session = self.rates, self._prefixes, traits.blocks, traits.session
        found = []
        for entry in entries:
            total, running = entry.slots_total, entry.reserved + entry.external
            slots_free = None if total is None else total - running if total > running else 0
            if free and slots_free == 0:
                continue
            worker_id, sample = entry.worker_id, entry.sample
            speed, seen_at = speeds.speed(entry), seen(worker_id)
            found.append(
                WorkerView(
                    worker_id=worker_id,
                    hive_id=entry.hive_id,
                    gpu_pct=sample.gpu_util_pct if sample else None,
                    cpu_pct=sample.cpu_pct if sample else None,
                    vram_free_mb=entry.vram_free_mb,
                    slots_total=total,
                    slots_free=slots_free,
                    queue_depth=entry.queue_depth,
                    latency_s=entry.latency_s,
                    prefill_tok_s=None if speed.prefill is None else speed.prefill.tok_s,
                    decode_tok_s=speed.at(running),
                    affinity=prefixes.share(worker_id, blocks) if blocks else 0.0,
                    sticky=session is not None
                    and self._sessions.get((traits.key, session, entry.model_id or "")) == worker_id,
                    sent=sent.get(worker_id, 0),
                    age_s=None if seen_at is None else now - seen_at,
                )
            )
        return found

    def forget(self, known: Callable[[str], bool]) -> None:
        """Drop what is remembered of workers that are gone."""
        self.rates.forget(known)
        self._prefixes.forget(known)
        for worker_id in [one for one in self._sent if not known(one)]:
            del self._sent[worker_id]


def request_view(traits: Traits) -> RequestView:
    """A request as a policy sees it."""
    return RequestView(prompt_tokens=traits.prompt_tokens, max_tokens=traits.max_tokens, batch=traits.batch)
