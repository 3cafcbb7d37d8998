"""Asking a model through the queen: one job, its narration to stderr, its answer to whoever takes it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from rbee.cli.console import Talk
from rbee.cli.work import started
from rbee.clients import Credentials, QueenClient, Transport
from rbee.clients.jobs import raise_for
from rbee.clients.who import QUEEN
from rbee.contract.errors import InvalidRequestError, UnreachableError
from rbee.contract.model_refs import parse_ref
from rbee.contract.wire import JobEvent


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """How an answer ended.

    Attributes:
        text: all of it.
        tokens: tokens generated, None when the worker did not tell.
        duration_ms: of generation, likewise.
        stop_reason: MAX_TOKENS, EOS or STOP_SEQUENCE.
        worker_id: who answered.
    """

    text: str
    tokens: int | None
    duration_ms: int | None
    stop_reason: str | None
    worker_id: str | None


async def ask(
    queen_url: str, credentials: Credentials, request: dict[str, Any], talk: Talk, on_text: Callable[[str], None]
) -> Answer:
    """Run one inference job to its end; cancelled, the job is cancelled too.

    Args:
        queen_url: address of the queen.
        credentials: shown to the others.
        request: fields of the operation ``infer``; None values are left out.
        talk: shows narration until the first text.
        on_text: given each piece of text.

    Raises:
        RbeeError: why there is no answer.
    """
    transport = Transport(queen_url, credentials, QUEEN)
    parts: list[str] = []
    result: dict[str, Any] = {}
    last: JobEvent | None = None
    try:
        async with started(QueenClient(transport).jobs, "infer", request) as events:
            async for event in events:
                if event.type == "data" and event.action == "token":
                    talk.done()
                    parts.append(event.payload["t"])
                    on_text(event.payload["t"])
                elif event.type == "data" and event.action == "result":
                    result = event.payload
                elif event.terminal:
                    last = event
                elif not parts:
                    talk.event(event)
    except UnreachableError as error:
        raise UnreachableError(f"{error.message} The colony may have been stopped; `rbee status` tells.") from error
    finally:
        talk.done()
        await transport.close()
    if last is not None:
        # What the queen tells of somebody else who does not answer is no sign of her own end.
        raise_for(last)
    return Answer(
        text="".join(parts),
        tokens=result.get("tokens_out"),
        duration_ms=result.get("decode_time_ms"),
        stop_reason=result.get("stop_reason"),
        worker_id=result.get("worker_id"),
    )


def absolute(model: str) -> str:
    """The model's name with a relative path made absolute: the hive has another working folder than this shell."""
    path = _path_in(model)
    if path is None or path.startswith("/"):
        return model
    scheme = "file:" if model.lower().startswith("file:") else ""
    with contextlib.suppress(RuntimeError):
        # Not for a home folder of nobody.
        path = str(Path(path).expanduser())
    # Not resolved: a link in a download cache has the telling name, its target only a hash.
    return f"{scheme}{Path(path).absolute()}"


def _path_in(model: str) -> str | None:
    """The path that a name is by its letters, or because something is there; None for any other name."""
    try:
        ref = parse_ref(model)
    except InvalidRequestError:
        # Whoever is asked says what is wrong with it, unless it is a path with more slashes than a name has.
        ref = None
    if ref is not None and ref.kind == "path":
        return ref.repository
    try:
        return model if os.sep in model and Path(model).exists() else None
    except (OSError, ValueError):
        return None
