"""Checks of the colony: registry, queen and hives, wherever they run."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from datetime import datetime
from urllib.parse import urlsplit

import msgspec

from rbee.cli.checks.programs import health
from rbee.cli.console import Silent
from rbee.cli.context import Context
from rbee.cli.executor import known_hives
from rbee.cli.locate import find_queen
from rbee.cli.loop import run_async
from rbee.cli.programs import PROGRAMS, ProgramFiles
from rbee.cli.work import run_job
from rbee.clients import Credentials, QueenClient, RegistryClient, Transport
from rbee.clients.who import QUEEN, REGISTRY, SOME_HIVE
from rbee.contract.checks import Check
from rbee.contract.errors import AuthenticationError, RbeeError, UnreachableError
from rbee.contract.wire import Checks, utc_now
from rbee.http.guard import is_loopback

_PATIENCE_S = 10.0
_CHECK_S = 60.0
_SKEW_S = 5.0


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """Checks of one place.

    Attributes:
        where: for a person: "This machine", "Queen", "Hive NAME".
        checks: found there.
    """

    where: str
    checks: tuple[Check, ...]


class _Stamp(msgspec.Struct, frozen=True):
    timestamp: datetime


def colony(context: Context, credentials: Credentials) -> Iterator[Section]:
    """A section for the registry, when one is set; one for the queen and one for each hive, when they are found.

    Args:
        context: of the command; its settings are valid.
        credentials: shown to the others.
    """
    registry = context.settings.registry.url
    if registry is not None and ProgramFiles(context.folders, "registry").read() is None:
        found = run_async(_registry(context, registry, credentials))
        yield Section(where="Registry", checks=found)
        if any(check.name == "token" and check.status == "fail" for check in found):
            # The others would say the same.
            return
    if credentials.token is None:
        return
    try:
        queen = find_queen(context)
    except AuthenticationError as error:
        yield Section(where="Registry", checks=(_refused(context, error),))
        return
    if queen is not None:
        sections, went = run_async(_by_queen(queen, credentials))
        yield from sections
        if went:
            return
    try:
        hives = known_hives(context)
    except RbeeError as error:
        # Of the hive of this home alone: a registry that is away has none to name.
        remedy = "See that it runs: rbee hive status"
        yield Section(where="Hive", checks=(Check(name="hive", status="fail", detail=error.message, remedy=remedy),))
        return
    for hive in hives:
        yield Section(where=f"Hive {hive.hive_id}", checks=run_async(_directly(hive.url, credentials)))


async def _registry(context: Context, url: str, credentials: Credentials) -> tuple[Check, ...]:
    """Whether the registry of the settings answers, and whether it takes this home's token."""
    found = await health(url, credentials, "registry")
    if found.status == "fail":
        if _nobody_listens(url) and all(ProgramFiles(context.folders, program).read() is None for program in PROGRAMS):
            detail = f"nothing of rbee runs in this home yet, and nothing answers at registry.url, {url}"
            remedy = "Start it: rbee registry start"
            return (Check(name="registry", status="warn", detail=detail, remedy=remedy),)
        return (found,)
    transport = Transport(url, credentials, REGISTRY, timeout_s=_PATIENCE_S)
    try:
        await RegistryClient(transport).queen()
    except AuthenticationError as error:
        return (found, _refused(context, error))
    except RbeeError as error:
        failed = Check(name="registry", status="fail", detail=error.message, remedy="See its log: rbee logs registry")
        return (failed,)
    finally:
        await transport.close()
    return (found, Check(name="token", status="ok", detail="the registry accepts it"))


def _nobody_listens(url: str) -> bool:
    """Whether an address of this machine is free, so that what belongs there may simply not be started yet."""
    parts = urlsplit(url)
    host = str(parts.hostname)
    if not is_loopback(host):
        return False
    try:
        socket.create_connection((host, parts.port or 80), timeout=_PATIENCE_S).close()
    except ConnectionRefusedError:
        return True
    except (OSError, ValueError):
        return False
    return False


def _refused(context: Context, error: AuthenticationError) -> Check:
    detail = f"the registry refuses it: {error.message}"
    if context.present_credentials() is None:
        detail = "there is none in this home, and the registry asks for the colony's"
    return Check(name="token", status="fail", detail=detail, remedy=context.copy_token)


async def _by_queen(url: str, credentials: Credentials) -> tuple[list[Section], bool]:
    """What the queen says of herself and of each hive; whether there is no use in asking the hives directly."""
    alive = await health(url, credentials, "queen")
    if alive.status == "fail":
        return [Section(where="Queen", checks=(alive,))], False
    transport = Transport(url, credentials, QUEEN, timeout_s=_PATIENCE_S)
    try:
        try:
            info = await QueenClient(transport).info()
        except AuthenticationError as error:
            remedy = (
                "Copy the token file of the queen's machine to this one (`rbee config path token` on both), mode 0600."
            )
            refused = Check(name="token", status="fail", detail=f"the queen refuses it: {error.message}", remedy=remedy)
            # The others would say the same.
            return [Section(where="Queen", checks=(alive, refused))], True
        except RbeeError as error:
            failed = Check(name="queen", status="fail", detail=error.message, remedy="See her log: rbee logs queen")
            return [Section(where="Queen", checks=(failed,))], False
        accepted = Check(name="token", status="ok", detail="the queen accepts it")
        clock = await _clock(transport)
        asked = await _ask(transport, "queen_check", {})
        sections = [Section(where="Queen", checks=(alive, accepted, *clock, *asked))]
        for hive in info.get("hives", ()):
            # Those that are down are in the queen's own part.
            if hive["online"]:
                checks = await _ask(transport, "hive_check", {"hive_id": hive["hive_id"]})
                sections.append(Section(where=f"Hive {hive['hive_id']}", checks=checks))
        return sections, True
    finally:
        await transport.close()


async def _directly(url: str, credentials: Credentials) -> tuple[Check, ...]:
    transport = Transport(url, credentials, SOME_HIVE, timeout_s=_PATIENCE_S)
    try:
        return await _ask(transport, "hive_check", {})
    finally:
        await transport.close()


async def _ask(transport: Transport, operation: str, fields: dict[str, str]) -> tuple[Check, ...]:
    try:
        async with asyncio.timeout(_CHECK_S):
            told = await run_job(transport, operation, fields, Silent())
        return msgspec.convert(told, Checks).checks
    except TimeoutError:
        detail = f"no answer within {_CHECK_S:.0f} s"
    except msgspec.ValidationError as error:
        detail = f"the answer is something else than expected: {error}"
    except RbeeError as error:
        detail = error.message
    remedy = "Its log may tell more: rbee logs, on its machine."
    return (Check(name=operation, status="fail", detail=detail, remedy=remedy),)


async def _clock(transport: Transport) -> list[Check]:
    """This machine's clock against the queen's, whose stream begins with the time."""
    with contextlib.suppress(RbeeError):
        async with transport.stream("GET", "/v1/heartbeats/stream", answer_s=_PATIENCE_S) as events:
            async for event in events:
                try:
                    stamp = msgspec.json.decode(event.data, type=_Stamp).timestamp
                except msgspec.DecodeError as error:
                    raise UnreachableError(f"The queen's stream told something else than expected: {error}") from error
                skew = (utc_now() - stamp).total_seconds()
                if abs(skew) <= _SKEW_S:
                    return [Check(name="clock", status="ok", detail="this machine's agrees with the queen's")]
                side = "ahead of" if skew > 0 else "behind"
                detail = f"this machine's is {abs(skew):.1f} s {side} the queen's"
                remedy = "Let both machines set their clocks by the network (NTP)."
                return [Check(name="clock", status="warn", detail=detail, remedy=remedy)]
    return []
