"""The promises of `rbee.contract.Policy`."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

import pytest

from rbee.contract import Policy, RequestView, WorkerView
from rbee.testing.conformance.promises import Promises

MANY = 2000
QUICK_S = 0.5
"""For that many workers; linear code takes a few milliseconds."""

REQUEST = RequestView(prompt_tokens=300, max_tokens=200)


def views(seed: int, count: int = 12) -> list[WorkerView]:
    """Workers of all kinds, known and unknown; the same for the same seed."""
    draw = random.Random(seed)  # noqa: S311  # for tests

    def maybe(value: float) -> float | None:
        return None if draw.random() < 0.3 else value

    def whole(most: int) -> int | None:
        return None if draw.random() < 0.3 else draw.randrange(most)

    return [
        WorkerView(
            worker_id=f"w{number}",
            hive_id=draw.choice([None, "h0", "h1"]),
            gpu_pct=maybe(draw.uniform(0, 100)),
            cpu_pct=maybe(draw.uniform(0, 800)),
            slots_total=whole(8),
            slots_free=whole(8),
            queue_depth=whole(20),
            latency_s=maybe(draw.uniform(0, 5)),
            vram_free_mb=whole(80_000),
            prefill_tok_s=maybe(draw.uniform(0, 5000)),
            decode_tok_s=maybe(draw.uniform(0, 200)),
            affinity=draw.choice([0.0, 0.0, draw.uniform(0, 1), 1.0]),
            sticky=draw.random() < 0.1,
            sent=draw.randrange(1000),
        )
        for number in range(count)
    ]


class PolicyContract(Promises, kit=True):
    """Subclass it and give the fixture `policy`."""

    @pytest.fixture
    def policy(self) -> Policy:
        """The policy under test, made afresh."""
        raise NotImplementedError("give the fixture `policy`: return YourPolicy()")

    def test_the_policy_has_a_name_of_its_own(self, policy: Policy) -> None:
        """A name is a word in lower case, as it stands in the setting."""
        name = type(policy).name
        assert isinstance(name, str)
        assert name
        assert name == name.strip().lower()

    @pytest.mark.parametrize("seed", range(20))
    def test_nobody_is_lost_or_invented(self, policy: Policy, seed: int) -> None:
        """The same workers come back, each once."""
        given = views(seed)
        assert sorted(_ids(policy.rank(given, REQUEST))) == sorted(_ids(given))

    @pytest.mark.parametrize("seed", range(20))
    def test_the_order_of_the_input_does_not_matter(self, policy: Policy, seed: int) -> None:
        """Equal input gives equal output, so that it does not depend on who registered first."""
        given = views(seed)
        expected = _ids(policy.rank(given, REQUEST))
        for _ in range(3):
            random.Random(seed).shuffle(given)  # noqa: S311  # for tests
            assert _ids(policy.rank(given, REQUEST)) == expected

    def test_equals_are_told_apart_by_name(self, policy: Policy) -> None:
        """The worker's name is the last word, always the same way round."""
        twins = [WorkerView(worker_id=name) for name in ("b", "a", "c")]
        assert _ids(policy.rank(twins, REQUEST)) == _ids(policy.rank(twins[::-1], REQUEST))

    def test_one_worker_of_which_nothing_is_known_is_ranked(self, policy: Policy) -> None:
        """Unknown figures are None, all of them at first."""
        assert _ids(policy.rank([WorkerView(worker_id="a")], REQUEST)) == ["a"]

    def test_it_keeps_no_state_and_changes_nothing(self, policy: Policy) -> None:
        """Asked again, and by another object, it says the same; the input stays as it was."""
        given = views(1)
        before = list(given)
        first = _ids(policy.rank(given, REQUEST))
        policy.rank(views(2), REQUEST)
        assert _ids(policy.rank(given, REQUEST)) == _ids(type(policy)().rank(given, REQUEST)) == first
        assert given == before

    def test_it_is_quick(self, policy: Policy) -> None:
        """It is asked for every request, on the event loop."""
        many = views(3, MANY)
        started = time.perf_counter()
        policy.rank(many, REQUEST)
        assert time.perf_counter() - started < QUICK_S


def _ids(workers: Sequence[WorkerView]) -> list[str]:
    return [worker.worker_id for worker in workers]
