"""The route by which a worker's log is read from another machine."""

from __future__ import annotations

import asyncio
import re
from typing import Annotated, Protocol, runtime_checkable

from litestar import get
from litestar.params import Parameter

from rbee.contract.errors import InvalidRequestError, NotFoundError
from rbee.contract.wire import LogPart
from rbee.hive.logs import WorkerLogs
from rbee.logs import is_program_log
from rbee.logs.reading import LogFiles, LogPlace, whole_characters

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_MOST = 2 * 1024 * 1024


class HasWorkerLogs(Protocol):
    """A supervisor with logs."""

    @property
    def logs(self) -> WorkerLogs:
        """Of its workers, the ended ones included."""


@runtime_checkable
class HasSupervisor(Protocol):
    """A service with workers."""

    @property
    def supervisor(self) -> HasWorkerLogs:
        """Starts and stops them."""


@get("/v1/workers/{worker_id:str}/log")
async def worker_log(
    service: HasSupervisor,
    worker_id: str,
    lines: Annotated[int, Parameter(ge=0, le=100_000)] = 200,
    after: str | None = None,
) -> LogPart:
    """The last lines of a worker's log, or what came ``after`` an earlier answer; at most 2 MiB."""
    return await asyncio.to_thread(_read, service.supervisor.logs, worker_id, lines, after)


def _read(logs: WorkerLogs, worker_id: str, lines: int, after: str | None) -> LogPart:
    # Programs log into the same folder; their lines are not for whoever may ask for a worker's.
    if not _ID.fullmatch(worker_id) or is_program_log(worker_id):
        raise NotFoundError(f"There is no log of a worker {worker_id[:128]!r} here.")
    path = logs.path(worker_id)
    files = LogFiles(path.parent, worker_id)
    if not files.paths():
        raise NotFoundError(f"There is no log of worker {worker_id!r} here: its name is another, or it was pruned.")
    if after is None:
        part = files.tail(lines, _MOST)
    else:
        place = LogPlace.parse(after)
        if place is None:
            raise InvalidRequestError(
                f"'after' must be as an earlier answer told it, not {after[:40]!r}.", param="after"
            )
        part = files.after(place, _MOST)
    text = whole_characters(part.data)
    following = LogPlace(part.place.older, max(0, part.place.offset - (len(part.data) - len(text))))
    return LogPart(
        worker_id=worker_id, text=text.decode("utf-8", "replace"), after=str(following), left_out=part.left_out
    )
