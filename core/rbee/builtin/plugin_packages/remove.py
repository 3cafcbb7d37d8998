"""Removing a plugin's distribution, by what is written of it; no plugin is loaded, so a broken one goes like any."""

from __future__ import annotations

import difflib
from pathlib import Path

import msgspec
from packaging.utils import canonicalize_name

from rbee.builtin.plugin_packages.distributions import (
    CORE,
    Packages,
    closure,
    installed,
    left_over,
    needed_by,
    points,
)
from rbee.builtin.plugin_packages.place import Place
from rbee.builtin.plugin_packages.tools import Tool
from rbee.builtin.plugin_packages.undo import Undo, uninterrupted
from rbee.contract.errors import ConflictError, InvalidRequestError, NotFoundError, PluginError


class Removed(msgspec.Struct, frozen=True, kw_only=True):
    """What was done.

    Attributes:
        name: canonical name of the distribution that is gone.
        version: of it.
        left: what only it had needed, and which stays.
    """

    name: str
    version: str
    left: tuple[str, ...]


def remove(word: str, tool: Tool, where: Place, folder: Path) -> Removed:
    """Uninstall one plugin's distribution.  Blocks.

    Args:
        word: the distribution, or a plugin that it brings.
        tool: the installer.
        where: the environment.
        folder: for copies, until it is done.

    Raises:
        NotFoundError: there is none.
        InvalidRequestError: it is no plugin, or rbee's own part, or several are meant.
        ConflictError: something else needs it.
        PluginError: it is still there.
    """
    present = installed()
    name = _meant(word, present)
    one = present[name]
    if name in closure([CORE], present, extras=False):
        raise InvalidRequestError(f"rbee itself needs {name!r}; it cannot be removed.", param="name")
    others = needed_by(name, present)
    if others:
        raise ConflictError(f"{name!r} is needed by {', '.join(others)}; remove that first.")
    # Read now: what is written of it goes with it.
    version, left = one.version, tuple(left_over(name, present))
    undo = Undo(where, None, [one], folder / "removed")
    try:
        tool.uninstall(name)
    except BaseException:
        with uninterrupted():
            undo.back()
        raise
    if name in installed():
        raise PluginError(
            f"The installer leaves {name!r} where it is, in '{one.locate_file('')}', outside of rbee's environment "
            f"'{where.prefix}'. Remove it there, with the Python that it belongs to."
        )
    return Removed(name=name, version=version, left=left)


def _meant(word: str, present: Packages) -> str:
    """The distribution that a word means: its name comes before that of a plugin."""
    name = canonicalize_name(word)
    if name in present and (points(present[name]) or name == CORE):
        return _foreign(name, word)
    brought = sorted(other for other, one in present.items() if word in {point.name for point in points(one)})
    if len(brought) > 1:
        raise InvalidRequestError(
            f"Several packages bring a plugin {word!r}: {', '.join(brought)}. Name one of these.", param="name"
        )
    if brought:
        return _foreign(brought[0], word)
    if name in present:
        raise InvalidRequestError(
            f"{word!r} is no plugin of rbee: it has no entry point of the group 'rbee', and it stays.", param="name"
        )
    plugins = sorted({name for name, one in present.items() if points(one) and name != CORE})
    close = difflib.get_close_matches(name, [*plugins, *(p.name for one in plugins for p in points(present[one]))], n=1)
    hint = f"Did you mean {close[0]!r}?" if close else f"There are: {', '.join(plugins) or 'none'}."
    raise NotFoundError(f"No plugin {word!r} is installed. {hint}")


def _foreign(name: str, word: str) -> str:
    if name == CORE:
        raise InvalidRequestError(f"{word!r} is part of rbee itself and cannot be removed.", param="name")
    return name
