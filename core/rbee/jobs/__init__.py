"""Jobs: work that runs whether or not somebody watches, and tells what it does."""

from __future__ import annotations

from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rbee.jobs.later import JobStoreLater
    from rbee.jobs.narrator import Narrator, narration
    from rbee.jobs.operation import JobHandler, Operation
    from rbee.jobs.parsing import check_of, parse, worker_named
    from rbee.jobs.runner import JobRunner
    from rbee.jobs.store import JobStore

_HOME = MappingProxyType(
    {
        "JobHandler": "rbee.jobs.operation",
        "JobRunner": "rbee.jobs.runner",
        "JobStore": "rbee.jobs.store",
        "JobStoreLater": "rbee.jobs.later",
        "Narrator": "rbee.jobs.narrator",
        "Operation": "rbee.jobs.operation",
        "check_of": "rbee.jobs.parsing",
        "narration": "rbee.jobs.narrator",
        "parse": "rbee.jobs.parsing",
        "worker_named": "rbee.jobs.parsing",
    }
)
"""Where each name is: loaded when it is asked for, since some load what reads and writes tables."""

__all__ = [
    "JobHandler",
    "JobRunner",
    "JobStore",
    "JobStoreLater",
    "Narrator",
    "Operation",
    "check_of",
    "narration",
    "parse",
    "worker_named",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
