"""Keeping a hive running on another machine: by its service manager, else by a small supervisor of rbee's own."""

from __future__ import annotations

import re
import shlex
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import PurePosixPath
from xml.sax.saxutils import escape

import msgspec

from rbee.contract.errors import UnavailableError
from rbee.remote.host import Host, Ran
from rbee.remote.installing import cause_of, failed
from rbee.remote.layout import Found, Layout

_STEP_S = 60.0
_LOG_BYTES = 10 * 1024 * 1024
_LONGEST_NAME = 100


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """How a hive is on its machine.

    Attributes:
        running: its process lives, or is about to be started again.
        pid: of the process that is kept running; None when unknown or it does not run.
        boot: whether it comes back when the machine is started.
        deaths: how often it has died since it was started, and was begun again; None when unknown.
    """

    running: bool
    pid: int | None = None
    boot: bool = False
    deaths: int | None = None


class Keeper(ABC):
    """Starts, stops and watches the hive of one machine.  Everything may be repeated without harm.

    Args:
        host: the machine.
        found: what is on it.
        name: of the hive.
    """

    kind: str

    def __init__(self, host: Host, found: Found, name: str) -> None:
        self._host = host
        self._found = found
        self._layout: Layout = found.layout
        self.unit = f"rbee-hive-{re.sub(r'[^A-Za-z0-9_.-]', '-', name)[:_LONGEST_NAME]}"

    @abstractmethod
    async def start(self) -> None:
        """Start it, now and, where that is permitted, with the machine.

        Raises:
            UnavailableError: it could not be started, and why.
        """

    @abstractmethod
    async def stop(self, timeout_s: float) -> None:
        """Stop it in order: it ends its workers; what has not ended in time is killed.  It does not come back.

        Args:
            timeout_s: for the orderly end.
        """

    @abstractmethod
    async def state(self) -> Kept:
        """How it is."""

    @abstractmethod
    async def forget(self) -> None:
        """Remove what `start` has left; after `stop`."""

    async def _sh(self, script: str, *args: str, timeout_s: float = _STEP_S) -> Ran:
        return await self._host.run(["/bin/sh", "-c", script, "sh", *args], timeout_s=timeout_s)

    async def _must(self, step: str, script: str, *args: str) -> Ran:
        done = await self._sh(script, *args)
        if not done.good:
            raise failed(step, self._host, cause_of(done), f"See '{self._layout.log}' there.", UnavailableError)
        return done


def keeper_of(host: Host, found: Found, name: str) -> Keeper:
    """What keeps programs running on a machine."""
    kinds: dict[str, type[Keeper]] = {"systemd": Systemd, "launchd": Launchd}
    return kinds.get(found.manager, Group)(host, found, name)


def program_text(layout: Layout, settings: Mapping[str, str]) -> str:
    """The script that runs the hive.

    Args:
        layout: where it is.
        settings: of rbee, for ``--set``.
    """
    words = [str(layout.python()), "-m", "rbee"]
    for name, value in settings.items():
        words += ["--set", f"{name}={value}"]
    log = shlex.quote(str(layout.log))
    return (
        "#!/bin/sh\n"
        "# Written by rbee; changed whenever the hive is installed or started from the queen's machine.\n"
        f'[ "$(wc -c < {log} 2>/dev/null || echo 0)" -gt {_LOG_BYTES} ] && mv -f {log} {log}.1\n'
        f"umask 077\ncd {shlex.quote(str(layout.root))} || exit 1\n"
        f"RBEE_HOME={shlex.quote(str(layout.home))} exec {shlex.join([*words, 'hive', 'start'])} >> {log} 2>&1\n"
    )


async def write_program(host: Host, layout: Layout, settings: Mapping[str, str]) -> None:
    """Write that script; raises as `Host.write`."""
    await host.write(layout.program, program_text(layout, settings).encode(), mode=0o700)


class Systemd(Keeper):
    """A unit of the user's systemd, which lingers where that is permitted: it runs while nobody is logged in."""

    kind = "systemd"

    _BUS = 'export XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-/run/user/$(id -u)}"; '

    async def start(self) -> None:
        """Start it, now and with the machine."""
        await self._host.write(self._file, self._text().encode(), mode=0o644)
        await self._sh('loginctl enable-linger "$(id -un)"')
        await self._must(
            "Starting the hive",
            self._BUS + 'systemctl --user daemon-reload && systemctl --user enable "$1" && '
            'systemctl --user reset-failed "$1"; systemctl --user start "$1"',
            f"{self.unit}.service",
        )

    async def stop(self, timeout_s: float) -> None:
        """Stop it; it does not come back."""
        script = 'systemctl --user disable "$1" 2>/dev/null; systemctl --user stop "$1" 2>/dev/null; exit 0'
        await self._sh(self._BUS + script, f"{self.unit}.service", timeout_s=timeout_s + _STEP_S)

    async def state(self) -> Kept:
        """How it is."""
        script = 'systemctl --user show "$1" --property=ActiveState --property=MainPID --property=NRestarts'
        done = await self._sh(self._BUS + script, f"{self.unit}.service")
        told = dict(line.split("=", 1) for line in done.out.splitlines() if "=" in line)
        running = told.get("ActiveState") in {"active", "activating", "reloading"}
        pid = int(told.get("MainPID") or 0)
        deaths = told.get("NRestarts", "")
        return Kept(
            running=running,
            pid=pid or None,
            boot=running and self._found.linger is True,
            deaths=int(deaths) if deaths.isdecimal() else None,
        )

    async def forget(self) -> None:
        """Remove what `start` has left."""
        script = 'rm -f "$2"; systemctl --user daemon-reload; exit 0'
        await self._sh(self._BUS + script, f"{self.unit}.service", str(self._file))

    @property
    def _file(self) -> PurePosixPath:
        return PurePosixPath(".config/systemd/user") / f"{self.unit}.service"

    def _text(self) -> str:
        program = str(self._layout.program).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
        return (
            f"[Unit]\nDescription=The hive of this machine (rbee)\nAfter=network.target\n\n"
            f'[Service]\nExecStart=/bin/sh "{program.replace("$", "$$")}"\nRestart=on-failure\nRestartSec=5\n'
            # Workers that were told to stay are to stay; those that are to end are ended by the hive.
            "KillMode=mixed\nTimeoutStopSec=60\nSuccessExitStatus=130 143\n\n[Install]\nWantedBy=default.target\n"
        )


class Launchd(Keeper):
    """An agent of the user on macOS."""

    kind = "launchd"

    async def start(self) -> None:
        """Start it, now and with the machine."""
        await self._host.write(self._file, self._text().encode(), mode=0o644)
        await self._must(
            "Starting the hive",
            'd="gui/$(id -u)"; launchctl print "$d" >/dev/null 2>&1 || d="user/$(id -u)"; '
            'launchctl bootout "$d/$1" 2>/dev/null; launchctl enable "$d/$1"; launchctl bootstrap "$d" "$HOME/$2"',
            self.unit,
            str(self._file),
        )

    async def stop(self, timeout_s: float) -> None:
        """Stop it; it does not come back."""
        script = 'for d in gui user; do launchctl bootout "$d/$(id -u)/$1" 2>/dev/null; done; exit 0'
        await self._sh(script, self.unit, timeout_s=timeout_s + _STEP_S)

    async def state(self) -> Kept:
        """How it is."""
        script = 'for d in gui user; do launchctl print "$d/$(id -u)/$1" 2>/dev/null; done; exit 0'
        told = (await self._sh(script, self.unit)).out
        pid = re.search(r"^\s*pid = (\d+)", told, re.MULTILINE)
        runs = re.search(r"^\s*runs = (\d+)", told, re.MULTILINE)
        return Kept(
            running=bool(told.strip()),
            pid=int(pid[1]) if pid else None,
            boot=bool(told.strip()),
            deaths=max(0, int(runs[1]) - 1) if runs else None,
        )

    async def forget(self) -> None:
        """Remove what `start` has left."""
        await self._sh('rm -f "$HOME/$1"', str(self._file))

    @property
    def _file(self) -> PurePosixPath:
        return PurePosixPath("Library/LaunchAgents") / f"{self.unit}.plist"

    def _text(self) -> str:
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" '
            '"http://www.apple.com/DTDs/PropertyList-1.0.dtd">\n<plist version="1.0"><dict>\n'
            f"<key>Label</key><string>{escape(self.unit)}</string>\n"
            f"<key>ProgramArguments</key><array><string>/bin/sh</string><string>{escape(str(self._layout.program))}"
            "</string></array>\n<key>RunAtLoad</key><true/>\n<key>KeepAlive</key><dict><key>SuccessfulExit</key>"
            "<false/></dict>\n<key>ExitTimeOut</key><integer>60</integer>\n</dict></plist>\n"
        )


class Group(Keeper):
    """A process group with a supervisor of rbee's own, where no service manager is.

    It is begun again when it dies.  With the machine it comes back where the user may have a crontab.
    """

    kind = "group"

    async def start(self) -> None:
        """Start it, now and with the machine."""
        await self._host.write(self._script, _SUPERVISOR.encode(), mode=0o700)
        await self._must("Starting the hive", _START, *self._places)
        if self._found.cron:
            await self._sh(_BOOT, self.unit, str(self._script), *self._places)

    async def stop(self, timeout_s: float) -> None:
        """Stop it; it does not come back."""
        await self._sh(_STOP, *self._places, str(int(timeout_s)), timeout_s=timeout_s + _STEP_S)
        if self._found.cron:
            await self._sh(_NO_BOOT, self.unit)

    async def state(self) -> Kept:
        """How it is."""
        lines = (await self._sh(_STATE, self.unit, *self._places)).out.splitlines()
        told = {name: value for name, _, value in (line.partition("=") for line in lines)}
        pid, deaths = told.get("pid", ""), told.get("deaths", "")
        return Kept(
            running=pid.isdecimal(),
            pid=int(pid) if pid.isdecimal() else None,
            boot="boot" in told,
            deaths=int(deaths) if deaths.isdecimal() else None,
        )

    async def forget(self) -> None:
        """Remove what `start` has left."""
        await self._sh('rm -f "$1" "$2" "$2.deaths"', str(self._script), str(self._layout.pid))

    @property
    def _script(self) -> PurePosixPath:
        return self._layout.root / "keep-hive"

    @property
    def _places(self) -> tuple[str, str]:
        return str(self._layout.root), str(self._layout.pid)


_SUPERVISOR = r"""#!/bin/sh
# Written by rbee: runs the hive of this machine, and again when it dies.  Arguments: folder, file for the process id.
cd "$1" || exit 1
child= ended= wait=1 deaths=0
trap 'ended=yes; [ -n "$child" ] && kill -TERM "$child" 2>/dev/null' TERM INT HUP
echo 0 > "$2.deaths"
echo $$ > "$2"
while [ -z "$ended" ]; do
  began=$(date +%s)
  /bin/sh ./run-hive &
  child=$!
  wait "$child"; code=$?
  # A signal ends the waiting, not the hive.
  while kill -0 "$child" 2>/dev/null; do wait "$child"; code=$?; done
  child=
  # Asked to end, by whomever.
  case $code in 0|130|143) break;; esac
  deaths=$((deaths + 1)); echo "$deaths" > "$2.deaths"
  [ $(($(date +%s) - began)) -gt 60 ] && wait=1
  [ -n "$ended" ] || { sleep "$wait" & child=$!; wait "$child"; child=; }
  wait=$((wait * 2)); [ "$wait" -gt 60 ] && wait=60
done
rm -f "$2" "$2.deaths"
"""

_ALIVE = r"""
alive() {
  pid=$(cat "$2" 2>/dev/null) || return 1
  case $pid in ''|*[!0-9]*) return 1;; esac
  # The number may be another program's by now.
  ps -p "$pid" -o args= 2>/dev/null | grep -q -F -- "keep-hive $1" || return 1
}
"""

_START = (
    _ALIVE
    + r"""
alive "$1" "$2" && exit 0
cd "$1" || exit 1
umask 077
if command -v setsid >/dev/null 2>&1; then setsid nohup /bin/sh ./keep-hive "$1" "$2" </dev/null >/dev/null 2>&1 &
else nohup /bin/sh ./keep-hive "$1" "$2" </dev/null >/dev/null 2>&1 &
fi
for try in 1 2 3 4 5 6 7 8 9 10; do alive "$1" "$2" && exit 0; sleep 0.3 2>/dev/null || sleep 1; done
echo "the supervisor did not come up" >&2; exit 1
"""
)

_STOP = (
    _ALIVE
    + r"""
alive "$1" "$2" || { rm -f "$2"; exit 0; }
group=$(ps -p "$pid" -o pgid= | tr -d ' ')
kill -TERM "$pid"
left=$(($3 * 5))
while kill -0 "$pid" 2>/dev/null; do
  [ "$left" -le 0 ] && { kill -KILL "-$group" 2>/dev/null; kill -KILL "$pid" 2>/dev/null; break; }
  left=$((left - 1)); sleep 0.2 2>/dev/null || { sleep 1; left=$((left - 4)); }
done
rm -f "$2" "$2.deaths"
"""
)

_STATE = (
    "unit=$1; shift\n"
    + _ALIVE
    + r"""
alive "$1" "$2" && { echo "pid=$pid"; echo "deaths=$(cat "$2.deaths" 2>/dev/null)"; }
crontab -l 2>/dev/null | while IFS= read -r line; do case $line in *"# $unit") echo boot=yes ;; esac; done
exit 0
"""
)

# The lines of the user's table but for ours; one that cannot be read is not written over.
_TABLE = r"""
table=$(crontab -l 2>/dev/null) || case $(crontab -l 2>&1) in
  *"no crontab"* | *"No such file"*) table= ;;
  *) crontab -l; exit 1 ;;
esac
others() {
  [ -z "$table" ] || printf '%s\n' "$table" | while IFS= read -r line; do
    case $line in *"# $1") ;; *) printf '%s\n' "$line" ;; esac
  done
}
"""

_BOOT = (
    _TABLE
    + r"""
quote() { printf "'%s'" "$(printf %s "$1" | sed "s/'/'\\\\''/g; s/%/\\\\%/g")"; }
ours="@reboot /bin/sh $(quote "$2") $(quote "$3") $(quote "$4") # $1"
{ others "$1"; printf '%s\n' "$ours"; } | crontab -
"""
)

_NO_BOOT = (
    _TABLE
    + r"""
left=$(others "$1")
[ "$left" = "$table" ] || { [ -z "$left" ] || printf '%s\n' "$left"; } | crontab -
"""
)
