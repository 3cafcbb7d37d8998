"""What holds of every colony, whatever is asked of it."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rbee.builtin.policies import BalancedPolicy, LeastLoadedPolicy, RoundRobinPolicy, SeedPolicy
from rbee.scheduler import PlaceRequest, Refusal, place
from rbee.settings import Settings
from rbee.settings.model import QueenSettings
from rbee.simulation import Arrivals, Fleet, Gpu, HiveGroup, Key, Length, Load, ModelLoad, RandomPolicy, Sessions
from unit.simulation.building import GPU, PROCESSOR, Watched, model

GIB = 2**30
POLICIES = st.sampled_from([BalancedPolicy, LeastLoadedPolicy, RoundRobinPolicy, SeedPolicy, lambda: RandomPolicy(1)])
IMPATIENT = Settings(queen=QueenSettings(slot_wait_s=20, max_waiting=4, load_timeout_s=30, keep_alive="3s"))
MODELS = (model("a", 2), model("b", 6, share=0.5), model("c", 14, share=0.3))
LENGTH = st.builds(Length, least=st.just(1), most=st.integers(1, 1500))


def groups(name: str) -> st.SearchStrategy[HiveGroup]:
    return st.builds(
        HiveGroup,
        name=st.just(name),
        count=st.integers(1, 3),
        ram_gib=st.sampled_from([4.0, 16.0, 64.0]),
        threads=st.sampled_from([2, 8]),
        worker_threads=st.sampled_from([None, 1]),
        slots=st.sampled_from([None, 1, 4, 9]),
        processor=st.just(PROCESSOR),
        gpus=st.sampled_from(
            [(), (GPU,), (Gpu(memory_gib=16, count=2, backend="metal", prefill_tok_s=900, decode_tok_s={1: 40}),)]
        ),
        fetch_mib_s=st.sampled_from([100.0, 5000.0]),
        models=st.sets(st.sampled_from("abc")).map(tuple),
        formats=st.sampled_from([("gguf",), ("other",)]),
    )


FLEETS = st.tuples(groups("one"), groups("two")).map(lambda found: Fleet(hives=found))
LOADS = st.builds(
    Load,
    duration_s=st.just(40),
    arrivals=st.builds(Arrivals, rate=st.floats(0.1, 6)),
    models=st.sampled_from([MODELS, MODELS[:1]]),
    prompt=LENGTH,
    answer=LENGTH,
    sessions=st.none() | st.builds(Sessions, share=st.floats(0, 1), turns=st.floats(1, 4), think_s=st.just(5)),
    keys=st.sampled_from([(), (Key(name="x"), Key(name="y", share=0.2, batch=True))]),
)


def check(watched: Watched) -> None:
    """Nobody has more than there is."""
    for machine in watched.colony.machines.values():
        ram, threads = int(machine.group.ram_gib * GIB), machine.group.threads
        used = dict.fromkeys(machine.devices, 0)
        for worker in machine.workers.values():
            assert 0 <= worker.running <= worker.slots
            used[worker.device.device.id] += worker.memory_bytes
            threads -= worker.threads
        running = sum(worker.running for worker in machine.workers.values())
        assert running == sum(len(device.streams) for device in machine.devices.values())
        assert threads == machine.threads_free >= 0
        for name, device in machine.devices.items():
            assert used[name] <= (device.device.memory_bytes or 0)
            assert machine.free(device) >= 0
        shared = sum(used[name] for name, one in machine.devices.items() if one.device.backend in {"cpu", "metal"})
        assert ram - shared == machine.ram_free >= 0


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(fleet=FLEETS, load=LOADS, make=POLICIES, patient=st.booleans(), seed=st.integers(0, 99))
def test_no_request_is_lost_or_answered_twice_and_nobody_has_more_than_there_is(
    fleet: Fleet, load: Load, make, patient: bool, seed: int
) -> None:  # type: ignore[no-untyped-def]  # of classes and functions
    watched = Watched(fleet, load, make(), Settings() if patient else IMPATIENT, seed=seed)
    check(watched)
    while watched.colony.step():
        check(watched)
    assert watched.ends == dict.fromkeys(range(len(watched.came)), 1)
    outcome = watched.colony.outcome()
    assert outcome.requests == len(watched.came) == outcome.answered + sum(outcome.refused.values())
    assert all(0 < watched.first_s[one] <= watched.whole_s[one] for one in watched.first_s)
    assert all(0 <= share <= 1 for share in outcome.utilisation.values())


@settings(max_examples=100, deadline=None)
@given(fleet=FLEETS, more=groups("more"), wanted=st.sampled_from(MODELS), before=LOADS, seed=st.integers(0, 99))
def test_more_hives_never_make_a_refusal_out_of_a_placement(
    fleet: Fleet, more: HiveGroup, wanted: ModelLoad, before: Load, seed: int
) -> None:
    watched = Watched(fleet, before, seed=seed)
    while watched.colony.clock.now < 20 and watched.colony.step():
        pass
    others = Watched(Fleet(hives=(more,)), before, given=[])
    mine = [one.view(wanted.name) for one in watched.colony.machines.values()]
    all_of_them = [*mine, *(one.view(wanted.name) for one in others.colony.machines.values())]
    request = PlaceRequest(variants=(wanted.variant(wanted.name),), slots=4)
    alone, together = (place(request, (), lambda views=views: views, BalancedPolicy()) for views in (mine, all_of_them))
    assert isinstance(alone, Refusal) or not isinstance(together, Refusal)
