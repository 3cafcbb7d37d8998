"""One line a request, for people or for machines."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Literal

import msgspec

from rbee.contract.wire import RequestRecord

log = logging.getLogger("rbee.access")

Form = Literal["off", "text", "json"]
_SHOWN = 200
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:/@+-")


def write(record: RequestRecord, form: Form) -> None:
    """Write a finished request into the log ``rbee.access``, at level info; costs nothing where that is not kept.

    Args:
        record: the request.
        form: ``text`` for people, ``json`` for one object a line, ``off`` for nothing.
    """
    if form == "off" or not log.isEnabledFor(logging.INFO):
        return
    log.info("%s", as_json(record) if form == "json" else as_text(record))


def write_bare() -> None:
    """Let the lines go to stderr as they are, without the time and names of other lines; for who wants ``json``."""
    if log.handlers:
        return
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    log.addHandler(handler)
    log.propagate = False


def as_json(record: RequestRecord) -> str:
    """Every field of the record and the time of its end; what is unknown is null."""
    facts = {"time": datetime.now(UTC), **msgspec.structs.asdict(record)}
    facts["model"] = None if record.model is None else record.model[:_SHOWN]
    return msgspec.json.encode(facts).decode()


def as_text(record: RequestRecord) -> str:
    """The line for people, without what is unknown; words of the client's are quoted where they could be misread."""
    facts = {
        "model": _word(record.model),
        "worker": record.worker_id,
        "status": record.status,
        "error": record.error_code,
        "in": record.prompt_tokens,
        "out": record.completion_tokens,
        "queue": _seconds(record.queue_s),
        "first": _seconds(record.first_token_s),
        "duration": _seconds(record.duration_s),
        "attempts": record.attempts if record.attempts > 1 else None,
        "continued": "yes" if record.continued else None,
    }
    told = " ".join(f"{name}={value}" for name, value in facts.items() if value is not None)
    return f"{record.request_id} {record.path} {told}"


def _word(name: str | None) -> str | None:
    if name is None:
        return None
    shown = name[:_SHOWN]
    return shown if shown and _PLAIN.issuperset(shown) else ascii(shown)


def _seconds(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f}s"
