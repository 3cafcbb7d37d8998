"""An environment of its own with rbee in it, and plugins as tiny wheels."""

from __future__ import annotations

import ensurepip
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

from rbee.builtin.plugin_packages.distributions import closure, installed
from rbee.testing.colony import heeding_interrupts
from unit.builtin.python_workers.wheels import wheel

PLUGIN = """
import click
from rbee.contract import hookimpl

RBEE_CONTRACT = ">=0.3,<0.4"

@hookimpl
def rbee_register(register):
    register.command(click.Command({command!r}, callback=lambda: print({says!r})))
"""


class Environment:
    """A virtual environment that has rbee, what rbee needs, and nothing else; its index is a folder of wheels."""

    def __init__(self, folder: Path, tool: str) -> None:
        self.folder = folder
        self.wheels = folder / "wheels"
        self.wheels.mkdir()
        venv.create(folder / "venv", with_pip=False, symlinks=True)
        self.python = folder / "venv" / "bin" / "python"
        (self.packages,) = (folder / "venv" / "lib").glob("python*/site-packages")
        self._link_rbee()
        if tool == "pip":
            self.add_pip()
        self.environment = {
            "HOME": str(folder / "user"),
            "LANG": "C.UTF-8",
            # uv is found beside the interpreter of the tests; where pip is meant, nothing is on the path.
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]) if tool == "uv" else "",
            "RBEE_HOME": str(folder / "home"),
            "UV_OFFLINE": "1",
            "UV_NO_INDEX": "1",
            "UV_FIND_LINKS": str(self.wheels),
            "UV_CACHE_DIR": str(folder / "cache"),
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.wheels),
            "PIP_CACHE_DIR": str(folder / "cache"),
            "PIP_CONFIG_FILE": os.devnull,
        }
        if "PYTHONPYCACHEPREFIX" in os.environ:
            self.environment["PYTHONPYCACHEPREFIX"] = str(folder / "compiled")

    def _link_rbee(self) -> None:
        """Links to the files of this environment: an installer that removes one removes it here alone."""
        present = installed()
        for name in closure(["rbee"], present, extras=False):
            for file in present[name].files or ():
                source = Path(str(present[name].locate_file(file)))
                if ".." in file.parts or "__pycache__" in file.parts or not source.is_file():
                    continue
                target = self.packages / file
                target.parent.mkdir(parents=True, exist_ok=True)
                target.hardlink_to(source)

    def add_pip(self) -> None:
        """The pip that comes with Python."""
        (bundled,) = (Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl")
        with zipfile.ZipFile(bundled) as archive:
            archive.extractall(self.packages)

    def argv(self, *args: str) -> list[str]:
        return [str(self.python), "-m", "rbee", *args]

    def rbee(self, *args: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run `rbee` to its end, with further variables; nobody is at its input."""
        return subprocess.run(
            self.argv(*args),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env={**self.environment, **more},
            cwd=self.folder,
            timeout=120,
            check=False,
            preexec_fn=heeding_interrupts(),
        )

    def files(self) -> dict[str, bytes]:
        """All of the environment's files but compiled ones."""
        root = self.folder / "venv"
        return {
            str(path.relative_to(root)): path.read_bytes()
            for path in sorted(root.rglob("*"))
            if path.is_file() and path.suffix != ".pyc" and path.name not in {"python", ".lock"}
        }

    def add(
        self,
        name: str = "rbee-hello",
        version: str = "1.0",
        *,
        needs: tuple[str, ...] = (),
        code: str | None = None,
        plugin: str | None = "hello",
        into: Path | None = None,
        files: dict[str, str] | None = None,
    ) -> Path:
        """A wheel on the index: a plugin whose command says its version, or a library where `plugin` is None."""
        module = name.replace("-", "_")
        metadata = f"Name: {name}\nVersion: {version}\n" + "".join(f"Requires-Dist: {one}\n" for one in needs)
        code = PLUGIN.format(command=plugin, says=f"{name} {version}") if code is None else code
        inside = {f"{module}.py": code, **(files or {})}
        if plugin is not None:
            inside["INFO/entry_points.txt"] = f"[rbee]\n{plugin} = {module}\n"
        return wheel(into or self.wheels, module, version, metadata, inside)

    def put(self, path: Path) -> None:
        """Unpack a wheel as it is, past every installer's checks."""
        with zipfile.ZipFile(path) as archive:
            archive.extractall(self.packages)
