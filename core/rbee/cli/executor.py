"""Who starts and stops workers for a command: the queen, or a hive where there is none."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec

from rbee.cli.console import say
from rbee.cli.context import Context
from rbee.cli.exits import NotRunningError
from rbee.cli.locate import find_queen, refused, registry_url
from rbee.cli.loop import run_async
from rbee.cli.programs import ProgramFiles
from rbee.clients import Credentials, RegistryClient, Transport
from rbee.clients.who import QUEEN, REGISTRY, SOME_HIVE, Who, the_hive
from rbee.contract.errors import AuthenticationError, InvalidRequestError, NotFoundError, RbeeError, UnreachableError

T = TypeVar("T")

_LOOKUP_S = 2.0


class Executor(msgspec.Struct, frozen=True, kw_only=True):
    """A program that takes jobs.

    Attributes:
        url: its address.
        hive_id: the hive; None for the queen.
    """

    url: str
    hive_id: str | None = None

    @property
    def who(self) -> Who:
        """Which one it is."""
        return QUEEN if self.hive_id is None else the_hive(self.hive_id)


def find_executor(context: Context, hive_id: str | None = None, *, prefer_own: bool = False) -> Executor:
    """The queen when she answers, else a hive, which is said.

    Args:
        context: of the command.
        hive_id: which hive is wanted; None for any.
        prefer_own: of several, and where none was named, the hive of this home is meant.

    Raises:
        NotRunningError: there is neither.
        NotFoundError: the hive that is wanted is not among those known.
        InvalidRequestError: there are several hives, and none was named.
        RbeeError: what the one that was found raises.
    """
    context.check()
    queen = find_queen(context)
    away: RbeeError | None = None
    if queen is not None:
        away = run_async(_silent(queen, context.present_credentials()))
        if away is None:
            return Executor(url=queen)
    hives = known_hives(context)
    if not hives:
        raise away or NotRunningError("No colony is running. Start one: rbee up")
    own = prefer_own and hive_id is None and ProgramFiles(context.folders, "hive").read() is not None
    chosen = hives[0] if own else _choose(hives, hive_id)
    missing = "No queen is known" if away is None else f"The queen at {queen} does not answer"
    say(f"{missing}; asking hive {chosen.hive_id} at {chosen.url} directly.")
    return chosen


def ask_executor(context: Context, executor: Executor, question: Callable[[Transport], Awaitable[T]]) -> T:
    """Run one question to its answer.

    Args:
        context: of the command.
        executor: whom.
        question: asks.
    """

    async def ask() -> T:
        transport = Transport(executor.url, context.credentials(), executor.who)
        try:
            return await question(transport)
        finally:
            await transport.close()

    return run_async(ask())


def known_hives(context: Context) -> list[Executor]:
    """Hives that can be found without a queen: this home's first, then the registry's."""
    credentials = context.present_credentials()
    found: dict[str | None, Executor] = {}
    here = ProgramFiles(context.folders, "hive").read()
    if here is not None:
        told = run_async(_health(here.url, credentials))
        hive_id = str(told.get("hive_id") or "localhost")
        found[hive_id] = Executor(url=here.url, hive_id=hive_id)
    registry = registry_url(context)
    if registry is not None:
        try:
            registered = run_async(_registered(registry, credentials))
        except AuthenticationError as error:
            raise refused(context, registry, credentials) from error
        for one in registered:
            found.setdefault(one.hive_id, one)
    return list(found.values())


def _choose(hives: list[Executor], wanted: str | None) -> Executor:
    if wanted is None or wanted == "localhost":
        if wanted is None and len(hives) > 1:
            names = ", ".join(str(one.hive_id) for one in hives)
            raise InvalidRequestError(f"Several hives are known: {names}. Name one with --hive.")
        return hives[0]
    for one in hives:
        if one.hive_id == wanted:
            return one
    names = ", ".join(str(one.hive_id) for one in hives)
    raise NotFoundError(f"There is no hive {wanted!r}. Known are: {names}.")


async def _silent(url: str, credentials: Credentials) -> RbeeError | None:
    """Why a program does not answer; None when it does, with an error perhaps, which is then its own word."""
    transport = Transport(url, credentials, QUEEN, timeout_s=_LOOKUP_S)
    try:
        await transport.call("GET", "/health", dict)
    except UnreachableError as error:
        return error
    finally:
        await transport.close()
    return None


async def _health(url: str, credentials: Credentials) -> dict[str, Any]:
    transport = Transport(url, credentials, SOME_HIVE, timeout_s=_LOOKUP_S)
    try:
        return await transport.call("GET", "/health", dict)
    finally:
        await transport.close()


async def _registered(url: str, credentials: Credentials) -> list[Executor]:
    transport = Transport(url, credentials, REGISTRY, timeout_s=_LOOKUP_S)
    try:
        components = await RegistryClient(transport).components("hive")
    except UnreachableError:
        # A registry that is away hides nothing that this machine could know.
        return []
    finally:
        await transport.close()
    return [Executor(url=one.url, hive_id=one.component_id) for one in components]
