"""An installer as a process: its lines are told, and it ends when nobody wants it any more."""

from __future__ import annotations

import sys
import threading

import psutil
import pytest
from rbee.builtin.python_workers.installer import run
from rbee.catalog.cancel import Cancel
from rbee.contract.errors import CancelledByCallerError, PluginError, UnreachableError

STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600)
"""


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_its_lines_are_told_in_order() -> None:
    said: list[str] = []
    run(python("import sys; print('one'); sys.stdout.flush(); print('two', file=sys.stderr)"), said.append, Cancel())
    assert said == ["one", "two"]


def test_a_failure_has_its_last_words_and_the_command() -> None:
    with pytest.raises(PluginError, match=r"code 3. It said: a \| b. To try it by hand: ") as caught:
        run(python("print('a'); print('b'); raise SystemExit(3)"), lambda _line: None, Cancel())
    assert sys.executable in caught.value.message


def test_a_machine_without_network_is_told_as_such() -> None:
    code = "print('error: Failed to fetch: `https://packages.example/x`'); print('dns error'); raise SystemExit(2)"
    with pytest.raises(UnreachableError, match="is this machine connected"):
        run(python(code), lambda _line: None, Cancel())


def test_cancelled_it_ends_with_all_that_it_has_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rbee.builtin.python_workers.installer._END_S", 0.2)
    cancel, said, begun = Cancel(), [], threading.Event()

    def say(line: str) -> None:
        said.append(int(line))
        begun.set()
        cancel.cancel()

    with pytest.raises(CancelledByCallerError):
        run(python(STUBBORN), say, cancel)
    assert begun.is_set()
    _, alive = psutil.wait_procs([psutil.Process(pid) for pid in said if psutil.pid_exists(pid)], timeout=10)
    assert not [one for one in alive if one.status() != psutil.STATUS_ZOMBIE]
