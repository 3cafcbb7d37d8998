"""What engines say of themselves, whatever a broken one does."""

from __future__ import annotations

from rbee.contract.engine import Availability, TokenEngine
from rbee.plugins import engine_info


class Mill(TokenEngine):
    name = "mill"
    formats = frozenset({"blob"})
    backends = frozenset({"cpu"})
    capabilities = frozenset()

    @classmethod
    def availability(cls) -> Availability:
        return Availability(available=True, version="1")


class Broken(Mill):
    name = "broken"

    @classmethod
    def availability(cls) -> Availability:
        raise RuntimeError("no such instruction")


def test_a_broken_engine_is_told_beside_the_others_with_the_reason() -> None:
    whole, broken = engine_info(Mill), engine_info(Broken)
    assert (whole.available, whole.reason) == (True, None)
    assert (broken.name, broken.available, broken.backends) == ("broken", False, ("cpu",))
    assert "no such instruction" in broken.reason
