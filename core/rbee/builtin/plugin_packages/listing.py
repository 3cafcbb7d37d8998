"""Which plugins are there: by what is written of them, and by what a program finds that starts now."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import Distribution, EntryPoint

import msgspec

from rbee.builtin.plugin_packages.distributions import CORE, installed, points
from rbee.builtin.plugin_packages.place import Place
from rbee.builtin.python_workers.asking import FoundPlugin, plugins_of
from rbee.contract.errors import PluginError

EACH_S = 20.0
"""How long one plugin may take that is asked by itself."""

_ALLOWED = "RBEE_PLUGINS"


class ListedPlugin(msgspec.Struct, frozen=True, kw_only=True):
    """One entry point and what becomes of it.

    Attributes:
        name: of the entry point; it is the plugin's name.
        distribution: package that brings it; None when ``RBEE_PLUGINS`` names it and nothing brings it.
        version: of that package.
        entry_point: what it leads to, as ``rbee_foo.plugin``.
        builtin: part of rbee itself.
        status: ``loaded``, ``failed`` or ``skipped`` (left out by RBEE_PLUGINS).
        error: why it failed.
        registered: names by kind (``engine``, ``model_vendor``, ...).
    """

    name: str
    distribution: str | None
    version: str | None
    entry_point: str | None
    builtin: bool
    status: str
    error: str | None
    registered: dict[str, tuple[str, ...]]


def listed(where: Place, environment: Mapping[str, str]) -> list[ListedPlugin]:
    """Every plugin, in a process of its own, so that one which breaks or ends Python hides no other.  Blocks.

    Args:
        where: the environment of Python.
        environment: variables of a program that starts now.
    """
    present = [(one, point) for one in installed().values() for point in points(one)]
    # As they are loaded: rbee's own first.
    present.sort(key=lambda both: (both[0].name != CORE, both[1].name, both[1].value))
    try:
        found = plugins_of(where.python, environment=_safe(environment)).plugins
    except PluginError:
        found = tuple(_alone(where, environment, one, point) for one, point in present)
    known = {(point.name, one.name): (one, point) for one, point in present}
    return [_listed(one, known.get((one.name, one.distribution or ""))) for one in found]


def _alone(where: Place, environment: Mapping[str, str], one: Distribution, point: EntryPoint) -> FoundPlugin:
    """One plugin without the others."""
    allowed = environment.get(_ALLOWED)
    about = FoundPlugin(name=point.name, distribution=one.name)
    names = None if allowed is None else {name.strip() for name in allowed.split(",")}
    if names is not None and point.name not in names and one.name != CORE:
        return msgspec.structs.replace(about, status="skipped")
    only = "" if one.name == CORE else point.name
    try:
        found = plugins_of(where.python, environment=_safe({**environment, _ALLOWED: only}), within_s=EACH_S).plugins
    except PluginError as error:
        return msgspec.structs.replace(about, status="failed", error=error.message)
    return next((it for it in found if (it.name, it.distribution) == (point.name, one.name)), about)


def _safe(environment: Mapping[str, str]) -> dict[str, str]:
    """Nothing of the folder that this runs in is imported."""
    return {**environment, "PYTHONSAFEPATH": "1"}


def _listed(found: FoundPlugin, known: tuple[Distribution, EntryPoint] | None) -> ListedPlugin:
    return ListedPlugin(
        name=found.name,
        distribution=found.distribution,
        version=known[0].version if known else None,
        entry_point=known[1].value if known else None,
        builtin=found.distribution == CORE,
        status=found.status,
        error=found.error,
        registered=found.registered,
    )
