"""Checks of the programs of this home: which run and answer, and whether the others could be started."""

from __future__ import annotations

from collections.abc import Iterator

from rbee.cli.context import Context
from rbee.cli.programs import PROGRAMS, ProgramFiles, ProgramName, ProgramRecord
from rbee.clients import Credentials, Transport
from rbee.clients.who import the_program
from rbee.contract.checks import Check
from rbee.contract.errors import RbeeError
from rbee.contract.version import __version__
from rbee.http.ports import listen

_PATIENCE_S = 3.0


async def programs(context: Context) -> list[Check]:
    """One entry a program."""
    found: list[Check] = []
    for program in PROGRAMS:
        record = ProgramFiles(context.folders, program).read()
        found += [_port(context, program)] if record is None else [await _answers(record)]
    return found


def leftovers(context: Context) -> Iterator[Check]:
    """Workers whose hive is gone."""
    from rbee.hive.children import find

    if not context.folders.state.is_dir() or ProgramFiles(context.folders, "hive").read() is not None:
        return
    left = sorted(child.worker_id for child in find(context.folders.state))
    if left:
        detail = f"{', '.join(left)} run without a hive"
        remedy = "End them: rbee down. Or take them over: rbee hive start."
        yield Check(name="workers", status="warn", detail=detail, remedy=remedy)


async def health(url: str, credentials: Credentials, name: str) -> Check:
    """Whether a program answers, and in the version that is installed here."""
    transport = Transport(url, credentials, the_program(name), timeout_s=_PATIENCE_S)
    try:
        told = await transport.call("GET", "/health", dict)
    except RbeeError as error:
        remedy = f"See that it runs (`rbee {name} status` on its machine) and that {url} is reached from here."
        return Check(name=name, status="fail", detail=error.message, remedy=remedy)
    finally:
        await transport.close()
    if told.get("program") != name:
        remedy = f"Correct the setting {name}.url, or stop what listens there."
        return Check(name=name, status="fail", detail=f"what answers at {url} is no {name} of rbee", remedy=remedy)
    version = told.get("version")
    if version != __version__:
        remedy = f"Install the same version on all machines, then restart the {name}."
        detail = f"answers at {url} in version {version}; here it is {__version__}"
        return Check(name=name, status="warn", detail=detail, remedy=remedy)
    return Check(name=name, status="ok", detail=f"answers at {url}, rbee {version}")


async def _answers(record: ProgramRecord) -> Check:
    found = await health(record.url, Credentials(), record.program)
    if found.status != "fail":
        return found
    stop = "rbee down" if record.colony else f"rbee {record.program} stop"
    detail = f"process {record.pid} is there and does not answer: {found.detail}"
    return Check(
        name=record.program, status="fail", detail=detail, remedy=f"See `rbee logs {record.program}`, then: {stop}"
    )


def _port(context: Context, program: ProgramName) -> Check:
    """Whether a program that does not run could listen."""
    settings = context.settings
    group = getattr(settings, program)
    if getattr(group, "url", None):
        return Check(name=program, status="ok", detail=f"not here: {program}.url is {group.url}")
    if group.port == 0:
        return Check(name=program, status="ok", detail="does not run; it would take a free port")
    try:
        listen(settings.server.host, group.port, f"the {program}", f"{program}.port").close()
    except RbeeError as error:
        remedy = f"Free the port, or choose another: rbee --set {program}.port=N, or {program}.port in config.toml."
        return Check(name=program, status="fail", detail=error.message, remedy=remedy)
    return Check(name=program, status="ok", detail=f"does not run; port {group.port} is free")
