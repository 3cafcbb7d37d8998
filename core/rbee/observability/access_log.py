"""One line a request, for people or for machines."""

from __future__ import annotations

import logging
from typing import Literal

import msgspec

from rbee.contract.wire import RequestRecord

log = logging.getLogger("rbee.access")

Form = Literal["off", "text", "json"]
_SHOWN = 200


def write(record: RequestRecord, form: Form) -> None:
    """Write a finished request into the log ``rbee.access``, at level info.

    Args:
        record: the request.
        form: ``text`` for people, ``json`` for one object a line with every field of the record, ``off`` for nothing.
    """
    if form == "off" or not log.isEnabledFor(logging.INFO):
        return
    log.info("%s", msgspec.json.encode(record).decode() if form == "json" else as_text(record))


def as_text(record: RequestRecord) -> str:
    """The line for people; what a client named is quoted where it could be taken for more."""
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
    if name is None or (name.isprintable() and " " not in name and len(name) <= _SHOWN):
        return name
    return ascii(name[:_SHOWN])


def _seconds(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f}s"
