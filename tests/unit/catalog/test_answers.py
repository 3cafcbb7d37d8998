"""What is remembered, for how long, and who waits."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from rbee.catalog.answers import Answers
from rbee.contract.errors import ModelNotFoundError, UnreachableError


class Source:
    """Answers with a number that rises, when the test lets it."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.go = asyncio.Event()
        self.go.set()
        self.trouble: Exception | None = None

    async def ask(self, key: str) -> int:
        self.asked.append(key)
        number = len(self.asked)
        await self.go.wait()
        if self.trouble is not None:
            raise self.trouble
        return number


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def answers(source: Source, clock: Any) -> Answers[str, int]:
    return Answers(source.ask, clock, fresh_s=60, stale_s=600, failed_s=10)


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_all_who_ask_at_once_share_one_question(answers, source) -> None:
    source.go.clear()
    waiting = [asyncio.create_task(answers.get("a")) for _ in range(12)]
    await settle()
    source.go.set()
    assert await asyncio.gather(*waiting) == [1] * 12
    assert await answers.get("b") == 2
    assert source.asked == ["a", "b"]


async def test_the_question_goes_on_when_nobody_waits_any_more(answers, source) -> None:
    source.go.clear()
    waiting = asyncio.create_task(answers.get("a"))
    await settle()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    source.go.set()
    await settle()
    assert await answers.get("a") == 1
    assert source.asked == ["a"]


async def test_an_old_answer_is_given_at_once_and_renewed_behind_it(answers, source, clock) -> None:
    assert await answers.get("a") == 1
    clock.tick(60)
    source.go.clear()
    assert [await answers.get("a"), await answers.get("a")] == [1, 1]
    await settle()
    assert source.asked == ["a", "a"]
    source.go.set()
    await settle()
    assert await answers.get("a") == 2
    clock.tick(660)
    assert await answers.get("a") == 3, "too old to be given"


async def test_a_failure_is_told_again_without_asking(answers, source, clock) -> None:
    source.trouble = UnreachableError("the line is cut")
    for _ in range(3):
        with pytest.raises(UnreachableError, match="the line is cut"):
            await answers.get("a")
    assert source.asked == ["a"]
    clock.tick(10)
    source.trouble = None
    assert await answers.get("a") == 2


async def test_an_answer_that_cannot_be_renewed_stays(answers, source, clock) -> None:
    await answers.get("a")
    source.trouble = UnreachableError("the line is cut")
    clock.tick(60)
    for _ in range(3):
        assert await answers.get("a") == 1
        await settle()
    assert source.asked == ["a", "a"]
    clock.tick(600)
    with pytest.raises(UnreachableError):
        await answers.get("a")


async def test_what_is_gone_is_forgotten(answers, source, clock) -> None:
    await answers.get("a")
    source.trouble = ModelNotFoundError("it is gone")
    clock.tick(60)
    assert await answers.get("a") == 1
    await settle()
    with pytest.raises(ModelNotFoundError):
        await answers.get("a")


async def test_neither_many_answers_nor_many_failures_take_room(answers, source) -> None:
    for number in range(10_010):
        await answers.get(str(number))
    assert len(answers._found) == 10_000
    source.trouble = UnreachableError("the line is cut")
    for number in range(1010):
        with pytest.raises(UnreachableError):
            await answers.get(f"x{number}")
    assert (len(answers._failed), len(answers._found)) == (1000, 10_000)
    before = len(source.asked)
    assert await answers.get("10009") == 10_010
    assert len(source.asked) == before


async def test_closing_ends_the_questions(answers, source) -> None:
    source.go.clear()
    waiting = asyncio.create_task(answers.get("a"))
    await settle()
    await answers.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
