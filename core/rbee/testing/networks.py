"""Machines with networks of their own for tests: Linux network namespaces on one bridge, whose cables can be pulled.

Needs the rights of an administrator and the commands ``ip`` and ``nsenter``; `why_not` tells where it cannot be.  The
addresses are from 198.18.0.0/15, which is reserved for tests.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator

import psutil

_COMMAND_S = 20.0
_PREFIX = "rb"
_OURS = re.compile(rf"{_PREFIX}(\d+)[nbv]\d*")
_SERVER = (
    "import socket, sys; s = socket.create_server((sys.argv[1], 0)); print(s.getsockname()[1], flush=True); s.accept()"
)


class Network:
    """A bridge, and namespaces that are joined to it; a context manager, which removes all of it.

    Args:
        number: tells networks of one process apart.
    """

    def __init__(self, number: int = 0) -> None:
        self._stem = f"{_PREFIX}{os.getpid()}"
        self._bridge = f"{self._stem}b{number}"
        self._first = 1 + 10 * number
        self._subnet = ""
        self._names: dict[str, int] = {}

    def open(self) -> Network:
        """Make the bridge, after removing what ended test runs have left."""
        _sweep()
        for attempt in range(512):
            number = (os.getpid() + attempt) % 512
            self._subnet = f"198.{18 + number // 256}.{number % 256}"
            if not _run("ip", "-4", "route", "show", f"{self._subnet}.0/24"):
                break
        _run("ip", "link", "add", self._bridge, "type", "bridge")
        _run("ip", "addr", "add", f"{self._subnet}.1/24", "dev", self._bridge)
        _run("ip", "link", "set", self._bridge, "up")
        return self

    def close(self) -> None:
        """Remove all of it; harmless when it was never opened."""
        for name in self._names:
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                _run("ip", "netns", "del", self._namespace(name))
        self._names.clear()
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            _run("ip", "link", "del", self._bridge)

    def join(self, name: str) -> None:
        """Add a machine's network: one interface with an address, and loopback."""
        self._names[name] = self._first + len(self._names)
        namespace, cable = self._namespace(name), self.cable(name)
        _run("ip", "netns", "add", namespace)
        _run("ip", "link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", namespace)
        _run("ip", "link", "set", cable, "master", self._bridge, "up")
        for words in (f"addr add {self.address(name)}/24 dev eth0", "link set eth0 up", "link set lo up"):
            _run("ip", "-n", namespace, *words.split())

    def address(self, name: str) -> str:
        """The machine's."""
        return f"{self._subnet}.{10 + self._names[name]}"

    def prefix(self, name: str) -> tuple[str, ...]:
        """What leads a command into the machine's network.

        Not ``ip netns exec``, which hides the control groups under a file system of its own.
        """
        return ("nsenter", f"--net=/run/netns/{self._namespace(name)}", "--")

    def cut(self, name: str) -> None:
        """Pull the machine's cable."""
        _run("ip", "link", "set", self.cable(name), "down")

    def heal(self, name: str) -> None:
        """Plug it in again."""
        _run("ip", "link", "set", self.cable(name), "up")

    def _namespace(self, name: str) -> str:
        return f"{self._stem}n{self._names[name]}"

    def cable(self, name: str) -> str:
        """The end of the machine's cable at the bridge: an interface through which all goes that it sends and gets."""
        return f"{self._stem}v{self._names[name]}"


@contextlib.contextmanager
def network(number: int = 0) -> Iterator[Network]:
    """An open network, removed at the end."""
    found = Network(number)
    try:
        yield found.open()
    finally:
        found.close()


def why_not() -> str | None:
    """Why there can be no such networks here; None where they can be.  Tried, not guessed."""
    if not sys.platform.startswith("linux"):
        return "network namespaces are a thing of Linux"
    if missing := [name for name in ("ip", "nsenter") if shutil.which(name) is None]:
        return f"there is no command {missing[0]!r}"
    try:
        with network(9) as tried:
            tried.join("a")
            tried.join("b")
            return None if _reaches(tried) else "machines on a bridge do not reach each other here"
    except subprocess.CalledProcessError as error:
        said = (error.stderr or "").strip().splitlines()
        return f"the system does not permit network namespaces: {said[-1] if said else error}"
    except (OSError, subprocess.SubprocessError) as error:
        return f"the system does not permit network namespaces: {error}"


def _reaches(tried: Network) -> bool:
    server = [*tried.prefix("a"), sys.executable, "-c", _SERVER, tried.address("a")]
    with subprocess.Popen(server, stdout=subprocess.PIPE, text=True) as process:
        try:
            port = process.stdout.readline().strip() if process.stdout is not None else ""
            call = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 3)"
            client = [*tried.prefix("b"), sys.executable, "-c", call, tried.address("a"), port]
            return subprocess.run(client, capture_output=True, timeout=_COMMAND_S, check=False).returncode == 0
        finally:
            process.kill()


def _sweep() -> None:
    """Remove what a test run that was killed could not."""
    listed = _run("ip", "-o", "link", "show", "type", "bridge") + _run("ip", "netns", "list")
    for name in {found.group(0) for found in _OURS.finditer(listed) if not psutil.pid_exists(int(found.group(1)))}:
        words = ("netns", "del", name) if "n" in name else ("link", "del", name)
        with contextlib.suppress(subprocess.SubprocessError):
            _run("ip", *words)


def _run(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, timeout=_COMMAND_S, check=True).stdout
