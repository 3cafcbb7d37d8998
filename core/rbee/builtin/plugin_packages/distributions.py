"""The distributions of an environment by what they say of themselves; nothing of theirs is run."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from importlib.metadata import Distribution, EntryPoint, distributions
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from rbee.contract.hookspecs import PROJECT

CORE = "rbee"

Packages = Mapping[str, Distribution]
"""Distributions by their canonical names."""


def installed(*folders: Path) -> dict[str, Distribution]:
    """What can be imported now, or what lies in some folders; of two of a name the first counts, as for Python."""
    importlib.invalidate_caches()
    found: dict[str, Distribution] = {}
    for one in distributions(path=[str(folder) for folder in folders]) if folders else distributions():
        # A folder of a removed distribution may be left without its metadata.
        name = one.metadata["Name"] if one.metadata else None
        if name:
            found.setdefault(canonicalize_name(name), one)
    return found


def points(one: Distribution) -> list[EntryPoint]:
    """The plugins that a distribution brings."""
    return sorted(one.entry_points.select(group=PROJECT), key=lambda point: point.name)


def needs(one: Distribution, extras: Collection[str] | None = ()) -> Iterator[tuple[str, frozenset[str]]]:
    """What a distribution requires here: canonical names, each with the extras that are asked for.

    Args:
        one: which.
        extras: with what these require; None for all that it has.
    """
    given = ["", *((one.metadata.get_all("Provides-Extra") or []) if extras is None else extras)]
    for text in one.requires or ():
        try:
            wanted = Requirement(text)
        except InvalidRequirement:
            continue
        if wanted.marker is None or any(wanted.marker.evaluate({"extra": extra}) for extra in given):
            yield canonicalize_name(wanted.name), frozenset(wanted.extras)


def closure(
    roots: Iterable[str],
    among: Packages,
    *,
    extras: bool,
    through: Callable[[str], bool] = lambda _name: True,
) -> set[str]:
    """Those that are there of some distributions, of what they require, and so on.

    Args:
        roots: canonical names.
        among: what is there.
        extras: with what any extra requires, as nobody wrote down which were asked for; else what is asked for alone.
        through: False for one that is left out with what only it requires.
    """
    seen: set[tuple[str, frozenset[str]]] = set()
    left: list[tuple[str, frozenset[str]]] = [(name, frozenset()) for name in roots]
    while left:
        name, asked = step = left.pop()
        if name in among and step not in seen and through(name):
            seen.add(step)
            left += needs(among[name], None if extras else asked)
    return {name for name, _ in seen}


def kept(named: Collection[str], among: Packages) -> dict[str, str]:
    """Versions of all that must stay as it is: all but what only the named ones require, and they themselves.

    Args:
        named: canonical names of what a person wants to have in this or another version.
        among: what is there.
    """
    own = closure([CORE], among, extras=False)
    free = {name for name in named if name not in own}
    others = set(among) - closure(free, among, extras=True)
    names = closure({CORE, *own, *others}, among, extras=True, through=lambda name: name not in free)
    return {name: among[name].version for name in sorted(names)}


def needed_by(name: str, among: Packages) -> list[str]:
    """Who requires a distribution, whatever their extras."""
    return sorted(other for other, one in among.items() if other != name and name in dict(needs(one)))


def left_over(name: str, among: Packages) -> list[str]:
    """What only this distribution requires: nobody needs it when that is gone."""
    own = closure([name], among, extras=True) - {name}
    others = {CORE, *(set(among) - own - {name})}
    return sorted(own - closure(others, among, extras=True, through=lambda other: other != name))
