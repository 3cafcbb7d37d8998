"""What the queen remembers of her requests."""

from __future__ import annotations

import pytest
from rbee.gateway import Traits
from rbee.queen.history import History
from rbee.telemetry import WorkerEntry


def entry(name: str, model_id: str = "m") -> WorkerEntry:
    return WorkerEntry(worker_id=name, model_id=model_id)


ONE = Traits(key="alice", session="1")


@pytest.mark.parametrize(
    ("traits", "worker", "sticky"),
    [
        (ONE, entry("a"), True),
        (ONE, entry("b"), False),
        (ONE, entry("a", "other"), False),
        (Traits(key="alice", session="2"), entry("a"), False),
        (Traits(key="alice"), entry("a"), False),
        (Traits(key="bob", session="1"), entry("a"), False),
    ],
)
def test_a_session_is_where_its_key_sent_the_last_request_for_the_model(
    traits: Traits, worker: WorkerEntry, sticky: bool
) -> None:
    history = History()
    history.sent(entry("a"), ONE)
    assert history.view(worker, traits).sticky is sticky


def test_sessions_that_were_unused_longest_are_forgotten() -> None:
    history = History()
    for number in range(10_001):
        history.sent(entry("a"), Traits(session=str(number)))
    assert not history.view(entry("a"), Traits(session="0")).sticky
    assert history.view(entry("a"), Traits(session="1")).sticky


def test_what_is_known_of_workers_that_are_gone_is_forgotten() -> None:
    history = History()
    history.sent(entry("a"), Traits(blocks=(1, 2)))
    assert (history.view(entry("a"), Traits(blocks=(1, 2))).affinity, history.view(entry("a")).sent) == (1.0, 1)
    history.forget(lambda _: False)
    assert (history.view(entry("a"), Traits(blocks=(1, 2))).affinity, history.view(entry("a")).sent) == (0.0, 0)
