"""What a look at a machine means for a hive there: what will do, what may trouble, what does not work."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType

from rbee.contract.checks import Check
from rbee.remote.preflight import Look, version_of

_PYTHON = (3, 11)
_GIB = 1024**3
_DISK = 2 * _GIB
_DISK_WELL = 20 * _GIB
_MEMORY = 2 * _GIB
_CLOCK_S = 5.0
_GLIBC = (2, 28)
_ARCHS = MappingProxyType({"Linux": ("x86_64", "aarch64", "arm64"), "Darwin": ("arm64", "x86_64")})
_VENDORS = MappingProxyType({"0x10de": "NVIDIA", "0x1002": "AMD"})


def judged(look: Look, name: str, *, hive_runs: bool = False) -> tuple[Check, ...]:
    """One check for each thing that was looked at; what is unknown and does no harm is left out.

    Args:
        look: at the machine.
        name: of the machine, for remedies.
        hive_runs: whether its hive runs there already, and its port is rightly taken.
    """
    return (
        _system(look),
        *_libc(look),
        _python(look),
        *_disk(look),
        *_memory(look),
        _devices(look),
        _init(look, name),
        *_port(look, name, hive_runs=hive_runs),
        *_clock(look),
        *_ways(look),
    )


def _system(look: Look) -> Check:
    detail = ", ".join(one for one in (look.release or look.system, look.arch) if one)
    archs = _ARCHS.get(look.system)
    if archs is None:
        remedy = "rbee runs on Linux and macOS; take another machine, or WSL on Windows."
        return Check(name="system", status="fail", detail=f"{look.system}, {look.arch}", remedy=remedy)
    if look.arch not in archs:
        remedy = "Packages are mostly made for x86_64 and aarch64; others are built there, which needs a compiler."
        return Check(name="system", status="warn", detail=detail, remedy=remedy)
    return Check(name="system", status="ok", detail=detail)


def _libc(look: Look) -> Iterator[Check]:
    if look.libc is None:
        return
    name, _, version = look.libc.partition(" ")
    if name == "musl" or (name == "glibc" and version_of(version) < _GLIBC):
        remedy = "Most packages with compiled parts want glibc 2.28 or later; take a newer system."
        yield Check(name="C library", status="warn", detail=look.libc, remedy=remedy)
    else:
        yield Check(name="C library", status="ok", detail=look.libc)


def _python(look: Look) -> Check:
    newest = look.pythons[0] if look.pythons else None
    with_uv = "" if look.uv is None else f", uv {look.uv}"
    if newest is not None and version_of(newest.version) >= _PYTHON:
        return Check(name="Python", status="ok", detail=f"{newest.version} at {newest.path}{with_uv}")
    there = "none" if newest is None else f"{newest.version}, which is too old"
    if look.uv is not None or look.reaches_index:
        by = "uv brings one" if look.uv is not None else "uv is sent and brings one"
        return Check(name="Python", status="ok", detail=f"{there}; {by}{with_uv}")
    remedy = "Install Python 3.11 or later there, or let the machine reach a package index."
    return Check(name="Python", status="warn" if look.reaches_index is None else "fail", detail=there, remedy=remedy)


def _disk(look: Look) -> Iterator[Check]:
    if look.disk_bytes is None:
        return
    detail = f"{_size(look.disk_bytes)} free in {look.home or 'the home folder'}"
    if look.disk_bytes < _DISK:
        remedy = f"rbee itself needs about {_size(_DISK)}, and models come on top: make room."
        yield Check(name="disk", status="fail", detail=detail, remedy=remedy)
    elif look.disk_bytes < _DISK_WELL:
        yield Check(name="disk", status="warn", detail=detail, remedy="Few models fit; make room, or enter small ones.")
    else:
        yield Check(name="disk", status="ok", detail=detail)


def _memory(look: Look) -> Iterator[Check]:
    if look.memory_bytes is None:
        return
    cpus = "" if look.cpus is None else f", {look.cpus} processors"
    low = look.memory_bytes < _MEMORY
    remedy = "Hardly a model fits; use it for small ones alone." if low else None
    detail = f"{_size(look.memory_bytes)}{cpus}"
    yield Check(name="memory", status="warn" if low else "ok", detail=detail, remedy=remedy)


def _devices(look: Look) -> Check:
    kinds = {one.kind for one in look.gpus}
    missing = [vendor for pci, vendor in _VENDORS.items() if pci in look.cards and vendor.lower() not in kinds]
    if missing:
        remedy = f"Install the driver of {' and '.join(missing)}; until then the processor computes."
        detail = f"a card of {' and '.join(missing)} without a working driver"
        return Check(name="devices", status="warn", detail=detail, remedy=remedy)
    if not look.gpus:
        return Check(name="devices", status="ok", detail="no GPU; the processor computes")
    told = []
    for one in look.gpus:
        memory = "" if one.memory_bytes is None else f", {_size(one.memory_bytes)}"
        driver = "" if one.driver is None else f", driver {one.driver}"
        told.append(f"{one.name or one.kind}{memory}{driver}")
    return Check(name="devices", status="ok", detail="; ".join(told))


def _init(look: Look, name: str) -> Check:
    if look.init == "systemd" and look.linger:
        return Check(name="service", status="ok", detail="systemd, also without a login")
    if look.init == "systemd":
        who = look.user or "$USER"
        remedy = f"Where installing is not permitted to switch it on: sudo loginctl enable-linger {who}"
        detail = "systemd, but programs end with the login (no lingering)"
        return Check(name="service", status="warn", detail=detail, remedy=remedy)
    if look.init == "launchd":
        return Check(name="service", status="ok", detail="launchd, while the user is logged in")
    detail = "no service manager of the user; the hive runs, but does not start with the machine"
    return Check(name="service", status="warn", detail=detail, remedy=f"After a restart: rbee hive start {name}")


def _port(look: Look, name: str, *, hive_runs: bool) -> Iterator[Check]:
    if look.port_taken is None:
        return
    if not look.port_taken:
        detail = f"{look.port} is free" if not hive_runs else f"nobody listens at {look.port}"
        yield Check(name="port", status="ok", detail=detail)
    elif hive_runs:
        yield Check(name="port", status="ok", detail=f"the hive listens at {look.port}")
    else:
        remedy = f"If that is a hive of yours, well; else take another: rbee hive add {name} --update --port PORT"
        yield Check(name="port", status="warn", detail=f"somebody listens at {look.port}", remedy=remedy)


def _clock(look: Look) -> Iterator[Check]:
    if look.clock_s is None:
        return
    away = max(0.0, abs(look.clock_s) - (look.clock_error_s or 0.0))
    if away < _CLOCK_S:
        yield Check(name="clock", status="ok", detail="agrees with the queen's")
        return
    side = "ahead of" if look.clock_s > 0 else "behind"
    remedy = "Let both machines set their clocks by the network (NTP): certificates hold by the clock."
    yield Check(name="clock", status="warn", detail=f"{away:.0f} s {side} the queen's", remedy=remedy)


def _ways(look: Look) -> Iterator[Check]:
    if look.reaches_queen is not None:
        well = look.reaches_queen
        detail = "is reached from there" if well else "is not reached from there"
        remedy = None if well else "Open her port for it; until then the queen reaches it through an SSH tunnel."
        yield Check(name="queen", status="ok" if well else "warn", detail=detail, remedy=remedy)
    if look.answers is not None:
        well = look.answers != "silent"
        detail = f"port {look.port} is reached from the queen" if well else f"port {look.port} is not reached from here"
        remedy = None if well else "Open it in the firewall; until then the queen takes an SSH tunnel."
        yield Check(name="hive's port", status="ok" if well else "warn", detail=detail, remedy=remedy)
    if look.reaches_index is not None:
        well = look.reaches_index
        detail = "is reached from there" if well else "is not reached from there; packages are sent"
        yield Check(name="package index", status="ok", detail=detail)


def _size(count: int) -> str:
    return f"{count / _GIB:.1f} GiB"
