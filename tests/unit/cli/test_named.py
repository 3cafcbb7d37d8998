"""Ids as people type them."""

from __future__ import annotations

import pytest
from rbee.cli.named import by_prefix
from rbee.contract.errors import InvalidRequestError, NotFoundError

NAMES = ("worker-12ab", "worker-12cd", "worker-99", "worker-999")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("worker-12a", "worker-12ab"), ("12c", "worker-12cd"), ("worker-99", "worker-99"), ("99", "worker-99")],
)
def test_the_whole_or_a_beginning_without_doubt_is_enough(typed: str, meant: str) -> None:
    assert by_prefix(typed, NAMES, "worker", "rbee worker ls", implied="worker-") == meant


def test_in_doubt_all_are_named() -> None:
    with pytest.raises(InvalidRequestError, match="worker-12ab, worker-12cd"):
        by_prefix("worker-12", NAMES, "worker", "rbee worker ls")


def test_of_many_only_some_are_named() -> None:
    with pytest.raises(InvalidRequestError, match="n0, n1, n2, n3, n4 and 5 more"):
        by_prefix("n", [f"n{number}" for number in range(10)], "worker", "rbee worker ls")


def test_an_unknown_one_is_an_error_with_the_nearest_name() -> None:
    with pytest.raises(NotFoundError, match="Did you mean 'worker-12ab'"):
        by_prefix("wroker-12ab", NAMES, "worker", "rbee worker ls")
    with pytest.raises(NotFoundError, match="`rbee worker ls` lists them"):
        by_prefix("x", (), "worker", "rbee worker ls")


def test_nothing_is_no_name() -> None:
    with pytest.raises(InvalidRequestError, match="empty"):
        by_prefix("", NAMES, "worker", "rbee worker ls")
