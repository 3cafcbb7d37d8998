"""Short names in the bodies of jobs."""

from __future__ import annotations

from typing import Any

import pytest
from rbee.jobs import Operation
from rbee.queen.operations import aliased


async def handler(body: dict[str, Any], _say: object) -> None:
    """Does nothing."""


ALIASES = {"fast": "org/repo"}


@pytest.mark.parametrize(
    ("body", "stored"),
    [
        ({"model": "fast", "a": 1}, {"model": "org/repo", "a": 1, "done": True}),
        ({"model": "org/repo"}, {"model": "org/repo", "done": True}),
        ({"model": "faster"}, {"model": "faster", "done": True}),
        ({"model": None}, {"model": None, "done": True}),
        ({"model": ["fast"]}, {"model": ["fast"], "done": True}),
        ({"name": "fast"}, {"name": "fast", "done": True}),
    ],
)
def test_the_models_alias_alone_is_replaced_before_the_body_is_completed(body: Any, stored: Any) -> None:
    given = dict(body)
    operation = Operation(handler=handler, resumable=True, complete=lambda body: {**body, "done": True})
    (found,) = aliased({"x": operation}, ALIASES.get).values()
    assert found.complete(body) == stored
    assert body == given
    assert (found.handler, found.resumable) == (handler, True)
