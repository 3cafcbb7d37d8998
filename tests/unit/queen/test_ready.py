"""The cheap decision is the same as the scheduler's, whatever the workers are like."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from rbee.builtin.policies import SeedPolicy
from rbee.contract.wire import ProcessStats, WorkerBeat
from rbee.queen.breakers import Breakers
from rbee.queen.held import HeldIndex
from rbee.queen.names import ModelNames
from rbee.queen.ready import ReadyWorkers
from rbee.queen.views import Views
from rbee.scheduler import PlaceRequest, Use, Wish, place
from rbee.telemetry import TelemetryRegistry


class NoVendors:
    vendors = ()

    async def resolve(self, name: str, *, trusted: bool) -> list[Any]:
        raise AssertionError("no vendor is to be asked")

    async def known(self) -> list[Any]:
        return []


class Colony:
    def __init__(self) -> None:
        self.now = 100.0
        self.telemetry = TelemetryRegistry(lambda: self.now)
        self.breakers = Breakers(lambda: self.now)
        self.names = ModelNames(NoVendors(), self.telemetry, lambda: self.now, HeldIndex())
        self.views = Views(self.telemetry, HeldIndex(), lambda: self.now, lambda *_: None, self.breakers.barred)
        self.crowded = False
        self.policy = SeedPolicy()
        self.ready = ReadyWorkers(
            self.telemetry, self.names, self.views, lambda: self.breakers.changes, self.policy, lambda _: self.crowded
        )
        self._seq = 0

    def beat(self, name: str, state: str, slots: int | None, used: int, can: list[str] | None) -> None:
        self._seq += 1
        self.telemetry.beat_worker(
            WorkerBeat(
                id=name,
                model_id="v:m",
                url=f"http://127.0.0.1/{name}",
                device="CPU-0",
                port=None,
                status=state,
                implementation="x",
                version="1",
                slots_total=slots,
                slots_available=None if slots is None else max(0, slots - used),
                capabilities=None if can is None else tuple(can),
                seq=self._seq,
                instance_id="i",
            )
        )

    def cheap(self, wish: Wish) -> str | None:
        best = self.ready.best("v:m", wish, trusted=True)
        return None if best is None else best[0].worker_id

    def thorough(self, wish: Wish) -> str | None:
        found = self.names.present("v:m", trusted=True)
        if found is None:
            return None
        request = PlaceRequest(capability=wish.capability, variants=found.variants)
        decision = place(request, self.views.candidates(found.model_ids), list, self.policy)
        return decision.worker_id if isinstance(decision, Use) else None


WORKERS = st.sampled_from(["a", "b", "c"])
STEPS = st.one_of(
    st.tuples(
        st.just("beat"),
        WORKERS,
        st.sampled_from(["ready", "busy", "loading", "draining", "failed"]),
        st.sampled_from([None, 1, 2]),
        st.integers(0, 2),
        st.sampled_from([None, ["chat"], ["embeddings"]]),
    ),
    st.tuples(st.just("reserve"), WORKERS),
    st.tuples(st.just("release"), WORKERS, st.sampled_from([None, 0.1, 3.0])),
    st.tuples(st.just("fail"), WORKERS),
    st.tuples(st.just("break"), WORKERS),
    st.tuples(st.just("load"), WORKERS, st.sampled_from([5.0, 95.0])),
    st.tuples(st.just("wait"), st.sampled_from([1.0, 6.0, 20.0])),
    st.tuples(st.just("remove"), WORKERS),
)


@given(st.lists(STEPS, max_size=25))
def test_the_cheap_decision_is_the_schedulers(steps: list[Any]) -> None:
    colony = Colony()
    for kind, *facts in steps:
        if kind == "beat":
            colony.beat(*facts)
        elif kind == "reserve":
            colony.telemetry.reserve(facts[0])
        elif kind == "release":
            colony.telemetry.release(*facts)
        elif kind == "fail":
            colony.telemetry.mark_failed(facts[0])
        elif kind == "break":
            colony.breakers.failed(facts[0])
        elif kind == "load":
            sample = ProcessStats(pid=1, group="llm", instance="1", worker_id=facts[0], gpu_util_pct=facts[1])
            colony.telemetry.update_workers("h", [sample])
        elif kind == "wait":
            colony.now += facts[0]
        else:
            colony.telemetry.remove_worker(facts[0])
        for wish in (Wish(), Wish(capability="chat")):
            assert colony.cheap(wish) == colony.thorough(wish)


def test_where_somebody_waits_nobody_goes_before_him() -> None:
    colony = Colony()
    colony.beat("a", "ready", 2, 0, None)
    assert colony.cheap(Wish()) == "a"
    colony.crowded = True
    assert colony.cheap(Wish()) is None


def test_a_name_that_only_vendors_could_know_is_left_to_them() -> None:
    assert Colony().ready.best("nobody/knows", Wish(), trusted=True) is None
