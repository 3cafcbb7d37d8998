"""Where rbee is on another machine, and what is there already."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

import msgspec

from rbee.contract.errors import UnavailableError
from rbee.remote.host import Host
from rbee.remote.program import platform_named

DEFAULT_ROOT = "~/.local/share/rbee/hive"
"""Below it everything lies that rbee brings to a machine: `rbee hive uninstall --purge` leaves nothing."""

OWN_FOLDER = "rbee-hive"
"""In a folder that somebody has named rbee is below this one: what it writes and removes is never somebody else's."""

COMPLETE = "rbee-environment"
"""A file of this name is the last that is written into an environment: without it, it is half made."""

_LOOK_S = 60.0


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """The folders of one hive on one machine.

    Attributes:
        root: absolute.
    """

    root: PurePosixPath

    @property
    def versions(self) -> PurePosixPath:
        """Environments, one a version; each stays as it was made."""
        return self.root / "versions"

    @property
    def current(self) -> PurePosixPath:
        """A link to the environment that is run."""
        return self.root / "current"

    @property
    def previous(self) -> PurePosixPath:
        """A link to the one before it, kept for the way back."""
        return self.root / "previous"

    @property
    def home(self) -> PurePosixPath:
        """RBEE_HOME of the hive: models, certificates, logs of workers."""
        return self.root / "home"

    @property
    def wheels(self) -> PurePosixPath:
        """Wheels that were sent, until they are installed."""
        return self.root / "wheels"

    @property
    def models(self) -> PurePosixPath:
        """Models that came with a bundle."""
        return self.root / "models"

    @property
    def uv(self) -> PurePosixPath:
        """The installer, where it was sent along."""
        return self.root / "tools" / "uv"

    @property
    def program(self) -> PurePosixPath:
        """A shell script that runs the hive with its settings, until it ends."""
        return self.root / "run-hive"

    @property
    def log(self) -> PurePosixPath:
        """What the hive says."""
        return self.root / "hive.log"

    @property
    def pid(self) -> PurePosixPath:
        """Of the supervisor, where no other service manager is."""
        return self.root / "hive.pid"

    def python(self, environment: str | None = None) -> PurePosixPath:
        """The interpreter of an environment, or of the current one."""
        folder = self.current if environment is None else self.versions / environment
        return folder / "bin" / "python"


class Python(msgspec.Struct, frozen=True, kw_only=True):
    """A Python that is there.

    Attributes:
        path: absolute.
        version: ``3.12``.
        pip: it can make environments with pip in them.
    """

    path: str
    version: str
    pip: bool


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What is on a machine.

    Attributes:
        layout: where rbee is, or is to be.
        there: whether anything is there.
        platform: ``linux-x86_64``.
        uid: of the user.
        pythons: of 3.11 or later, the newest first.
        uv: path of an installer; None for none.
        current: the environment that is run; None for none.
        previous: the one before.
        environments: those that are whole.
        free_bytes: that the user may still write where rbee is; None when unknown.
        manager: what keeps programs running there: ``systemd``, ``launchd``, or ``group``: rbee itself.
        linger: whether programs of the user run while nobody is logged in, as systemd says; None when unknown.
        joined: it has a certificate of a colony.
        cron: there is a table of commands to be run at boot.
    """

    layout: Layout
    there: bool
    platform: str
    uid: int
    pythons: tuple[Python, ...]
    uv: str | None
    current: str | None
    previous: str | None
    environments: tuple[str, ...]
    free_bytes: int | None
    manager: str
    linger: bool | None
    joined: bool
    cron: bool


_SCRIPT = r"""
case $1 in '~') root=$HOME;; '~/'*) root=$HOME/${1#'~/'};; /*) root=$1;; *) root=$HOME/$1;; esac
while [ "$root" != "${root%/}" ]; do root=${root%/}; done
if [ "$root" != "$HOME/$2" ] && [ "${root##*/}" != "$3" ]; then root=$root/$3; fi
echo "root=$root"
[ -d "$root" ] && echo there=yes
echo "system=$(uname -s) $(uname -m)"
echo "uid=$(id -u)"
for name in python3.14 python3.13 python3.12 python3.11 python3 python; do
  path=$(command -v "$name" 2>/dev/null) || continue
  "$path" -c '
import importlib.util as u, os, sys
if sys.version_info >= (3, 11) and u.find_spec("venv") and u.find_spec("ssl") and u.find_spec("sqlite3"):
    print("python=%d.%d %s %s" % (*sys.version_info[:2], "pip" if u.find_spec("ensurepip") else "-", sys.executable))
' 2>/dev/null
done
for path in "$root/tools/uv" "$(command -v uv 2>/dev/null)" "$HOME/.local/bin/uv" "$HOME/.cargo/bin/uv"; do
  [ -n "$path" ] && [ -x "$path" ] && "$path" --version >/dev/null 2>&1 && { echo "uv=$path"; break; }
done
for link in current previous; do
  target=$(readlink "$root/$link" 2>/dev/null) && echo "$link=${target##*/}"
done
for mark in "$root"/versions/*/rbee-environment; do
  [ -f "$mark" ] && { folder=${mark%/*}; echo "environment=${folder##*/}"; }
done
at=$root
while [ ! -d "$at" ]; do at=${at%/*}; [ -n "$at" ] || at=/; done
df -Pk "$at" 2>/dev/null | awk 'NR == 2 { print "free=" $4 }'
if [ "$(uname -s)" = Darwin ]; then echo manager=launchd
elif XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-/run/user/$(id -u)} systemctl --user show-environment >/dev/null 2>&1
then
  echo manager=systemd
  echo "linger=$(loginctl show-user "$(id -un)" --property=Linger --value 2>/dev/null)"
fi
[ -f "$root/home/config/identity/identity.pem" ] && echo joined=yes
command -v crontab >/dev/null 2>&1 && echo cron=yes
exit 0
"""

_SAFE = re.compile(r"/[^\x00-\x1f\x7f]*")


async def find(host: Host, root: str | None = None) -> Found:
    """Look at what is on a machine; changes nothing there.

    Args:
        host: the machine.
        root: a folder that is to have rbee in one of its own, `OWN_FOLDER`, if it is not that one; relative ones and
            ``~/`` begin in the user's home; None for the usual place.

    Raises:
        UnreachableError: the line broke.
        UnavailableError: the machine has no shell that works as others do.
    """
    argv = ["/bin/sh", "-c", _SCRIPT, "sh", root or DEFAULT_ROOT, DEFAULT_ROOT.removeprefix("~/"), OWN_FOLDER]
    done = await host.run(argv, timeout_s=_LOOK_S)
    told: dict[str, list[str]] = {}
    for line in done.out.splitlines():
        name, equals, value = line.partition("=")
        if equals and value:
            told.setdefault(name, []).append(value)
    place = told.get("root", [""])[0]
    system, _, machine = told.get("system", [""])[0].partition(" ")
    if not done.good or not _SAFE.fullmatch(place) or not machine:
        said = (done.err.strip() or done.out.strip()).splitlines()
        raise UnavailableError(
            f"Looking at {host.name}: its shell did not answer as one of Linux or macOS does"
            f"{': ' + said[-1][:200] if said else ''}. See that user {host.user!r} has a POSIX shell there."
        )
    free = told.get("free", [""])[0]
    uid = told.get("uid", [""])[0]
    linger = told.get("linger")
    return Found(
        layout=Layout(root=PurePosixPath(place)),
        there="there" in told,
        platform=platform_named(system, machine),
        uid=int(uid) if uid.isdecimal() else 0,
        pythons=_pythons(told.get("python", [])),
        uv=told.get("uv", [None])[0],
        current=told.get("current", [None])[0],
        previous=told.get("previous", [None])[0],
        environments=tuple(told.get("environment", ())),
        free_bytes=int(free) * 1024 if free.isdecimal() else None,
        manager=told.get("manager", ["group"])[0],
        linger=None if linger is None else linger[0] == "yes",
        joined="joined" in told,
        cron="cron" in told,
    )


def _pythons(lines: list[str]) -> tuple[Python, ...]:
    found: dict[str, Python] = {}
    for line in lines:
        version, pip, path = line.split(" ", 2)
        found.setdefault(path, Python(path=path, version=version, pip=pip == "pip"))
    return tuple(sorted(found.values(), key=lambda one: [int(part) for part in one.version.split(".")], reverse=True))
