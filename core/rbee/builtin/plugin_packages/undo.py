"""Going back: what an installer has put into an environment goes, and what it has replaced is there again."""

from __future__ import annotations

import contextlib
import shutil
import signal
import threading
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution
from pathlib import Path

from rbee.builtin.plugin_packages.place import Place

_PROGRAMS = "bin"
_OF_PREFIX = ("etc", "share", "include")


class Undo:
    """Made before anything changes.

    An installer that is ended in the middle leaves files that no record lists; these are known from the folder in which
    the same wheels were unpacked before.

    Args:
        where: the environment.
        staged: the same wheels, unpacked; None when nothing is installed.
        replaced: distributions that will be gone or others.
        folder: keeps copies meanwhile.
    """

    def __init__(self, where: Place, staged: Path | None, replaced: Iterable[Distribution], folder: Path) -> None:
        self._new: list[Path] = []
        self._copies: dict[Path, Path] = {}
        folder.mkdir(parents=True, exist_ok=True)
        for one in replaced:
            for file in one.files or ():
                self._keep(Path(str(one.locate_file(file))).absolute(), folder)
        if staged is not None:
            for entry in sorted(staged.iterdir()):
                for target in _targets(where, entry.relative_to(staged)):
                    self._note(entry, target, folder)

    def back(self) -> None:
        """Make it as it was.  Harmless when repeated."""
        for path in self._new:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        for path, copy in self._copies.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            shutil.copy2(copy, path, follow_symlinks=False)

    def _note(self, entry: Path, target: Path, folder: Path) -> None:
        """What is not there yet is new as a whole; what is there is kept, and looked into."""
        if not target.exists() and not target.is_symlink():
            self._new.append(target)
        elif entry.is_dir() and target.is_dir():
            for below in sorted(entry.iterdir()):
                self._note(below, target / below.name, folder)
        else:
            self._keep(target, folder)

    def _keep(self, path: Path, folder: Path) -> None:
        if path not in self._copies and (path.is_file() or path.is_symlink()):
            copy = folder / str(len(self._copies))
            shutil.copy2(path, copy, follow_symlinks=False)
            self._copies[path] = copy


def _targets(where: Place, relative: Path) -> list[Path]:
    """Where an entry of the unpacked folder goes, or may go."""
    if relative.name.startswith(".lock"):
        return []
    found = [folder / relative for folder in where.packages]
    if relative.name == _PROGRAMS:
        found.append(where.scripts)
    if relative.name in _OF_PREFIX:
        found.append(where.prefix / relative)
    return found


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Ctrl+C waits meanwhile: going back half way would be worse than either end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
