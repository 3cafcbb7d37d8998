"""Shares of the slots, as tickets give them."""

from __future__ import annotations

import heapq

from hypothesis import given
from hypothesis import strategies as st
from rbee.gateway import Traits
from rbee.queen.fairness import FairClock, Flow, Ticket, cost_of, flow_of

ONE, OTHER = Flow("one"), Flow("other")


def drain(clock: FairClock, waiting: list[tuple[Ticket, Flow, float]]) -> list[tuple[Flow, float]]:
    heapq.heapify(waiting)
    served = []
    while waiting:
        ticket, flow, cost = heapq.heappop(waiting)
        clock.called(ticket)
        served.append((flow, cost))
    return served


def test_within_a_flow_it_is_first_come_first_served() -> None:
    clock = FairClock()
    tickets = [clock.ticket(ONE, cost) for cost in (50, 1, 400, 3)]
    assert tickets == sorted(tickets)


@given(
    st.lists(st.tuples(st.sampled_from([ONE, OTHER]), st.integers(1, 100)), min_size=4, max_size=60),
)
def test_two_that_both_wait_get_equal_shares_whatever_each_sends(asked: list[tuple[Flow, int]]) -> None:
    clock = FairClock()
    served = drain(clock, [(clock.ticket(flow, cost), flow, cost) for flow, cost in asked])
    got = {ONE: 0.0, OTHER: 0.0}
    left = {flow: sum(cost for one, cost in asked if one == flow) for flow in (ONE, OTHER)}
    for flow, cost in served:
        if left[ONE] and left[OTHER]:
            # Never further apart than two of the largest requests.
            assert abs(got[ONE] - got[OTHER]) <= 200
        got[flow] += cost
        left[flow] -= cost


@given(st.integers(1, 200), st.integers(0, 100))
def test_one_who_comes_new_waits_for_a_request_of_each_other_at_most(queued: int, served: int) -> None:
    clock = FairClock()
    waiting = [clock.ticket(ONE, 10) for _ in range(queued)]
    for ticket in waiting[:served]:
        clock.called(ticket)
    mine = clock.ticket(OTHER, 10)
    assert sum(ticket < mine for ticket in waiting[served:]) <= 1


def test_what_was_served_long_ago_is_not_held_against_anybody() -> None:
    clock = FairClock()
    for _ in range(100):
        clock.called(clock.ticket(ONE, 1000))
    assert clock.ticket(ONE, 10) < clock.ticket(OTHER, 10)


def test_the_memory_is_bounded_by_those_who_wait() -> None:
    clock = FairClock()
    for number in range(1000):
        clock.called(clock.ticket(Flow(str(number)), 1))
    for number in range(1000):
        clock.left(clock.ticket(Flow(str(number)), 1))
    assert not clock._waiting


def test_who_gives_up_and_comes_again_stands_where_he_stood() -> None:
    clock = FairClock()
    others = [clock.ticket(OTHER, 10) for _ in range(50)]
    for _ in range(20):
        clock.left(clock.ticket(ONE, 10))
    mine = clock.ticket(ONE, 10)
    assert sum(ticket < mine for ticket in others) <= 1


@given(st.lists(st.tuples(st.sampled_from([ONE, OTHER]), st.integers(1, 100), st.booleans()), max_size=40))
def test_who_gives_up_lets_nobody_of_his_flow_be_overtaken(asked: list[tuple[Flow, int, bool]]) -> None:
    clock = FairClock()
    stay: dict[Flow, list[Ticket]] = {ONE: [], OTHER: []}
    gone: list[Ticket] = []
    for flow, cost, leaves in asked:
        ticket = clock.ticket(flow, cost)
        assert all(ticket > one for one in stay[flow])
        (gone if leaves else stay[flow]).append(ticket)
        if gone and not leaves:
            clock.left(gone.pop(0))


def test_to_leave_twice_changes_nothing() -> None:
    clock = FairClock()
    first, second = clock.ticket(ONE, 10), clock.ticket(ONE, 10)
    clock.left(first)
    clock.left(first)
    clock.called(second)
    clock.left(second)
    assert clock.ticket(ONE, 10) == clock.ticket(OTHER, 10)._replace(flow=ONE, number=2)


def test_a_batch_request_waits_for_sixteen_times_its_cost() -> None:
    clock = FairClock()
    batch = clock.ticket(Flow("k", batch=True), 10)
    chats = [clock.ticket(Flow("k"), 10) for _ in range(40)]
    assert sum(ticket < batch for ticket in chats) == 15


def test_the_cost_is_the_request_s_size_and_a_bound_beyond_reason_is_not_believed() -> None:
    assert cost_of(Traits()) == 512
    assert cost_of(Traits(prompt_tokens=100, max_tokens=50)) == 150
    assert cost_of(Traits(prompt_tokens=0, max_tokens=0)) == 1
    assert cost_of(Traits(prompt_tokens=10, max_tokens=10**9)) == 1034
    assert flow_of(Traits(key="k", batch=True)) == Flow("k", batch=True)
