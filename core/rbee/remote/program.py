"""What this machine runs: rbee, its plugins and all that they need, in exact versions."""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from collections.abc import Collection, Mapping, Sequence
from importlib.metadata import Distribution
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec
from packaging.utils import canonicalize_name

from rbee.builtin.plugin_packages.distributions import CORE, Packages, installed, needs, points
from rbee.contract.errors import ConfigurationError, NotFoundError


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One distribution.

    Attributes:
        name: canonical.
        version: exact.
        source: the folder that it runs from, for one that is installed as editable; None for the others.
        local: it came from this machine and not from an index.
    """

    name: str
    version: str
    source: Path | None = None
    local: bool = False

    @property
    def pinned(self) -> str:
        """``name==version``."""
        return f"{self.name}=={self.version}"


def parts(plugins: Collection[str] | None = None, among: Packages | None = None) -> list[Part]:
    """All distributions that rbee here is made of, by name.

    Args:
        plugins: distributions of plugins, with or without ``rbee-``; None for all that are installed.
        among: what is installed; None for what this program can import.

    Raises:
        NotFoundError: a plugin is not installed here.
    """
    found = installed() if among is None else among
    if CORE not in found:
        raise ConfigurationError("rbee runs here from plain files. Install it as a package to bring it elsewhere.")
    own = {name for name, one in found.items() if points(one)}
    roots = {CORE, *(own if plugins is None else (_plugin(one, own) for one in plugins))}
    return [_part(name, found[name]) for name in sorted(_needed(roots, own, found))]


def environment_of(made_of: Sequence[Part], wheels: Mapping[str, str]) -> str:
    """The name of the environment that they make: ``0.1.0-1a2b3c4d5e``.

    Args:
        made_of: the distributions.
        wheels: SHA-256 of the wheels of those that came from this machine, by name.
    """
    version = next(one.version for one in made_of if one.name == CORE)
    lines = sorted(f"{one.pinned} {wheels.get(one.name, '') if one.local else ''}" for one in made_of)
    return f"{version}-{hashlib.sha256(chr(10).join(lines).encode()).hexdigest()[:10]}"


def platform_here() -> str:
    """The kind of this machine: ``linux-x86_64``, ``macos-arm64``."""
    return platform_named(platform.system(), platform.machine())


def platform_named(system: str, machine: str) -> str:
    """The same from what ``uname -s`` and ``uname -m`` say."""
    names = {"amd64": "x86_64", "arm64": "aarch64"}
    if system == "Darwin":
        return f"macos-{machine}"
    return f"{system.lower()}-{names.get(machine.lower(), machine.lower())}"


def python_here() -> str:
    """``3.12``."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _needed(roots: Collection[str], own: Collection[str], among: Packages) -> set[str]:
    """They, and what they require.

    Nobody wrote down which extras were asked for: those of rbee's own distributions are taken as far as they are
    installed, those of others where they are asked for.
    """
    seen: set[tuple[str, frozenset[str]]] = set()
    left: list[tuple[str, frozenset[str]]] = [(name, frozenset()) for name in roots]
    while left:
        step = name, asked = left.pop()
        # A plugin is there because it was chosen, not because an extra names it.
        if step in seen or name not in among or (name in own and name not in roots):
            continue
        seen.add(step)
        left += needs(among[name], None if name in own else asked)
    return {name for name, _ in seen}


def _plugin(wanted: str, own: Collection[str]) -> str:
    name = canonicalize_name(wanted)
    for found in (name, f"{CORE}-{name}"):
        if found in own:
            return found
    there = ", ".join(sorted(one.removeprefix(f"{CORE}-") for one in own if one != CORE))
    raise NotFoundError(f"There is no plugin {wanted!r} on this machine; there are: {there or 'none'}.")


def _part(name: str, one: Distribution) -> Part:
    told = one.read_text("direct_url.json")
    if told is None:
        return Part(name=name, version=one.version)
    try:
        facts = json.loads(told)
        url = urlsplit(facts["url"])
        editable = url.scheme == "file" and bool(facts.get("dir_info", {}).get("editable"))
    except (ValueError, KeyError, TypeError, AttributeError):
        return Part(name=name, version=one.version, local=True)
    return Part(name=name, version=one.version, source=Path(unquote(url.path)) if editable else None, local=True)
