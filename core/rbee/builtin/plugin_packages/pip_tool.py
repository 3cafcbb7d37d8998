"""pip, as the installer of plugins."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from packaging.utils import canonicalize_name

from rbee.builtin.plugin_packages.distributions import installed
from rbee.builtin.plugin_packages.tools import ONLY_WHEELS, Artefact, Tool, file_of, given_artefact
from rbee.builtin.plugin_packages.wanted import Wanted
from rbee.contract.errors import PluginError


class Pip(Tool):
    """The pip of the environment itself."""

    name = "pip"

    def build(self, source: Path, into: Path) -> None:
        """Build the wheel of a source."""
        self._run([*self._pip("wheel"), "--no-deps", "--wheel-dir", str(into), str(source)])

    def plan(self, wanted: Sequence[Wanted], kept: Mapping[str, str]) -> list[Artefact]:
        """By pip's report of what it would install."""
        told = self._folder / "report.json"
        self._run(
            [*self._pip("install"), "--dry-run", "--report", str(told), *ONLY_WHEELS,
             "--constraint", str(self._constraints(kept)), *(one.requirement for one in wanted)]
        )  # fmt: skip
        present = {name: one.version for name, one in installed().items()}
        given = {one.name: one for one in wanted if one.path is not None}
        found = []
        for one in json.loads(told.read_text(encoding="utf-8"))["install"]:
            name, version = canonicalize_name(one["metadata"]["name"]), one["metadata"]["version"]
            if name in given:
                found.append(given_artefact(given[name], present.get(name)))
                continue
            sha256 = one["download_info"].get("archive_info", {}).get("hashes", {}).get("sha256")
            file = file_of(one["download_info"]["url"])
            if not sha256:
                raise PluginError(f"The installer does not tell the sha256 of '{file}'; nothing was changed.")
            found.append(Artefact(name=name, version=version, file=file, sha256=sha256, replaces=present.get(name)))
        return found

    def stage(self, requirements: Path, into: Path, say: Callable[[str], None]) -> None:
        """Fetch and unpack beside."""
        self._run([*self._exactly(requirements), "--no-compile", "--target", str(into)], say)

    def install(self, requirements: Path) -> None:
        """Install."""
        self._run(self._exactly(requirements))

    def uninstall(self, name: str) -> None:
        """Uninstall."""
        self._run([*self._pip("uninstall"), "--yes", name])

    def _exactly(self, requirements: Path) -> list[str]:
        return [*self._pip("install"), "--no-deps", "--require-hashes", *ONLY_WHEELS, "-r", str(requirements)]

    def _pip(self, what: str) -> list[str]:
        quiet = ["--no-input", "--no-color", "--disable-pip-version-check"]
        return [self._where.python, "-m", "pip", what, *quiet]
