"""Fetching models to hives: the first hive begins, the others take the files from it as they come."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence

from rbee.cli.console import Talk
from rbee.cli.format import byte_size, line
from rbee.cli.outcomes import AT_ONCE, Outcome, job, outcome, together
from rbee.cli.transfers import Row, Transfers
from rbee.clients import Transport
from rbee.contract.wire import JobEvent, ModelDownloaded


class _Heard(Talk):
    """Shows a job, and tells of its first progress."""

    def __init__(self, row: Row, begun: asyncio.Event) -> None:
        self._row = row
        self._begun = begun

    def event(self, event: JobEvent) -> None:
        if event.type == "progress":
            self._begun.set()
        self._row.event(event)

    def note(self, text: str) -> None:
        self._row.note(text)

    def done(self) -> None:
        self._row.done()


async def pull(
    transport: Transport, model: str, hives: Sequence[str], display: Transfers, from_hive: str | None = None
) -> list[Outcome[ModelDownloaded]]:
    """Bring a model to hives; one that fails leaves the others alone.

    Args:
        transport: to the queen.
        model: as typed, a path absolute.
        hives: ids; the first one fetches from the vendor.
        display: shows them all.
        from_hive: take the files from that hive alone.
    """
    several = len(hives) > 1
    begun = asyncio.Event()
    turn = asyncio.Semaphore(AT_ONCE)
    rows = {
        hive_id: display.row(f"{hive_id} {model}" if several else model, hive_id if several else "")
        for hive_id in hives
    }

    async def one(hive_id: str) -> Outcome[ModelDownloaded]:
        fields = {"model": model, "hive_id": hive_id, "from_hive": from_hive}
        work = job(transport, "model_download", fields, ModelDownloaded, _Heard(rows[hive_id], begun))
        found = await outcome(hive_id, f"{model} on hive {hive_id}", work)
        rows[hive_id].ended(well=found.error is None)
        return found

    async def first() -> Outcome[ModelDownloaded]:
        try:
            return await one(hives[0])
        finally:
            begun.set()

    async def other(hive_id: str) -> Outcome[ModelDownloaded]:
        # What is there already, or comes in, need not be fetched from the vendor a second time.
        await begun.wait()
        async with turn:
            return await one(hive_id)

    work: list[Awaitable[Outcome[ModelDownloaded]]] = [first(), *(other(hive_id) for hive_id in hives[1:])]
    return await together(work)


def told(model: str, done: ModelDownloaded) -> str:
    """What came, and where from: ``demo (Q8_0, 4.6 MiB): fetched from demo``.

    Args:
        model: as it was asked for.
        done: what the hive says.
    """
    facts = ", ".join(fact for fact in (done.quantization, _size(done.size_bytes)) if fact)
    return line(f"{done.name or model}{f' ({facts})' if facts else ''}: {_origin(done)}")


def _size(count: int | None) -> str | None:
    return None if not count else byte_size(count)


def _origin(done: ModelDownloaded) -> str:
    if done.already:
        return "already here"
    vendor = done.vendor or done.model_id.partition(":")[0]
    fetched, linked = done.fetched_bytes, done.linked_bytes
    if linked and not fetched:
        return "linked from files already on the machine"
    if fetched == 0:
        return "it has no files to fetch" if done.path is None else f"used where it is, in {done.path}"
    rest = f", {byte_size(linked)} of it linked from files already on the machine" if linked else ""
    return f"fetched from {vendor if done.from_hive is None else f'hive {done.from_hive}'}{rest}"
