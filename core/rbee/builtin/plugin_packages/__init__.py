"""Packages of plugins in rbee's own environment: what is there, and bringing and removing one."""

from rbee.builtin.plugin_packages.install import Installed, Planned, install, planned
from rbee.builtin.plugin_packages.listing import ListedPlugin, listed
from rbee.builtin.plugin_packages.place import Place, place
from rbee.builtin.plugin_packages.remove import Removed, remove
from rbee.builtin.plugin_packages.tools import Artefact, tool_of

__all__ = [
    "Artefact",
    "Installed",
    "ListedPlugin",
    "Place",
    "Planned",
    "Removed",
    "install",
    "listed",
    "place",
    "planned",
    "remove",
    "tool_of",
]
