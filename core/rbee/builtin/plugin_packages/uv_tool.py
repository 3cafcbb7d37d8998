"""uv, as the installer of plugins."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from packaging.tags import sys_tags
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from rbee.builtin.plugin_packages.distributions import installed
from rbee.builtin.plugin_packages.place import Place
from rbee.builtin.plugin_packages.tools import ONLY_WHEELS, Artefact, Tool, file_of, given_artefact
from rbee.builtin.plugin_packages.wanted import Wanted
from rbee.builtin.python_workers.installer import install_command
from rbee.contract.errors import PluginError

_CHANGE = re.compile(r"(?P<how>[+~-]) (?P<name>[A-Za-z0-9._-]+)(?:==(?P<version>\S+))?(?: .*)?")


class Uv(Tool):
    """uv's commands below ``uv pip``.

    Args:
        uv: the program.
        where: the environment.
        folder: of its own.
    """

    name = "uv"

    def __init__(self, uv: str, where: Place, folder: Path) -> None:
        super().__init__(where, folder)
        self._uv = uv

    def build(self, source: Path, into: Path) -> None:
        """Build the wheel of a source."""
        self._run([self._uv, "build", "--wheel", "--python", self._where.python, "--out-dir", str(into), str(source)])

    def plan(self, wanted: Sequence[Wanted], kept: Mapping[str, str]) -> list[Artefact]:
        """Two questions: what would be installed, then which files these are."""
        # Of a package that was named, the newest that fits: as for pip, an older one that is there will do.
        said = self._run(
            [*self._pip("install"), "--dry-run", *ONLY_WHEELS, "--constraint", str(self._constraints(kept)),
             *(one.requirement for one in wanted)]
        )  # fmt: skip
        changes = [found for text in said if (found := _CHANGE.fullmatch(text))]
        new: dict[str, str] = {canonicalize_name(one["name"]): one["version"] for one in changes if one["how"] != "-"}
        for one in changes:
            if one["how"] == "-" and canonicalize_name(one["name"]) not in new:
                raise PluginError(f"The installer would remove {one['name']!r}; nothing was changed.")
        present = {name: one.version for name, one in installed().items()}
        given = {one.name: one for one in wanted if one.path is not None}
        fetched = {name: version for name, version in new.items() if name not in given}
        files = self._files(fetched) if fetched else {}
        return [
            given_artefact(given[name], present.get(name))
            if name in given
            else Artefact(
                name=name, version=version, file=files[name][0], sha256=files[name][1], replaces=present.get(name)
            )
            for name, version in new.items()
        ]

    def stage(self, requirements: Path, into: Path, say: Callable[[str], None]) -> None:
        """Fetch and unpack beside."""
        command = install_command(self._uv, Path(self._where.python), requirements)
        self._run([*command, *ONLY_WHEELS, "--target", str(into)], say)

    def install(self, requirements: Path) -> None:
        """Install."""
        self._run([*install_command(self._uv, Path(self._where.python), requirements), *ONLY_WHEELS])

    def uninstall(self, name: str) -> None:
        """Uninstall."""
        self._run([*self._pip("uninstall"), name])

    def _pip(self, what: str) -> list[str]:
        return [self._uv, "pip", what, "--color", "never", "--no-progress", "--python", self._where.python]

    def _files(self, fetched: Mapping[str, str]) -> dict[str, tuple[str, str]]:
        """Name and hash of the wheel for this Python, by name of the distribution."""
        asked, told = self._folder / "fetched.in", self._folder / "pylock.toml"
        asked.write_text("".join(f"{name}=={version}\n" for name, version in fetched.items()), encoding="utf-8")
        self._run(
            [*self._pip("compile"), "--no-deps", *ONLY_WHEELS, "--generate-hashes", "--format", "pylock.toml",
             "--output-file", str(told), str(asked)]
        )  # fmt: skip
        with told.open("rb") as file:
            packages = tomllib.load(file).get("packages", [])
        found = {canonicalize_name(one["name"]): best_wheel(one.get("wheels", ())) for one in packages}
        files: dict[str, tuple[str, str]] = {name: file for name, file in found.items() if file is not None}
        for name, version in fetched.items():
            if name not in files:
                raise PluginError(
                    f"The index has no wheel of {name} {version} for this Python with its sha256; nothing was changed. "
                    "Build one and install the file."
                )
        return files


def best_wheel(wheels: Sequence[Mapping[str, Any]]) -> tuple[str, str] | None:
    """Name and sha256 of the wheel that suits this Python best; None when there is none.

    Args:
        wheels: as in a ``pylock.toml``.
    """
    ranks = {tag: rank for rank, tag in enumerate(sys_tags())}
    found = []
    for one in wheels:
        file = one.get("name") or file_of(str(one.get("url") or one.get("path") or ""))
        sha256 = one.get("hashes", {}).get("sha256")
        try:
            tags = parse_wheel_filename(file)[3]
        except InvalidWheelFilename:
            continue
        fitting = [ranks[tag] for tag in tags if tag in ranks]
        if sha256 and fitting:
            found.append((min(fitting), file, str(sha256)))
    return min(found)[1:] if found else None
