"""The hooks that a plugin may implement.

A plugin is a module (or object) named by an entry point of the group ``rbee``::

    from rbee.contract import Register, hookimpl

    RBEE_CONTRACT = ">=0.3,<0.4"

    @hookimpl
    def rbee_register(register: Register) -> None:
        register.engine(MyEngine)

Importing it must work where its engine or driver is not installed.
"""

from __future__ import annotations

import pluggy

from rbee.contract.register import Register
from rbee.contract.wire import JobEvent, ProcessStats, RequestRecord

PROJECT = "rbee"
"""Name of the pluggy project and of the entry point group."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a function of a plugin as the implementation of the hook with its name."""


@hookspec
def rbee_register(register: Register) -> None:
    """Add the plugin's classes.  Called once in every program (and in the CLI), right after loading.

    Args:
        register: verbs that take a class each; a duplicate name raises `DuplicateNameError`.
    """


@hookspec
def rbee_worker_telemetry(hive_id: str, sample: ProcessStats) -> None:
    """Observe one worker's sample.  Called in the hive, in a thread for observers, every second a worker; an observer
    that is still busy misses samples.

    Args:
        hive_id: the hive that took it.
        sample: what was measured; unknown values are None.
    """


@hookspec
def rbee_job_event(event: JobEvent) -> None:
    """Observe one event of a job.  Called on the event loop of the program that runs the job: be quick.

    Args:
        event: the event as its stream carries it.
    """


@hookspec
def rbee_request_finished(record: RequestRecord) -> None:
    """Observe one finished inference request.  Called on the queen's event loop: be quick.

    Also for jobs of the operation `infer`, with the path ``/v1/jobs``.

    Args:
        record: what was asked, who answered, how it ended.
    """
