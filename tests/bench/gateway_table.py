"""The figures of `gateway.py`: their medians, what rbee is held against, and how they are printed."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway_systems import System
from gateway_tools import Load


@dataclass(frozen=True, kw_only=True)
class Column:
    """One figure.

    Args:
        key: its name in JSON.
        title: over the column.
        show: the figure for people.
        bar: the ratio of rbee to the better Rust router that is asked for.
        more: whether more is better; the ratio is to be at least the bar then, else at most.
    """

    key: str
    title: str
    show: Callable[[float], str]
    bar: float
    more: bool = False

    def better(self, figures: Sequence[tuple[float, str]]) -> tuple[float, str]:
        """The best of some."""
        return max(figures) if self.more else min(figures)

    def met(self, ratio: float) -> bool:
        """Whether the bar is met."""
        return ratio >= self.bar if self.more else ratio <= self.bar


def thousands(value: float) -> str:
    """A rate for people."""
    return f"{value / 1e3:.0f} k" if value >= 99_500 else f"{value / 1e3:.1f} k" if value >= 950 else f"{value:.0f}"


COLUMNS = (
    Column(key="requests_per_s", title="plain requests/s", show=thousands, bar=1.2, more=True),
    Column(key="tokens_per_s", title="streamed tokens/s", show=thousands, bar=1.1, more=True),
    Column(key="first_token_us", title="first token p50", show=lambda v: f"{v / 1e3:.2f} ms", bar=0.6),
    Column(key="cpu_us_per_token", title="CPU per token", show=lambda v: f"{v:.1f} µs", bar=1.0),
    Column(key="gap_us", title="gap p99", show=lambda v: f"{v / 1e3:.1f} ms", bar=1.0),
    Column(key="memory_bytes", title="memory", show=lambda v: f"{v / 1e6:.0f} MB", bar=0.7),
)


@dataclass
class Taken:
    """What was measured of one system.

    Args:
        system: which one.
        figures: one for each round, by the key of the column.
        wrong: why a figure does not count, by the key of the column.
        problems: why it was not measured, once for each round in which it was not.
    """

    system: System
    figures: dict[str, list[float]] = field(default_factory=dict)
    wrong: dict[str, list[str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def take(self, load: Load, *keys: str) -> None:
        """Keep those figures of a run, or why they do not count."""
        for key in keys:
            value = getattr(load, key)
            if load.wrong is not None:
                self.wrong.setdefault(key, []).append(load.wrong)
            elif value is not None:
                self.figures.setdefault(key, []).append(float(value))

    def median(self, key: str) -> float | None:
        """Of all rounds; None where there is none, or where one of them went wrong."""
        figures = self.figures.get(key)
        return None if key in self.wrong or not figures else statistics.median(figures)

    def title(self) -> str:
        """Name and version."""
        name, _, variant = self.system.name.partition(" ")
        return " ".join(part for part in (name, self.system.version, variant) if part)

    def as_json(self) -> dict[str, Any]:
        """All that is known."""
        return {
            "name": self.system.name,
            "version": self.system.version,
            "median": {column.key: self.median(column.key) for column in COLUMNS},
            "rounds": self.figures,
            "wrong": self.wrong,
            "problems": self.problems,
        }


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Rbee against the better Rust router, in one column.

    Args:
        column: which one.
        rbee: its median; None where it is unknown.
        best: the better router's; None where there is none.
        of: that router, in its configuration.
    """

    column: Column
    rbee: float | None
    best: float | None
    of: str | None

    @property
    def ratio(self) -> float | None:
        """Of rbee to it; None where one of them is unknown."""
        return self.rbee / self.best if self.rbee is not None and self.best else None

    @property
    def met(self) -> bool | None:
        """Whether the bar is met; None where that is unknown."""
        return None if self.ratio is None else self.column.met(self.ratio)

    def as_json(self) -> dict[str, Any]:
        """All that is known."""
        found = {"column": self.column.key, "rbee": self.rbee, "best": self.best, "best_of": self.of}
        return {**found, "ratio": self.ratio, "bar": self.column.bar, "more": self.column.more, "met": self.met}


def verdicts(taken: Sequence[Taken]) -> list[Verdict]:
    """One for each column."""
    ours = next((one for one in taken if one.system.name == "rbee"), None)
    found = []
    for column in COLUMNS:
        rust = [(value, one.title()) for one in taken if one.system.rust and (value := one.median(column.key))]
        best, of = column.better(rust) if rust else (None, None)
        rbee = None if ours is None else ours.median(column.key)
        found.append(Verdict(column=column, rbee=rbee, best=best, of=of))
    return found


def figures_table(taken: Sequence[Taken], columns: Sequence[Column] = COLUMNS) -> str:
    """Markdown: a row for each system, and below it why figures are missing."""
    rows = [_row("gateway", *(column.title for column in columns)), "|---" * (len(columns) + 1) + "|"]
    for one in taken:
        cells = ("invalid" if column.key in one.wrong else _cell(column, one) for column in columns)
        rows.append(_row(one.title(), *cells))
    rows.append("")
    for one in taken:
        rows += [f"{one.title()}: could not be measured in a round: {problem}" for problem in one.problems]
        rows += [
            f"{one.title()}: {column.title} is invalid: {'; '.join(one.wrong[column.key])}"
            for column in columns
            if column.key in one.wrong
        ]
    return "\n".join(rows).rstrip() + "\n"


def verdicts_table(found: Sequence[Verdict]) -> str:
    """Markdown: a row for each bar."""
    rows = [_row("", "rbee", "the better Rust router", "which", "ratio", "bar", ""), "|---|---|---|---|---|---|---|"]
    for one in found:
        show = one.column.show
        rows.append(
            _row(
                one.column.title,
                "" if one.rbee is None else show(one.rbee),
                "" if one.best is None else show(one.best),
                one.of or "",
                "" if one.ratio is None else f"{one.ratio:.3f}",
                f"{'≥' if one.column.more else '≤'} {one.column.bar:.1f}",
                {None: "unknown", True: "pass", False: "miss"}[one.met],
            )
        )
    return "\n".join(rows) + "\n"


def _cell(column: Column, one: Taken) -> str:
    value = one.median(column.key)
    return "" if value is None else column.show(value)


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"
