"""Jobs: work that runs whether or not somebody watches, and tells what it does."""

from rbee.jobs.narrator import Narrator
from rbee.jobs.runner import JobHandler, JobRunner, JobSummary
from rbee.jobs.store import JobStore

__all__ = ["JobHandler", "JobRunner", "JobStore", "JobSummary", "Narrator"]
