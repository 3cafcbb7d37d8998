"""Bringing a plugin: settle, show, unpack beside and try, install exactly that, try again; else as it was before."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import msgspec
from packaging.utils import canonicalize_name

from rbee.builtin.plugin_packages.distributions import Packages, closure, installed, kept, points
from rbee.builtin.plugin_packages.place import Place
from rbee.builtin.plugin_packages.tools import Artefact, Tool
from rbee.builtin.plugin_packages.undo import Undo, uninterrupted
from rbee.builtin.plugin_packages.wanted import Wanted, wanted_of, wheel_of
from rbee.builtin.python_workers.asking import FoundPlugin, FoundPlugins, plugins_of
from rbee.contract.errors import InvalidRequestError, PluginError


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """What would be done.

    Attributes:
        named: canonical names of what was asked for.
        artefacts: what would be installed; empty when all is there.
    """

    named: tuple[str, ...]
    artefacts: tuple[Artefact, ...]


class Installed(msgspec.Struct, frozen=True, kw_only=True):
    """What was done.

    Attributes:
        artefacts: what was installed.
        plugins: those that were asked for, as a program that starts now finds them.
    """

    artefacts: tuple[Artefact, ...]
    plugins: tuple[FoundPlugin, ...]


def planned(words: Sequence[str], tool: Tool, folder: Path, say: Callable[[str], None]) -> Planned:
    """Settle what some words of the command line lead to; installs nothing.  Blocks.

    Args:
        words: names, wheels and sources.
        tool: the installer.
        folder: for what is built.
        say: takes a line when something takes long.

    Raises:
        InvalidRequestError: a word means nothing, or a package that is there is no plugin.
        PluginError: it does not fit beside what is there.
    """
    wanted = [_built(one, tool, folder / f"built-{index}", say) for index, one in enumerate(map(wanted_of, words))]
    named = tuple(dict.fromkeys(one.name for one in wanted if one.name is not None))
    present = installed()
    fixed = kept(named, present)
    say(f"Settling versions of {', '.join(named)}")
    try:
        artefacts = tuple(sorted(tool.plan(wanted, fixed), key=lambda one: (one.name not in named, one.name)))
    except PluginError as error:
        raise PluginError(
            f"{', '.join(named)} cannot be installed; what rbee and other packages need stays as it is. {error.message}"
        ) from error
    for one in artefacts:
        if one.name in fixed:
            raise PluginError(
                f"{', '.join(named)} cannot be installed: {one.name} {fixed[one.name]} would become {one.version}, "
                "and rbee or another package needs it as it is. Nothing was changed."
            )
    _check_brought([name for name in named if name not in {one.name for one in artefacts}], named, present)
    return Planned(named=named, artefacts=artefacts)


def install(
    plan: Planned,
    tool: Tool,
    where: Place,
    folder: Path,
    environment: Mapping[str, str],
    say: Callable[[str], None],
) -> Installed:
    """Do what was settled, or leave everything as it was.  Blocks.

    Args:
        plan: as a person has agreed to.
        tool: the installer.
        where: the environment.
        folder: for what is unpacked, and for copies of what is replaced.
        environment: variables of a program that starts now.
        say: takes a line when something takes long.

    Raises:
        PluginError: it cannot be installed, brings no plugin, or does not load; nothing was changed.
    """
    requirements, staged = folder / "requirements.txt", folder / "staged"
    requirements.write_text("".join(f"{one.pinned}\n" for one in plan.artefacts), encoding="utf-8")
    staged.mkdir()
    present = installed()
    say("Fetching, checking hashes, and trying it beside rbee's environment")
    try:
        tool.stage(requirements, staged, say)
        _check_brought(plan.named, plan.named, {**present, **installed(staged)})
        beside = _asked(where, environment, staged)
        _check_loaded(beside, plan.named, lambda: _failed(_asked(where, environment)))
    except BaseException:
        say("Nothing was installed.")
        raise
    replaced = [present[one.name] for one in plan.artefacts if one.name in present]
    undo = Undo(where, staged, replaced, folder / "replaced")
    say(f"Installing into '{where.prefix}'")
    try:
        tool.install(requirements)
        found = _check_loaded(_asked(where, environment), plan.named, lambda: _failed(beside))
    except BaseException:
        with uninterrupted():
            undo.back()
            say("Everything is as it was before.")
        raise
    return Installed(artefacts=plan.artefacts, plugins=found)


def _built(one: Wanted, tool: Tool, into: Path, say: Callable[[str], None]) -> Wanted:
    if not one.is_source or one.path is None:
        return one
    into.mkdir()
    say(f"Building a wheel of '{one.path}'")
    tool.build(one.path, into)
    wheels = sorted(into.glob("*.whl"))
    if len(wheels) != 1:
        raise PluginError(f"Building '{one.path}' has made {len(wheels)} wheels, where one was expected.")
    return wheel_of(wheels[0], one.extras)


def _check_brought(names: Collection[str], named: Collection[str], there: Packages) -> None:
    """Each of some names is a plugin, or needed by one that was named as well.

    Raises:
        InvalidRequestError: one is not.
    """
    plugins = [name for name in named if name in there and points(there[name])]
    needed = closure(plugins, there, extras=True)
    for name in names:
        if name not in needed:
            raise InvalidRequestError(
                f"{name!r} is no plugin of rbee: it has no entry point of the group 'rbee'.",
                param="package",
            )


def _asked(where: Place, given: Mapping[str, str], staged: Path | None = None) -> FoundPlugins:
    """What a program finds that starts now; with what is unpacked in a folder in front."""
    environment = {name: value for name, value in given.items() if name != "RBEE_PLUGINS"}
    # A plugin's own checkout may be the folder that this runs in; it is the installed one that counts.
    environment["PYTHONSAFEPATH"] = "1"
    if staged is not None:
        paths = [str(staged), *filter(None, [environment.get("PYTHONPATH")])]
        environment["PYTHONPATH"] = os.pathsep.join(paths)
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
    return plugins_of(where.python, environment=environment)


def _failed(found: FoundPlugins) -> set[tuple[str | None, str]]:
    """Which plugins fail: their packages and names."""
    return {(one.distribution, one.name) for one in found.plugins if one.status == "failed"}


def _check_loaded(
    found: FoundPlugins, named: Collection[str], failed_before: Callable[[], set[tuple[str | None, str]]]
) -> tuple[FoundPlugin, ...]:
    """The plugins that were asked for.

    Args:
        found: with them.
        named: their packages.
        failed_before: tells what failed without them; asked when it matters.

    Raises:
        PluginError: one of them failed, or one that loaded before fails now.
    """
    mine = tuple(one for one in found.plugins if canonicalize_name(one.distribution or "") in named)
    if not mine:
        raise PluginError(f"{', '.join(named)}: nothing of it is found by a program that starts now.")
    for one in mine:
        if one.status == "failed":
            raise PluginError(f"Plugin {one.name!r} of {one.distribution!r} does not load: {one.error}")
    failed = [one for one in found.plugins if one.status == "failed"]
    if failed:
        known = failed_before()
        for one in failed:
            if (one.distribution, one.name) not in known:
                raise PluginError(
                    f"With {', '.join(named)} the plugin {one.name!r} of {one.distribution!r} does not load any more: "
                    f"{one.error}"
                )
    return mine
