"""Those that wait are served in the order of the queen's tickets."""

from __future__ import annotations

from rbee.gateway import Traits
from rbee.simulation.queues import Queue
from rbee.simulation.requests import Request


def request(number: int, key: str = "", *, batch: bool = False) -> Request:
    traits = Traits(key=key, batch=batch, prompt_tokens=100, max_tokens=100)
    return Request(number, 0.0, "m", 100, 100, key, traits, ())


def order(queue: Queue) -> list[int]:
    found = []
    while (head := queue.head()) is not None:
        found.append(head.number)
        queue.served()
    return found


def test_of_one_key_it_is_first_come_first_served() -> None:
    queue = Queue()
    for number in range(4):
        queue.enter(request(number))
    assert order(queue) == [0, 1, 2, 3]
    assert queue.depth == 0


def test_a_key_that_comes_new_is_not_behind_all_that_another_has_queued_up() -> None:
    queue = Queue()
    for number in range(9):
        queue.enter(request(number, "greedy"))
    queue.enter(request(9, "polite"))
    assert order(queue).index(9) == 1


def test_interactive_requests_go_before_batch() -> None:
    queue = Queue()
    for number in range(4):
        queue.enter(request(number, batch=True))
    queue.enter(request(4))
    assert order(queue)[0] == 4


def test_who_has_left_is_not_called() -> None:
    queue = Queue()
    first, second = request(0), request(1)
    queue.enter(first)
    queue.enter(second)
    queue.leave(first)
    assert queue.depth == 1
    assert order(queue) == [1]
