"""Bringing rbee to another machine: an environment a version, made beside the others and switched to at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Literal
from urllib.parse import quote

import msgspec

from rbee.contract.errors import ConfigurationError, InsufficientDiskError, RbeeError, UnavailableError
from rbee.remote.bundle import Bundle, BundleFile
from rbee.remote.host import Host, Ran
from rbee.remote.layout import COMPLETE, Found, Layout, Python
from rbee.remote.program import platform_here, python_here
from rbee.remote.sources import uv_program

Source = Literal["index", "wheelhouse"]

_INSTALL_S = 1800.0
_PROBE_S = 25.0
_STEP_S = 120.0
_UNPACKED = 4
"""An environment takes about this many times the bytes of its wheels."""

_IN_A_FOLDER_OF_ITS_OWN = 'd=$(mktemp -d) || exit 1; "$@" --target "$d"; r=$?; rm -rf "$d"; exit "$r"'
"""Whoever only asks leaves nothing: even a dry run of uv makes its target."""


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """Who is told how an installation goes.

    Attributes:
        say: a sentence for a person.
        sent: bytes that have been sent, and of how many.
    """

    say: Callable[[str], None]
    sent: Callable[[int, int], None]


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """By what an environment is made.

    Attributes:
        uv: path of uv there; None for the pip that a Python brings.
        python: the Python that it is made of; None where uv is to bring one.
        version: of that Python, as ``3.12``.
    """

    uv: str | None
    python: Python | None
    version: str


def failed(step: str, host: Host, cause: str, remedy: str, kind: type[RbeeError] = UnavailableError) -> RbeeError:
    """An error that names the step, the machine, the cause and the remedy."""
    return kind(f"{step} on {host.name}: {cause.rstrip('. ')}. {remedy}")


def cause_of(ran: Ran) -> str:
    """What a command said last."""
    lines = [line.strip() for line in (ran.err or ran.out).splitlines() if line.strip()]
    return lines[-1][:400] if lines else f"exit code {ran.code}"


class Installing:
    """One installation on one machine.

    Args:
        host: the machine.
        found: what is on it.
        progress: is told.
    """

    def __init__(self, host: Host, found: Found, progress: Progress) -> None:
        self._host = host
        self._found = found
        self._layout: Layout = found.layout
        self._progress = progress

    def tool(self, bundle: Bundle, *, index: bool) -> Tool | None:
        """By what the wheels of a bundle could be installed; None where there is nothing, not even to be sent.

        Args:
            bundle: the wheels, for one Python or for any.
            index: the machine reaches an index, so that other wheels and even a Python can be had.
        """
        wanted = bundle.manifest.python
        fitting = [one for one in self._found.pythons if index or wanted in {None, one.version}]
        # Else the queen's: for the newest one an index may not have all wheels yet.
        fitting.sort(key=lambda one: one.version != (wanted or python_here()))
        uv = self._found.uv or self._sendable_uv()
        if self._found.uv is None and fitting and fitting[0].pip:
            uv = None
        if fitting and (uv is not None or fitting[0].pip):
            return Tool(uv=uv, python=fitting[0], version=fitting[0].version)
        if uv is not None and index:
            return Tool(uv=uv, python=None, version=wanted or python_here())
        return None

    async def reaches_index(self, bundle: Bundle) -> bool:
        """Whether a package index answers on the machine: one small package is looked for, nothing is installed.

        Where there is no Python, nothing can be asked, and an index is the only hope.
        """
        if not self._found.pythons:
            return self._found.uv is not None or self._sendable_uv() is not None
        probe = next(one for one in bundle.manifest.packages if one.startswith("pluggy=="))
        limits = ["/usr/bin/env", "UV_HTTP_TIMEOUT=5", "UV_HTTP_RETRIES=0", "UV_NO_CACHE=1"]
        pip = next((one.path for one in self._found.pythons if one.pip), None)
        if self._found.uv is not None:
            argv = [*limits, self._found.uv, "pip", "install", "--dry-run", "--no-deps", probe]
        elif pip is not None and (await self._host.run([pip, "-m", "pip", "--version"], timeout_s=_STEP_S)).good:
            argv = [pip, "-m", "pip", "--timeout", "5", "--retries", "0", "--no-cache-dir", "install", "--dry-run",
                    "--no-deps", probe]  # fmt: skip
        else:
            return False
        try:
            asked = ["/bin/sh", "-c", _IN_A_FOLDER_OF_ITS_OWN, "sh", *argv]
            return (await self._host.run(asked, timeout_s=_PROBE_S)).good
        except RbeeError:
            return False

    async def install(self, bundle: Bundle, tool: Tool, source: Source) -> bool:
        """Make the environment of a bundle; what an earlier try has sent is not sent again.

        Args:
            bundle: its wheels.
            tool: by what.
            source: from where the packages come that did not come from the queen's machine.

        Returns:
            False where it was there already.

        Raises:
            RbeeError: the step, the machine, the cause and the remedy; the machine is as it was.
        """
        environment = bundle.manifest.environment
        if environment in self._found.environments:
            return False
        wheels = [one for one in bundle.manifest.of("wheel") if source == "wheelhouse" or one.local]
        self._check_room(sum(one.size for one in wheels))
        try:
            uv = tool.uv
            if uv is not None and uv == uv_program() and self._found.uv is None:
                await self._send_uv()
                uv = str(self._layout.uv)
            await self._send(bundle, wheels, environment)
            await self._make(environment, msgspec.structs.replace(tool, uv=uv))
            await self._fill(bundle, environment, uv, source)
            await self._try(environment)
        except BaseException:
            # Also when cancelled: half an environment is no use to anybody.
            await _quietly(self._remove(str(self._layout.versions / environment)))
            if not self._found.there:
                await _quietly(self.clear())
            raise
        await self._remove(str(self._layout.wheels))
        return True

    async def send_models(self, bundle: Bundle) -> dict[str, PurePosixPath]:
        """Send the models of a bundle; what is there whole is not sent again.

        Returns:
            Of each model the file that an engine is pointed at, by the model's name.
        """
        files = bundle.manifest.of("model")
        total, done = sum(one.size for one in files), 0
        found: dict[str, PurePosixPath] = {}

        def sent(count: int) -> None:
            nonlocal done
            done += count
            self._progress.sent(min(done, total), total)

        for one in files:
            target = self._layout.models / PurePosixPath(one.path).relative_to("models")
            found.setdefault(str(one.model), target)
            if (await self._digests(target.parent, target.name)).get(target.name) == one.sha256:
                continue
            self._progress.say(f"Sending {one.name} to {self._host.name}")
            await self._host.send(bundle.places[one.path], target, mode=0o600, sent=sent)
        return found

    async def switch(self, environment: str) -> None:
        """Make it the current one, at once; the one before is kept."""
        python, root = str(self._layout.python(environment)), str(self._layout.root)
        done = await self._host.run([python, "-c", _SWITCH, root, f"versions/{environment}"], timeout_s=_STEP_S)
        if not done.good:
            raise failed("Switching to the new version", self._host, cause_of(done), f"See who owns '{root}' there.")

    async def back(self, current: str | None, previous: str | None) -> None:
        """Make both links as they were; None for one that was not there."""
        for link, environment in ((self._layout.current, current), (self._layout.previous, previous)):
            if environment is None:
                await self._remove(str(link))
                continue
            argv = ["/bin/sh", "-c", _RELINK, "sh", f"versions/{environment}", str(link)]
            done = await self._host.run(argv, timeout_s=_STEP_S)
            if not done.good:
                raise self._failure("Going back to the version before", done, f"See who owns '{link}' there.")

    async def clear(self, *, keep_data: bool = False) -> None:
        """Remove rbee from the machine.

        Args:
            keep_data: but for what the hive keeps, models and certificates for two.
        """
        for environment in self._found.environments:
            # First, so that one which is half gone is not taken for whole.
            await self._remove(str(self._layout.versions / environment / COMPLETE))
        # By name: the folder may be one in which the user has other things, too.
        names = [*_PROGRAM, *(() if keep_data else _DATA)]
        argv = ["/bin/sh", "-c", _CLEAR, "sh", str(self._layout.root), *names]
        done = await self._host.run(argv, timeout_s=_INSTALL_S)
        if not done.good:
            raise self._failure("Removing rbee", done, f"See who owns '{self._layout.root}' there.")

    async def drop(self, environment: str) -> None:
        """Remove an environment."""
        folder = self._layout.versions / environment
        # First, so that one which is half gone is not taken for whole.
        await self._remove(str(folder / COMPLETE))
        await self._remove(str(folder))

    async def tidy(self, keep: Sequence[str]) -> None:
        """Remove all environments but these."""
        for one in self._found.environments:
            if one not in keep:
                await self.drop(one)

    def _check_room(self, size: int) -> None:
        free, needed = self._found.free_bytes, size * (1 + _UNPACKED)
        if free is not None and free < needed:
            raise failed(
                "Looking for room",
                self._host,
                f"'{self._layout.root}' has {free // 2**20} MiB free and about {needed // 2**20} MiB are needed",
                "Make room there, or name a folder on another disk: rbee hive add NAME --update --install-path PATH",
                InsufficientDiskError,
            )

    def _sendable_uv(self) -> str | None:
        own = uv_program() if self._found.platform == platform_here() else None
        if own is None:
            return None
        with Path(own).open("rb") as program:
            # A script that leads to uv is of no use elsewhere.
            return None if program.read(2) == b"#!" else own

    async def _send_uv(self) -> None:
        own = await asyncio.to_thread(uv_program)
        if own is None:
            raise failed("Sending uv", self._host, "there is none on the queen's machine", "Install uv on one of both.")
        self._progress.say(f"Sending uv to {self._host.name}")
        await self._host.send(Path(own), self._layout.uv, mode=0o755)

    async def _send(self, bundle: Bundle, wheels: Sequence[BundleFile], environment: str) -> None:
        folder = self._layout.wheels / environment
        there = await self._digests(folder)
        left = [one for one in wheels if there.get(one.name) != one.sha256]
        total = sum(one.size for one in left)
        if left:
            self._progress.say(f"Sending {len(left)} wheels to {self._host.name}")
        done = 0
        for one in left:

            def sent(count: int) -> None:
                nonlocal done
                done += count
                self._progress.sent(min(done, total), total)

            if one.name in there:
                # Of another build of the same version: it must not be gone on with.
                await self._remove(str(folder / one.name))
            await self._host.send(bundle.places[one.path], folder / one.name, sent=sent)

    async def _digests(self, folder: PurePosixPath, name: str = "") -> dict[str, str]:
        """SHA-256 of one file, or of the wheels, that are in a folder already, by name."""
        done = await self._host.run(["/bin/sh", "-c", _DIGESTS, "sh", str(folder), name], timeout_s=_INSTALL_S)
        found = {}
        for line in done.out.splitlines():
            digest, _, name = line.partition(" ")
            found[name.strip().lstrip("*")] = digest
        return found

    async def _make(self, environment: str, tool: Tool) -> None:
        folder = str(self._layout.versions / environment)
        await self._remove(folder)
        if tool.uv is None:
            if tool.python is None:
                raise ConfigurationError("Neither uv nor a Python was chosen.")
            argv = [tool.python.path, "-m", "venv", folder]
        else:
            wanted = tool.version if tool.python is None else tool.python.path
            managed = [] if tool.python is None else ["--no-python-downloads"]
            argv = ["/usr/bin/env", f"UV_PYTHON_INSTALL_DIR={self._layout.root / 'tools' / 'python'}", tool.uv]
            argv += ["venv", "--quiet", "--no-project", *managed, "--python", wanted, folder]
        self._progress.say(f"Making an environment of Python {tool.version} on {self._host.name}")
        done = await self._host.run(argv, timeout_s=_INSTALL_S)
        if not done.good:
            remedy = "See that its Python and its disk are in order."
            if tool.python is None:
                remedy = "Install Python 3.11 or later there, or let the machine reach where uv gets one from."
            raise self._failure("Making an environment", done, remedy)

    async def _fill(self, bundle: Bundle, environment: str, uv: str | None, source: Source) -> None:
        wheels = self._layout.wheels / environment
        requirements = wheels / "requirements.txt"
        await self._host.write(requirements, _requirements(bundle, wheels, source).encode(), mode=0o600)
        python = str(self._layout.python(environment))
        offline = source == "wheelhouse"
        if uv is None:
            argv = [python, "-m", "pip", "--disable-pip-version-check", "--quiet", "install", "--no-deps"]
            argv += ["--no-index"] if offline else []
        else:
            argv = ["/usr/bin/env", "UV_LINK_MODE=copy", uv, "pip", "install", "--quiet", "--no-deps"]
            argv += ["--no-config", "--no-index", "--offline", "--no-cache"] if offline else []
            argv += ["--python", python]
        argv += ["--only-binary", ":all:", "--find-links", str(wheels), "-r", str(requirements)]
        self._progress.say(
            f"Installing rbee {bundle.manifest.version} with {len(bundle.manifest.packages) - 1} packages on "
            f"{self._host.name}, from {'the wheels that were sent' if offline else 'its package index'}"
        )
        done = await self._host.run(argv, timeout_s=_INSTALL_S)
        if not done.good:
            remedy = "Send the wheels instead: --from wheelhouse" if not offline else "See its Python and its disk."
            raise self._failure("Installing packages", done, remedy)

    async def _try(self, environment: str) -> None:
        python = str(self._layout.python(environment))
        done = await self._host.run([python, "-m", "rbee", "--version"], timeout_s=_STEP_S)
        if not done.good:
            raise self._failure("Trying the new environment", done, "The wheels do not fit that machine.")
        await self._host.write(self._layout.versions / environment / COMPLETE, f"{environment}\n".encode(), mode=0o600)

    async def _remove(self, path: str) -> None:
        done = await self._host.run(["/bin/rm", "-rf", "--", path], timeout_s=_INSTALL_S)
        if not done.good:
            raise self._failure("Removing what is old", done, f"See who owns '{path}' there.")

    def _failure(self, step: str, done: Ran, remedy: str) -> RbeeError:
        cause = cause_of(done)
        if "no space left" in (done.err + done.out).lower() or "disk quota" in (done.err + done.out).lower():
            return failed(step, self._host, "its disk is full", "Make room there.", InsufficientDiskError)
        return failed(step, self._host, cause, remedy)


_SWITCH = """
import os, sys
root, target = sys.argv[1:]
def link(name, to):
    new = os.path.join(root, "." + name)
    if os.path.lexists(new): os.remove(new)
    os.symlink(to, new)
    os.replace(new, os.path.join(root, name))
try: before = os.readlink(os.path.join(root, "current"))
except OSError: before = None
if before != target:
    if before: link("previous", before)
    link("current", target)
"""

_RELINK = """
ln -sf "$1" "$2.new" && { mv -f -T "$2.new" "$2" 2>/dev/null || mv -f -h "$2.new" "$2"; }
"""

_CLEAR = """
cd "$1" 2>/dev/null || exit 0
root=$1; shift
rm -rf -- "$@" || exit 1
cd / && rmdir "$root" 2>/dev/null
exit 0
"""

_PROGRAM = (
    "versions", "current", "current.new", "previous", "previous.new", ".current", ".previous", "wheels", "tools",
    "run-hive", "keep-hive", "hive.pid", "hive.pid.deaths",
)  # fmt: skip
_DATA = ("home", "models", "hive.log", "hive.log.1")

_DIGESTS = """
cd "$1" 2>/dev/null || exit 0
if [ -n "$2" ]; then set -- "$2"; else set -- *.whl; fi
for one; do
  [ -f "$one" ] || continue
  { sha256sum "$one" 2>/dev/null || shasum -a 256 "$one"; } | { read -r digest _; echo "$digest $one"; }
done
"""


def _requirements(bundle: Bundle, wheels: PurePosixPath, source: Source) -> str:
    """Lines that name every package in its exact version; of what was sent the very file."""
    files = {one.package: one for one in bundle.manifest.of("wheel") if source == "wheelhouse" or one.local}
    lines = []
    for package in bundle.manifest.packages:
        file = files.get(package)
        if file is None:
            lines.append(package)
        elif source == "wheelhouse":
            lines.append(f"{package} --hash=sha256:{file.sha256}")
        else:
            lines.append(f"{package.partition('==')[0]} @ file://{quote(str(wheels / file.name))}")
    return "\n".join(lines) + "\n"


async def _quietly(work: Coroutine[Any, Any, None]) -> None:
    """Clean up to the end, whatever else happens; why it fails is not what is to be told."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except (RbeeError, asyncio.CancelledError):
        await asyncio.wait([task])
