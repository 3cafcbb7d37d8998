"""Programs that are started in the background."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from rbee.cli import detached
from rbee.cli.context import Context
from rbee.contract.errors import UnreachableError

PROGRAM = """
import os, sys, time
fd = int(sys.argv[-1].partition("=")[2])
open(os.environ["SEEN"], "w").write(str(os.getpid()))
if sys.argv[-2] == "silent":
    os.close(fd)
else:
    os.write(fd, b"{}\\n")
time.sleep(600)
"""


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    """Of a home, in whose caller's folder a program of the test stands where rbee would be."""
    (tmp_path / "here" / "modules" / "rbee").mkdir(parents=True)
    (tmp_path / "here" / "modules" / "rbee" / "__init__.py").touch()
    (tmp_path / "here" / "modules" / "rbee" / "__main__.py").write_text(PROGRAM)
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("RBEE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SEEN", str(tmp_path / "seen"))
    monkeypatch.setenv("PYTHONPATH", "modules")
    found = Context({})
    found.folders.make()
    return found


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[[], psutil.Process]]:
    """The process that was started; ended at the end."""

    def process() -> psutil.Process:
        return psutil.Process(int((tmp_path / "seen").read_text()))

    yield process
    with contextlib.suppress(psutil.NoSuchProcess):
        process().kill()


# It is left running on purpose.
@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
def test_it_holds_no_folder_of_its_caller_and_means_the_same_paths(
    context: Context, tmp_path: Path, started: Callable[[], psutil.Process]
) -> None:
    detached.start(context, ["up", "loud"], tmp_path / "log", "The colony")
    assert Path(started().cwd()) == context.folders.state
    assert started().environ()["PYTHONPATH"] == str(tmp_path / "here" / "modules")


def test_one_that_says_nothing_and_does_not_end_is_an_error_of_its_own_and_is_ended(
    context: Context, tmp_path: Path, started: Callable[[], psutil.Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detached, "_STOP_S", 0.3)
    with pytest.raises(UnreachableError, match="The colony ended while it started"):
        detached.start(context, ["up", "silent"], tmp_path / "log", "The colony")
    assert not psutil.pid_exists(int((tmp_path / "seen").read_text()))


def test_an_interrupt_in_the_moment_of_its_birth_leaves_no_orphan(
    context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    born: list[subprocess.Popen[bytes]] = []

    class Interrupted(subprocess.Popen[bytes]):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            born.append(self)
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            detached.start(context, ["up", "loud"], tmp_path / "log", "The colony")
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert born[0].returncode is not None
