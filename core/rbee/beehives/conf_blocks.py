"""``Host`` blocks: for which names a line holds, and what a name gets from all of them."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rbee.beehives.conf_lines import Directive

Patterns = tuple[str, ...]

NEVER: Patterns = ()
"""Matches no name: a block that was left out."""
ALWAYS: Patterns = ("*",)
"""Matches every name."""


class Scoped(NamedTuple):
    """A line with its conditions: patterns of the block around it, and of those around the file it stands in."""

    conditions: tuple[Patterns, ...]
    directive: Directive

    def holds(self, name: str) -> bool:
        """Whether it says something of that name."""
        return all(matches(patterns, name) for patterns in self.conditions)


def matches(patterns: Sequence[str], name: str) -> bool:
    """Whether a name is meant: one pattern matches, and none of those with ``!`` does."""
    found = False
    for pattern in patterns:
        if pattern.startswith("!"):
            if _compiled(pattern[1:]).fullmatch(name):
                return False
        elif _compiled(pattern).fullmatch(name):
            found = True
    return found


def concrete(scoped: Iterable[Scoped]) -> list[tuple[str, Directive]]:
    """Names that stand by themselves in ``Host`` lines, in their order, with where each stands first."""
    found: dict[str, Directive] = {}
    for one in scoped:
        if one.directive.keyword != "host":
            continue
        for name in one.directive.args:
            if name not in found and name and not re.search(r"[*?!]", name) and one.holds(name):
                found[name] = one.directive
    return list(found.items())


def first_values(scoped: Iterable[Scoped], name: str) -> dict[str, Directive]:
    """The first line for each keyword that holds for a name: the first value wins."""
    found: dict[str, Directive] = {}
    for one in scoped:
        if one.directive.keyword not in found and one.holds(name):
            found[one.directive.keyword] = one.directive
    return found


@functools.lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    # Runs of stars are one star, or a hostile pattern would take for ever.
    parts = re.split(r"(\*+|\?)", pattern)
    return re.compile(
        "".join(".*" if part.startswith("*") else "." if part == "?" else re.escape(part) for part in parts),
        re.DOTALL,
    )
