"""Asking a model through the queen: one job, its narration to stderr, its answer to whoever takes it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from rbee.cli.console import Talk
from rbee.cli.work import started
from rbee.clients import QueenClient, Transport
from rbee.clients.jobs import raise_for
from rbee.contract.errors import UnreachableError


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
    queen_url: str, token: str, request: dict[str, Any], talk: Talk, on_text: Callable[[str], None]
) -> Answer:
    """Run one inference job to its end; cancelled, the job is cancelled too.

    Args:
        queen_url: address of the queen.
        token: the colony's.
        request: fields of the operation ``infer``; None values are left out.
        talk: shows narration until the first text.
        on_text: given each piece of text.

    Raises:
        RbeeError: why there is no answer.
    """
    transport = Transport(queen_url, token, "The queen")
    parts: list[str] = []
    result: dict[str, Any] = {}
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
                    talk.done()
                    raise_for(event)
                elif not parts:
                    talk.event(event)
    except UnreachableError as error:
        raise UnreachableError(f"{error.message} The colony may have been stopped; `rbee status` tells.") from error
    finally:
        talk.done()
        await transport.close()
    return Answer(
        text="".join(parts),
        tokens=result.get("tokens_out"),
        duration_ms=result.get("decode_time_ms"),
        stop_reason=result.get("stop_reason"),
        worker_id=result.get("worker_id"),
    )


def absolute(model: str) -> str:
    """The model's name with a relative path made absolute: the hive has another working folder than this shell."""
    prefix, rest = ("file:", model[5:]) if model.startswith("file:") else ("", model)
    if prefix and rest.startswith("//"):
        return model
    looks_like_path = prefix or rest.startswith(("./", "../", "~", "/")) or rest in {".", ".."}
    if looks_like_path or (rest.endswith(".gguf") and ":" not in rest) or (os.sep in rest and Path(rest).exists()):
        # Not resolved: a link in a download cache has the telling name, its target only a hash.
        return prefix + str(Path(rest).expanduser().absolute())
    return model
