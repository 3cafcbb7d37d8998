"""A policy that is tried by a command."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from rbee.cli.checked_policy import CheckedPolicy
from rbee.contract.errors import PluginError
from rbee.contract.policy import Policy, RequestView, WorkerView

VIEWS = [WorkerView(worker_id=name) for name in "abc"]


class Doing(Policy):
    name = "doing"

    def __init__(self, answer: object) -> None:
        self._answer = answer

    def rank(self, workers: Sequence[WorkerView], request: RequestView) -> Sequence[WorkerView]:
        if isinstance(self._answer, BaseException):
            raise self._answer
        return self._answer  # type: ignore[return-value]  # what plugins do


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (ValueError("no\nidea"), "The policy 'doing' fails with ValueError: no idea. In a colony"),
        (SystemExit(3), "fails with SystemExit: 3"),
        (None, "fails with TypeError"),
        ([], "loses a worker, or invents one"),
        ([*VIEWS[1:], WorkerView(worker_id="z")], "loses a worker, or invents one"),
    ],
)
def test_what_it_does_wrong_is_told_in_one_line(answer: object, told: str) -> None:
    with pytest.raises(PluginError) as caught:
        CheckedPolicy(Doing(answer)).rank(VIEWS, RequestView())
    assert told in caught.value.message
    assert "\n" not in caught.value.message


def test_a_good_one_decides_under_its_own_name() -> None:
    policy = CheckedPolicy(Doing(VIEWS[::-1]))
    assert (policy.name, policy.rank(VIEWS, RequestView())) == ("doing", VIEWS[::-1])
    assert policy.scores(VIEWS, RequestView()) == {}
