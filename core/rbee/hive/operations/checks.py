"""The operation `hive_check`: what `rbee doctor` asks of a hive."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rbee.builtin import cgroup
from rbee.builtin.disk import check_disk
from rbee.builtin.one_thread import OneThread
from rbee.contract.checks import Check
from rbee.contract.probe import Probe
from rbee.contract.version import __version__
from rbee.contract.wire import Checks
from rbee.jobs import Narrator
from rbee.plugins import Plugins
from rbee.settings import Folders, Settings

if TYPE_CHECKING:
    from rbee.hive.service import HiveService

log = logging.getLogger(__name__)

_FEW_PORTS = 4
_PROBE_S = 10.0


class HiveChecks:
    """Looks at a machine as its hive sees it.

    Args:
        hive: whose machine.
        settings: of this program.
        folders: of this machine.
        plugins: whose probes can say more of their hardware.
    """

    def __init__(self, hive: HiveService, settings: Settings, folders: Folders, plugins: Plugins) -> None:
        self._hive = hive
        self._settings = settings
        self._folders = folders
        self._plugins = plugins
        self._asked: dict[str, asyncio.Task[Sequence[Check]]] = {}

    async def hive_check(self, _body: dict[str, Any], _say: Narrator) -> Checks:
        """Look at everything."""
        await self._hive.look_for_engines()
        found = [
            Check(name="hive", status="ok", detail=f"{self._hive.hive_id}, rbee {__version__}"),
            *self._engines(),
            self._devices(),
            *await self._probes(),
            self._threads(),
            *await asyncio.to_thread(self._blocking),
        ]
        return Checks(checks=tuple(found))

    def _engines(self) -> list[Check]:
        engines = self._hive.capabilities().engines
        usable = any(engine.available for engine in engines)
        found = []
        for engine in engines:
            name = f"engine {engine.name}"
            if engine.available:
                version = f" {engine.version}" if engine.version else ""
                opens = ", ".join(engine.formats)
                found.append(Check(name=name, status="ok", detail=f"usable{version}, opens {opens}"))
                continue
            # A reason ends with its remedy, as its contract asks.
            why, _, remedy = (engine.reason or "it does not say why").rpartition("; ")
            if engine.optional:
                found.append(Check(name=name, status="ok", detail=f"not here: {why or engine.reason}"))
                continue
            remedy = remedy if why else f"Install it: rbee worker install {engine.name}"
            status: Any = "warn" if usable else "fail"
            found.append(Check(name=name, status=status, detail=why or engine.reason or remedy, remedy=remedy))
        if not usable and all(engine.optional for engine in engines):
            remedy = "Install one, for example: pip install 'rbee[gguf]'"
            found.append(Check(name="engines", status="fail", detail="none is installed", remedy=remedy))
        return found

    def _devices(self) -> Check:
        devices = self._hive.capabilities().capabilities
        if not devices:
            remedy = "The hive's log tells which probe failed; `rbee logs hive` shows it."
            return Check(name="devices", status="fail", detail="none is known", remedy=remedy)
        names = ", ".join(f"{device.id} ({device.name})" for device in devices)
        return Check(name="devices", status="ok", detail=names)

    async def _probes(self) -> list[Check]:
        """What the probes say; one that hangs is left behind, in a thread that keeps nothing alive."""
        found: list[Check] = []
        for cls in self._plugins.registrations.probes.things():
            try:
                found.extend(await self._diagnosis(cls))
            except Exception as error:
                log.exception("probe %r could not look at its hardware", cls.name)
                slow = isinstance(error, TimeoutError)
                detail = f"did not answer within {_PROBE_S:.0f} s" if slow else f"failed: {error}"
                remedy = "Its driver may hang: restart the machine's driver, or leave the plugin out by RBEE_PLUGINS."
                found.append(Check(name=f"probe {cls.name}", status="warn", detail=detail, remedy=remedy))
        return found

    async def _diagnosis(self, cls: type[Probe]) -> Sequence[Check]:
        """What one probe says.  Who asks while it hangs waits for the same answer: a thread more would hang too.

        Raises:
            TimeoutError: it does not answer.
        """
        asked = self._asked.get(cls.name)
        if asked is None or asked.done():
            asked = self._asked[cls.name] = asyncio.create_task(_diagnose(cls), name=f"diagnosis by {cls.name}")
            # It may fail when nobody waits for it any more.
            asked.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        async with asyncio.timeout(_PROBE_S):
            # Shielded: the task lasts as long as its thread does.
            return await asyncio.shield(asked)

    def _threads(self) -> Check:
        info = self._hive.info()
        detail = f"{info.threads_free} of {info.threads_total} free"
        if info.threads_free:
            return Check(name="threads", status="ok", detail=detail)
        if not self._hive.budgets.threads.fixed:
            # More workers than cores is no fault, and every further one is slower than it could be.
            return Check(name="threads", status="ok", detail=f"{detail}: a further worker gets one and shares a core")
        remedy = "Stop a worker that is not needed (`rbee worker ls`), or raise hive.threads."
        return Check(name="threads", status="warn", detail=f"{detail}: no further worker can start", remedy=remedy)

    def _blocking(self) -> list[Check]:
        return [check_disk(self._folders.models), *self._permissions(), self._ports(), *self._limits()]

    def _permissions(self) -> list[Check]:
        folders = self._folders
        private = (folders.home, folders.config, folders.data, folders.state, folders.token_file)
        wrong = [path for path in dict.fromkeys(private) if _open_to_others(path)]
        if not wrong:
            return [Check(name="permissions", status="ok", detail="token and state are for this user alone")]
        return [
            Check(
                name="permissions",
                status="fail" if path == folders.token_file else "warn",
                detail=f"'{path}' is open to other users",
                remedy=f"chmod go-rwx '{path}'",
            )
            for path in wrong
        ]

    def _ports(self) -> Check:
        hive = self._settings.hive
        first, last = hive.worker_port_first, hive.worker_port_last
        count = _free(self._settings.server.host, range(first, last + 1))
        detail = f"{count} of {last - first + 1} free for workers ({first} to {last})"
        if count >= _FEW_PORTS:
            return Check(name="ports", status="ok", detail=detail)
        remedy = "Widen hive.worker_port_first and hive.worker_port_last, or stop what holds them."
        return Check(name="ports", status="warn" if count else "fail", detail=detail, remedy=remedy)

    def _limits(self) -> list[Check]:
        """Whether limits that are asked for can be set; the host's probe says whether there are groups at all."""
        hive = self._settings.hive
        limits = {"memory": hive.worker_memory_max_mb, "cpu": hive.worker_cpu_max}
        wanted = [controller for controller, value in limits.items() if value is not None]
        root = cgroup.mount()
        can = () if root is None or not os.access(root, os.W_OK) else cgroup.read(root / "cgroup.controllers").split()
        missing = [controller for controller in wanted if controller not in can]
        if not missing:
            return [Check(name="limits", status="ok", detail="workers get their limits")] if wanted else []
        return [
            Check(
                name="limits",
                status="warn",
                detail=f"workers run without the limits of {' and '.join(missing)} that are set",
                remedy="Run the hive as root on a system whose cgroup v2 has these controllers, or unset "
                "hive.worker_memory_max_mb and hive.worker_cpu_max.",
            )
        ]


async def _diagnose(cls: type[Probe]) -> Sequence[Check]:
    thread = OneThread(f"diagnosis by {cls.name}")
    try:
        return await thread.call(lambda: cls().diagnose())
    finally:
        thread.close()


def _open_to_others(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))
    except OSError:
        return False


def _free(host: str, ports: Sequence[int]) -> int:
    """How many of the ports could be listened on, found out by trying, which disturbs nobody."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    count = 0
    for port in ports:
        with contextlib.closing(socket.socket(family, socket.SOCK_STREAM)) as sock, contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((host, port))
            count += 1
    return count
