"""One look at a machine before anything is done to it: what it is, what is there, whom it reaches."""

from __future__ import annotations

import asyncio
import contextlib
import time
from importlib.resources import files
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from rbee.contract.errors import UnavailableError
from rbee.remote.failing import told
from rbee.remote.host import Host

Init = Literal["systemd", "systemd-without-user", "launchd", "none"]
Answer = Literal["open", "refused", "silent"]

_LOOK_S = 60.0
_ASK_S = 4.0


class Python(msgspec.Struct, frozen=True):
    """An interpreter: its version, ``3.11.2``, and where it is."""

    version: str
    path: str


class Gpu(msgspec.Struct, frozen=True, kw_only=True):
    """A device that its driver has told of.

    Attributes:
        kind: ``nvidia``, ``amd`` or ``apple``.
        name: of the device; None when only its driver is seen.
        driver: version of the driver.
        memory_bytes: of its own.
    """

    kind: Literal["nvidia", "amd", "apple"]
    name: str | None = None
    driver: str | None = None
    memory_bytes: int | None = None


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What was found; what could not be found out is None.

    Attributes:
        system: ``Linux``, ``Darwin``, as the machine calls it.
        arch: ``x86_64``, ``aarch64``, ``arm64``.
        release: as people call it: ``Debian GNU/Linux 12 (bookworm)``.
        libc: ``glibc 2.36``, ``musl 1.2.4``.
        user: who is logged in.
        home: their home folder.
        pythons: interpreters, the newest first, each once.
        uv: version of uv.
        disk_bytes: free in the home folder.
        memory_bytes: of the machine.
        cpus: processors that are on.
        gpus: devices with a working driver.
        cards: PCI vendors of graphics cards, ``0x10de``, with or without a driver.
        init: what keeps programs running there.
        linger: whether the user's programs stay without a login.
        port: that a hive would take.
        port_taken: whether somebody listens there.
        clock_s: seconds by which its clock is ahead of ours.
        clock_error_s: so far off that figure may be.
        reaches_queen: whether the queen's address is reached from there.
        reaches_index: whether a package index is.
        answers: what a connection from here to the hive's port meets: ``refused`` is a way too.
    """

    system: str
    arch: str
    release: str | None = None
    libc: str | None = None
    user: str | None = None
    home: str | None = None
    pythons: tuple[Python, ...] = ()
    uv: str | None = None
    disk_bytes: int | None = None
    memory_bytes: int | None = None
    cpus: int | None = None
    gpus: tuple[Gpu, ...] = ()
    cards: tuple[str, ...] = ()
    init: Init | None = None
    linger: bool | None = None
    port: int
    port_taken: bool | None = None
    clock_s: float | None = None
    clock_error_s: float | None = None
    reaches_queen: bool | None = None
    reaches_index: bool | None = None
    answers: Answer | None = None


async def look(
    host: Host,
    *,
    port: int,
    queen_url: str | None = None,
    index_url: str | None = None,
    address: str | None = None,
) -> Look:
    """Look at a machine; nothing is changed there.

    Args:
        host: the machine.
        port: that its hive would take.
        queen_url: the queen's address as others reach her; None does not try.
        index_url: a package index; None does not try.
        address: under which the hive would be reached from here; None does not try.

    Raises:
        UnavailableError: it is no machine with a POSIX shell.
        UnreachableError: the line broke.
    """
    script = files("rbee.remote").joinpath("look.sh").read_text(encoding="utf-8")
    argv = ["sh", "-c", script, "sh", str(port), *_host_and_port(queen_url), *_host_and_port(index_url)]
    asked, began = time.time(), time.monotonic()
    ran, answers = await asyncio.gather(host.run(argv, timeout_s=_LOOK_S), _answers(address, port))
    found = parsed(ran.out, port)
    if not ran.good or found is None:
        raise UnavailableError(
            f"Hive {host.name!r}, looking at the machine: it has no POSIX shell that answers "
            f"({(ran.err.strip() or 'no words')[-200:]}). rbee runs on Linux and macOS.",
            details=told(host.name, "looking at the machine", "other"),
        )
    clock_s, error_s = found.clock_s, None
    if clock_s is not None:
        # It is read at the script's beginning, in whole seconds: half of one late on average.
        clock_s, error_s = clock_s + 0.5 - asked, 0.5 + min(time.monotonic() - began, 1.0)
    return msgspec.structs.replace(found, clock_s=clock_s, clock_error_s=error_s, answers=answers)


def parsed(text: str, port: int) -> Look | None:
    """What the script has printed; `clock_s` is still the machine's own time.  None when it is not whole.

    Args:
        text: lines of a key, a tab and a value.
        port: that was looked at.
    """
    pairs = [(key, value.strip()) for key, tab, value in (line.partition("\t") for line in text.splitlines()) if tab]
    one = {key: value for key, value in pairs if value}
    if "done" not in one or not {"system", "arch"} <= one.keys():
        return None
    init = one.get("init")
    return Look(
        system=one["system"],
        arch=one["arch"],
        release=one.get("release"),
        libc=one.get("libc"),
        user=one.get("user"),
        home=one.get("home"),
        pythons=_pythons([value for key, value in pairs if key == "python"]),
        uv=one["uv"].split(" ")[0] if "uv" in one else None,
        disk_bytes=_times(one.get("disk_kib"), 1024),
        memory_bytes=_times(one.get("memory_kib"), 1024) or _times(one.get("memory_bytes"), 1),
        cpus=_times(one.get("cpus"), 1),
        gpus=_gpus(pairs),
        cards=tuple(dict.fromkeys(value for key, value in pairs if key == "card" and value)),
        init=init if init in {"systemd", "systemd-without-user", "launchd", "none"} else None,  # type: ignore[arg-type]
        linger=_said(one.get("linger")),
        port=port,
        port_taken=_said(one.get("port_taken")),
        clock_s=_times(one.get("time"), 1),
        reaches_queen=_said(one.get("reaches_queen")),
        reaches_index=_said(one.get("reaches_index")),
    )


def version_of(text: str) -> tuple[int, ...]:
    """``3.11.2`` as numbers that can be compared."""
    return tuple(int(part) for part in text.split(".") if part.isdecimal())


def _pythons(lines: list[str]) -> tuple[Python, ...]:
    found: dict[str, Python] = {}
    for line in lines:
        version, _, path = line.partition(" ")
        if path and version_of(version):
            found.setdefault(version, Python(version, path))
    return tuple(sorted(found.values(), key=lambda one: version_of(one.version), reverse=True))


def _gpus(pairs: list[tuple[str, str]]) -> tuple[Gpu, ...]:
    found = []
    for key, value in pairs:
        if key == "nvidia":
            name, _, rest = value.partition(",")
            driver, _, memory = rest.partition(",")
            mebibytes = _times(memory.strip(), 1024 * 1024)
            found.append(Gpu(kind="nvidia", name=name or None, driver=driver.strip() or None, memory_bytes=mebibytes))
        elif key == "amd":
            found.append(Gpu(kind="amd"))
        elif key == "apple" and value.startswith("Apple"):
            found.append(Gpu(kind="apple", name=value))
    return tuple(found)


def _times(text: str | None, factor: int) -> int | None:
    return int(text) * factor if text is not None and text.isascii() and text.isdecimal() else None


def _said(text: str | None) -> bool | None:
    return {"yes": True, "no": False}.get(text or "")


def _host_and_port(url: str | None) -> tuple[str, str]:
    if url is None:
        return "", ""
    parts = urlsplit(url)
    return parts.hostname or "", str(parts.port or (443 if parts.scheme == "https" else 80))


async def _answers(address: str | None, port: int) -> Answer | None:
    """Whether a way leads from here to the hive's port."""
    if address is None:
        return None
    try:
        async with asyncio.timeout(_ASK_S):
            _, writer = await asyncio.open_connection(address, port)
    except ConnectionRefusedError:
        return "refused"
    except (OSError, TimeoutError):
        return "silent"
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return "open"
