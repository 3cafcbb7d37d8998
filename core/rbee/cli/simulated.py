"""What came of simulated loads, as a table: a column a policy."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rbee.cli.format import UNKNOWN
from rbee.cli.tables import print_table
from rbee.simulation import Load, Simulated

Figure = Callable[[Simulated], float | None]


def print_simulated(found: Sequence[Simulated], load: Load) -> None:
    """Print a row a figure; behind the first policy each column has its ratio to the first.

    Args:
        found: one a policy.
        load: that was simulated.
    """
    headings = ["", *(one.outcome.policy for one in found)]
    rows = [
        (name, *(_cell(show(one), show(found[0]), first=one is found[0]) for one in found))
        for name, show in _figures(found, load)
    ]
    print_table(headings, rows, right=set(headings[1:]), whole={""})


def _figures(found: Sequence[Simulated], load: Load) -> list[tuple[str, Figure]]:
    codes = sorted({code for one in found for code in one.outcome.refused})
    groups = sorted({group for one in found for group in one.outcome.utilisation})
    keys = sorted({key for one in found for key in one.outcome.keys})
    return [
        ("requests", lambda one: one.outcome.requests),
        ("answered", lambda one: one.outcome.answered),
        *((f"refused: {code}", _refused(code)) for code in codes),
        ("time to first token, p50 [s]", lambda one: one.outcome.ttft_s.p50),
        ("time to first token, p95 [s]", lambda one: one.outcome.ttft_s.p95),
        ("whole answer, p50 [s]", lambda one: one.outcome.answer_s.p50),
        ("whole answer, p95 [s]", lambda one: one.outcome.answer_s.p95),
        (f"first token within {load.ttft_limit_s:g} s [1/s]", lambda one: one.outcome.goodput),
        ("answers [1/s]", lambda one: one.outcome.answers_s),
        ("had to wait", lambda one: one.outcome.waited),
        ("wait, p95 [s]", lambda one: one.outcome.wait_s.p95),
        ("loads", lambda one: one.outcome.loads),
        ("loads in vain", lambda one: one.outcome.failed_loads),
        ("evictions", lambda one: one.outcome.evictions),
        ("unloads", lambda one: one.outcome.unloads),
        ("prompts from caches [%]", lambda one: 100 * one.outcome.cached),
        *((f"busy: {group} [%]", _busy(group)) for group in groups),
        *((f"key {key}: first token, p95 [s]", _first(key)) for key in keys),
        ("decisions", lambda one: one.outcome.decisions),
        ("decisions [1/s]", lambda one: round(one.decisions_s)),
    ]


def _refused(code: str) -> Figure:
    return lambda one: one.outcome.refused.get(code, 0)


def _busy(group: str) -> Figure:
    def busy(one: Simulated) -> float | None:
        share = one.outcome.utilisation.get(group)
        return None if share is None else 100 * share

    return busy


def _first(key: str) -> Figure:
    def first(one: Simulated) -> float | None:
        found = one.outcome.keys.get(key)
        return None if found is None else found.ttft_s.p95

    return first


def _cell(value: float | None, beside: float | None, *, first: bool) -> str:
    if value is None:
        return UNKNOWN
    told = str(value) if isinstance(value, int) else f"{value:.0f}" if value >= 1000 else f"{value:.2f}"
    if first:
        return told
    ratio = f"x{value / beside:.2f}" if beside else UNKNOWN
    return f"{told}  {ratio:>6}"
