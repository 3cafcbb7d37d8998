"""Checks of plugins, engines and probes, without a hive."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from rbee.builtin.one_thread import OneThread
from rbee.cli.format import megabytes
from rbee.contract.checks import Check, CheckStatus
from rbee.contract.probe import Probe
from rbee.plugins import Plugins
from rbee.plugins.hints import install_hint

_PROBE_S = 10.0
_LITTLE_MEMORY_MB = 2048


def plugins_and_engines(plugins: Plugins) -> Iterator[Check]:
    """Plugins that failed, and each engine with the command that makes it usable."""
    failed = [record for record in plugins.records if record.status == "failed"]
    for record in failed:
        remedy = f"Update or remove {record.distribution or record.name}; RBEE_PLUGINS can leave it out."
        yield Check(name=f"plugin {record.name}", status="fail", detail=record.error or "failed", remedy=remedy)
    loaded = [record.name for record in plugins.records if record.status == "loaded"]
    if not failed:
        yield Check(name="plugins", status="ok", detail=", ".join(loaded) or "none")
    engines = []
    for cls in plugins.registrations.engines.things():
        try:
            engines.append(cls.info())
        except Exception as error:
            # A vendor's code: whatever it raises is what there is to tell.
            remedy = "Its package is broken: install it again, or leave it out by RBEE_PLUGINS."
            yield Check(
                name=f"engine {cls.name}", status="fail", detail=f"{type(error).__name__}: {error}", remedy=remedy
            )
    for engine in engines:
        name = f"engine {engine.name}"
        if engine.available:
            version = f" {engine.version}" if engine.version else ""
            yield Check(name=name, status="ok", detail=f"usable{version}, opens {', '.join(engine.formats)}")
            continue
        # A reason ends with its remedy, as its contract asks.
        why, _, remedy = (engine.reason or "it does not say why").rpartition("; ")
        if engine.optional:
            yield Check(name=name, status="ok", detail=f"not here: {why or remedy}")
            continue
        yield Check(name=name, status="warn", detail=why or remedy, remedy=remedy if why else None)
    if not any(engine.available for engine in engines):
        remedy = f"Install one, for example: {install_hint('gguf') or 'an engine for GGUF files'}"
        yield Check(name="engines", status="fail", detail="none can run here", remedy=remedy)


async def probes(kinds: Sequence[type[Probe]]) -> list[Check]:
    """Devices, memory, and what each probe says of its hardware; one that hangs is left behind."""
    found: list[Check] = []
    devices: list[str] = []
    for cls in kinds:
        thread = OneThread(f"diagnosis by {cls.name}")
        try:
            async with asyncio.timeout(_PROBE_S):
                checks, named, free_mb = await thread.call(_look, cls)
        except Exception as error:
            late = isinstance(error, TimeoutError)
            detail = f"did not answer within {_PROBE_S:.0f} s" if late else f"failed: {type(error).__name__}: {error}"
            remedy = "Its driver may hang: restart it, or leave the plugin out by RBEE_PLUGINS."
            found.append(Check(name=f"probe {cls.name}", status="warn", detail=detail, remedy=remedy))
        else:
            devices += named
            found += [*([] if free_mb is None else [_memory(free_mb)]), *checks]
        finally:
            thread.close()
    if devices:
        return [Check(name="devices", status="ok", detail=", ".join(devices)), *found]
    remedy = "`rbee plugins` shows which plugin brings a probe; RBEE_PLUGINS may leave it out."
    return [Check(name="devices", status="fail", detail="none is known", remedy=remedy), *found]


def _look(cls: type[Probe]) -> tuple[Sequence[Check], list[str], int | None]:
    """In the probe's own thread: its words, its devices, and free memory in MiB where it knows that."""
    probe = cls()
    devices = [f"{device.id} ({device.name})" for device in probe.devices()]
    node = probe.sample_node()
    known = node.ram_total_mb is not None and node.ram_used_mb is not None
    free_mb = (node.ram_total_mb or 0) - (node.ram_used_mb or 0) if known else None
    return probe.diagnose(), devices, free_mb


def _memory(free_mb: int) -> Check:
    enough = free_mb >= _LITTLE_MEMORY_MB
    status: CheckStatus = "ok" if enough else "warn"
    remedy = None if enough else "End programs that are not needed, or use smaller models."
    return Check(name="memory", status=status, detail=f"{megabytes(free_mb)} free", remedy=remedy)
