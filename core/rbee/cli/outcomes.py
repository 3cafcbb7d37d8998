"""What became of one operation on several hives: all are told, and one that failed is not lost among the others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import msgspec

from rbee.cli.console import Talk, say
from rbee.cli.format import line
from rbee.cli.work import run_job
from rbee.clients import Transport
from rbee.contract.errors import NotFoundError, RbeeError, UnreachableError

T = TypeVar("T")

AT_ONCE = 32
"""Jobs that one command runs at the same time."""


class Outcome(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """One job's end.

    Attributes:
        hive_id: where.
        what: the job, for a message: "hive gpu1", "demo on hive gpu1".
        result: None when it failed.
        error: why; None when it did not.
    """

    hive_id: str
    what: str
    result: T | None = None
    error: RbeeError | None = None

    def told(self, **more: Any) -> dict[str, Any]:
        """For JSON: the result's own fields beside the hive and why it failed.

        Args:
            more: further fields, first.
        """
        failed = None if self.error is None else {"code": self.error.code, "message": self.error.message}
        result = {} if self.result is None else msgspec.to_builtins(self.result)
        return {"hive_id": self.hive_id, **more, "failed": failed, **result}


async def outcome(hive_id: str, what: str, work: Awaitable[T]) -> Outcome[T]:
    """How some work ends.

    Args:
        hive_id: where.
        what: it is, for a message.
        work: does it.
    """
    try:
        return Outcome(hive_id=hive_id, what=what, result=await work)
    except RbeeError as error:
        return Outcome(hive_id=hive_id, what=what, error=error)


async def job(transport: Transport, operation: str, fields: Mapping[str, Any], kind: type[T], talk: Talk) -> T:
    """Run a job to its end; returns its result.

    Args:
        transport: to the queen.
        operation: its name.
        fields: its body; None values are left out.
        kind: of its result.
        talk: shows what it does.

    Raises:
        RbeeError: why it failed.
    """
    told = await run_job(transport, operation, fields, talk)
    try:
        return msgspec.convert(told, kind)
    except msgspec.ValidationError as error:
        raise UnreachableError(
            f"The result of {operation!r} is something else than expected ({error}); "
            "queen and hives may have another version of rbee than this machine."
        ) from error


async def on_each(
    transport: Transport,
    hives: Sequence[str],
    operation: str,
    fields: Mapping[str, Any],
    kind: type[T],
    talk_of: Callable[[str], Talk],
) -> list[Outcome[T]]:
    """Run a job on each hive at the same time; one that fails leaves the others alone.

    Args:
        transport: to the queen.
        hives: ids.
        operation: its name.
        fields: its body; None values are left out.
        kind: of its result.
        talk_of: shows what the job of a hive does.
    """
    turn = asyncio.Semaphore(AT_ONCE)

    async def one(hive_id: str) -> Outcome[T]:
        async with turn:
            work = job(transport, operation, {**fields, "hive_id": hive_id}, kind, talk_of(hive_id))
            return await outcome(hive_id, f"hive {hive_id}", work)

    return await together([one(hive_id) for hive_id in hives])


async def together(work: Sequence[Awaitable[T]]) -> list[T]:
    """Results of several pieces of work, in their order; none goes on when one raises or all are cancelled.

    Args:
        work: the pieces.
    """
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            # Once: a second time would end what it does about the first.
            if not task.cancelling():
                task.cancel()
        # Waited for: what they have begun elsewhere is cancelled there over a line that is closed afterwards.
        await asyncio.gather(*tasks, return_exceptions=True)


def failures(outcomes: Sequence[Outcome[Any]]) -> list[dict[str, Any]]:
    """For JSON: hives that could not tell, and why."""
    return [
        {"hive_id": one.hive_id, "code": one.error.code, "message": one.error.message}
        for one in outcomes
        if one.error is not None
    ]


def raise_failures(outcomes: Sequence[Outcome[Any]], *, anywhere: str | None = None) -> None:
    """Tell what has failed, all of it; harmless when nothing has.

    Args:
        outcomes: of one command.
        anywhere: the model that it is about, when it is enough that one of the hives has it.

    Raises:
        RbeeError: something has failed; the error itself where there was only one job.
    """
    if anywhere is not None:
        outcomes = [one for one in outcomes if not isinstance(one.error, NotFoundError)]
        if not outcomes:
            shown = repr(anywhere[:200])
            raise NotFoundError(f"No hive that is online has the model {shown}; `rbee model ls` lists what there is.")
    failed = [(one.what, one.error) for one in outcomes if one.error is not None]
    if not failed:
        return
    if len(outcomes) == 1:
        raise failed[0][1]
    for what, error in failed:
        say(line(f"{what}: {error.message}"))
    raise RbeeError(f"{len(failed)} of {len(outcomes)} failed: {line(', '.join(what for what, _ in failed))}.")
