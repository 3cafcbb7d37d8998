"""A worker's figures for Prometheus.

Format: the text format 0.0.4, https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rbee.contract.engine import EngineStatus

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Figure(NamedTuple):
    """One figure.

    Attributes:
        name: ``rbee_worker_...``.
        kind: gauge or counter.
        help: one sentence.
        value: None while it is unknown; then the figure is left out.
    """

    name: str
    kind: str
    help: str
    value: float | None


def figures(status: EngineStatus, *, open_requests: int) -> Sequence[Figure]:
    """All figures of a worker.

    Args:
        status: of its engine.
        open_requests: under way, those that wait included.
    """
    return (
        Figure("rbee_worker_slots", "gauge", "Requests it serves at the same time.", status.slots_total),
        Figure("rbee_worker_slots_busy", "gauge", "Of these, in use.", status.slots_busy),
        Figure("rbee_worker_queue_depth", "gauge", "Requests that wait in its engine.", status.queue_depth),
        Figure("rbee_worker_open_requests", "gauge", "Requests under way.", open_requests),
        Figure("rbee_worker_tokens_total", "counter", "Tokens generated.", status.tokens_generated),
        Figure("rbee_worker_prompt_tokens_total", "counter", "Tokens of prompts.", status.prompt_tokens),
        Figure("rbee_worker_cached_tokens_total", "counter", "Of these, taken from a cache.", status.cached_tokens),
    )


def exposition(told: Sequence[Figure]) -> bytes:
    """The figures that are known, as text."""
    lines = []
    for one in told:
        if one.value is not None:
            lines += [
                f"# HELP {one.name} {one.help}",
                f"# TYPE {one.name} {one.kind}",
                f"{one.name} {_number(one.value)}",
            ]
    return ("\n".join(lines) + "\n").encode()


def _number(value: float) -> str:
    """Whole, and with all its digits: counters grow large."""
    return str(int(value)) if value == int(value) else repr(value)
