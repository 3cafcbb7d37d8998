"""A broken engine is told as one, and keeps no hive from starting."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from rbee.contract.engine import Availability, TokenEngine
from rbee.hive.engines import described


class Broken(TokenEngine):
    name = "broken"
    formats = frozenset({"blob"})
    backends = frozenset({"cpu"})
    capabilities = frozenset()

    @classmethod
    def availability(cls) -> Availability:
        raise OSError("libmill.so: cannot open shared object file")


class Hanging(Broken):
    name = "hanging"
    freed = threading.Event()

    @classmethod
    def availability(cls) -> Availability:
        cls.freed.wait(60)
        return Availability(available=True)


@pytest.fixture
def hanging() -> Iterator[type[Hanging]]:
    Hanging.freed.clear()
    yield Hanging
    Hanging.freed.set()


async def test_an_engine_that_raises_is_not_available_and_says_why() -> None:
    told = await described(Broken)
    assert (told.name, told.formats, told.available, told.version) == ("broken", ("blob",), False, None)
    assert "libmill.so" in told.reason
    assert "; update or remove its plugin" in told.reason


async def test_an_engine_that_hangs_is_not_waited_for(hanging: type[Hanging]) -> None:
    told = await described(hanging, within_s=0.05)
    assert (told.available, told.reason.partition("; ")[2]) == (False, "look at its driver")
