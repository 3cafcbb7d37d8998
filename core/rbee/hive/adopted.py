"""Following a worker of an earlier life of the hive: the pipe it reported through is gone, so it is asked."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from rbee.clients import Credentials, Transport, WorkerClient
from rbee.clients.who import the_worker
from rbee.contract.errors import ConflictError, RbeeError, WorkerFailedError
from rbee.contract.types import WorkerState
from rbee.hive.children import Child, is_alive

_ASK_EVERY_S = 0.5
_LOOK_EVERY_S = 0.5
_ANSWER_S = 2.0


async def until_ended(
    child: Child,
    url: str,
    credentials: Credentials,
    ready: asyncio.Future[Child],
    on_state: Callable[[WorkerState | None], None],
) -> None:
    """Wait for the end of a process that is not a child by parentage; tell when it serves.

    Args:
        child: which.
        url: its address.
        credentials: shown to it; see `until_serving`.
        ready: gets the child once it has loaded, also when it drains, or why it never will.
        on_state: told where it is in its life until then; None when it does not answer.
    """

    def note(state: WorkerState | None) -> None:
        on_state(state)
        # One that drains has loaded, and may not be told to serve again for long: nobody waits for that.
        if state in {WorkerState.READY, WorkerState.DRAINING} and not ready.done():
            ready.set_result(child)

    asking = asyncio.create_task(until_serving(url, credentials, child.worker_id, note))
    try:
        # The system tells its end to somebody else, and has no event for us.
        while is_alive(child):  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_EVERY_S)
    finally:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    if not ready.done():
        ready.set_exception(WorkerFailedError(f"Worker {child.worker_id!r} ended before it served."))
        ready.exception()  # often nobody waits for it, and that is no mistake


async def until_serving(
    url: str, credentials: Credentials, worker_id: str, on_state: Callable[[WorkerState | None], None]
) -> None:
    """Ask a worker until it serves.

    Args:
        url: its address.
        credentials: shown to it; without a token: who listens at that port is known only by the tag of a process.
        worker_id: which.
        on_state: told its state before each further try; None when it does not answer.
    """
    transport = Transport(url, credentials, the_worker(worker_id), timeout_s=_ANSWER_S)
    try:
        while True:
            with contextlib.suppress(RbeeError):
                await WorkerClient(transport).ready()
                on_state(WorkerState.READY)
                return
            on_state(await _state(transport))
            await asyncio.sleep(_ASK_EVERY_S)
    finally:
        await transport.close()


async def check_serving(url: str, credentials: Credentials, worker_id: str) -> None:
    """Pass unless a worker that has loaded says that it drains; what does not answer is not known to.

    Args:
        url: its address.
        credentials: shown to it; without a token.
        worker_id: which.

    Raises:
        ConflictError: it drains.
    """
    transport = Transport(url, credentials, the_worker(worker_id), timeout_s=_ANSWER_S)
    try:
        state = await _told(transport)
    finally:
        await transport.close()
    if state is WorkerState.DRAINING:
        raise ConflictError(
            f"Worker {worker_id!r} is there and draining: it takes no requests. Put it back to work: "
            f"rbee worker drain {worker_id} --undo"
        )


async def _state(transport: Transport) -> WorkerState | None:
    state = await _told(transport)
    # It says that it serves and is not ready: its engine has died, and it is about to follow.
    return None if state is not None and state.serving else state


async def _told(transport: Transport) -> WorkerState | None:
    """The state that it tells itself; None when it tells none."""
    with contextlib.suppress(RbeeError, ValueError):
        told = (await transport.call("GET", "/health", dict)).get("state")
        return WorkerState.parse(str(told)) if told else None
    return None
