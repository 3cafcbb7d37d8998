"""Waiting for the last request of somebody who drains."""

from __future__ import annotations

import pytest
from rbee.cli import draining
from rbee.cli.draining import until_drained
from rbee.contract.errors import RequestTimeoutError


class Answers:
    def __init__(self, *left: int) -> None:
        self.left = list(left)
        self.asked = 0

    async def __call__(self) -> int:
        self.asked += 1
        return self.left.pop(0) if len(self.left) > 1 else self.left[0]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draining, "_AGAIN_S", 0.001)


async def test_it_asks_until_nothing_is_open_and_says_what_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    answers = Answers(2, 2, 1, 0)
    assert await until_drained(answers, int, "Worker w1", wait=True, timeout_s=None) == 0
    assert answers.asked == 4
    told = capsys.readouterr().err
    assert "2 requests still open" in told
    assert "1 request still open" in told


async def test_it_does_not_wait_when_nobody_wants_to() -> None:
    answers = Answers(5)
    assert await until_drained(answers, int, "Worker w1", wait=False, timeout_s=None) == 5
    assert answers.asked == 1


async def test_the_time_that_is_up_is_told_with_what_goes_on() -> None:
    with pytest.raises(RequestTimeoutError, match=r"Worker w1 still answers 5 requests after 0\.01 s, and goes on"):
        await until_drained(Answers(5), int, "Worker w1", wait=True, timeout_s=0.01)
