"""Jobs: work that runs whether or not somebody watches, and tells what it does."""

from rbee.jobs.narrator import Narrator, narration
from rbee.jobs.operation import JobHandler, Operation
from rbee.jobs.parsing import check_of, parse, worker_named
from rbee.jobs.runner import JobRunner
from rbee.jobs.store import JobStore

__all__ = [
    "JobHandler",
    "JobRunner",
    "JobStore",
    "Narrator",
    "Operation",
    "check_of",
    "narration",
    "parse",
    "worker_named",
]
