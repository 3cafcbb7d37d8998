"""Asks one check after the other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import httpx2
import msgspec

from rbee.conformance.checks import BrokenPromiseError, Check, NotAskedError, Outcome, Verdict
from rbee.conformance.subject import Subject

Heard = Callable[[Check, int, int], None]
"""Told each check before it is asked, its number from 1, and how many there are."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All that was found.

    Attributes:
        url: of the worker.
        worker_id: as it calls itself.
        implementation: its engine.
        model_id: its model.
        contract_version: that it says it keeps.
        capabilities: that it declares.
        outcomes: of every check, in order.
    """

    url: str
    worker_id: str | None
    implementation: str | None
    model_id: str | None
    contract_version: str | None
    capabilities: tuple[str, ...]
    outcomes: tuple[Outcome, ...]

    def count(self, verdict: Verdict) -> int:
        """Promises with that verdict."""
        return sum(one.verdict == verdict for one in self.outcomes)


async def run(subject: Subject, checks: Sequence[Check], heard: Heard = lambda *_: None) -> Report:
    """Ask every check that applies, in their order.

    Args:
        subject: the worker.
        checks: to be asked.
        heard: told of progress.

    Raises:
        RbeeError: there is no worker that could be asked.
    """
    await subject.meet()
    outcomes = []
    for number, check in enumerate(checks, 1):
        heard(check, number, len(checks))
        outcomes.append(await _outcome(subject, check))
    told = subject.told
    return Report(
        url=subject.http.url,
        worker_id=_text(told.get("id")),
        implementation=_text(told.get("implementation")),
        model_id=_text(told.get("model_id")),
        contract_version=subject.contract_version,
        capabilities=tuple(sorted(subject.capabilities)),
        outcomes=tuple(outcomes),
    )


async def _outcome(subject: Subject, check: Check) -> Outcome:
    started = time.perf_counter()
    verdict, detail = await _verdict(subject, check)
    seconds = round(time.perf_counter() - started, 3)
    return Outcome(id=check.id, promise=check.promise, verdict=verdict, detail=detail, seconds=seconds)


async def _verdict(subject: Subject, check: Check) -> tuple[Verdict, str | None]:
    if check.needs and not check.needs & subject.capabilities:
        return "skipped", f"the worker does not declare {' or '.join(sorted(check.needs))}"
    try:
        async with asyncio.timeout(subject.limits.check_s):
            await check.run(subject)
    except BrokenPromiseError as error:
        return "broken", str(error)
    except NotAskedError as error:
        return "skipped", str(error)
    except TimeoutError:
        return "broken", f"it took more than {subject.limits.check_s:g} s"
    except httpx2.HTTPError as error:
        return "broken", f"the connection failed: {str(error) or type(error).__name__}"
    return "kept", None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
