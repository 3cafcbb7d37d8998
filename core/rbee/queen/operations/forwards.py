"""Operations that hives carry out: the queen hands them on, tells what is told there, and cancels there."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from rbee.contract.errors import NotFoundError, RbeeError
from rbee.contract.wire import HIVE_OPERATIONS
from rbee.jobs import Narrator, Operation, check_of, worker_named
from rbee.queen.hives import Hives
from rbee.telemetry import TelemetryRegistry

ONCE = frozenset({"worker_install", "worker_remove", "worker_process_delete"})
"""What must not be done a second time after a crash of the queen; done on a machine, its effect is seen by a look."""

_CHANGING = frozenset({"model_download", "model_delete", "model_load", "worker_spawn"})
"""What changes the models on a hive's disk."""

_MISSING_OK = frozenset({"model_delete", "model_unload"})
_COME_BACK_S = 60.0


class Forwards:
    """Every operation of the hives, by ``hive_id``.

    Args:
        telemetry: which worker is on which hive.
        hives: runs jobs there.
        come_back_s: how long a job that is resumed waits for its hive.
        changed: told the hive whose models an operation has changed, before that operation ends, so that who has
            waited for it finds them.
    """

    def __init__(
        self,
        telemetry: TelemetryRegistry,
        hives: Hives,
        come_back_s: float = _COME_BACK_S,
        changed: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        self._telemetry = telemetry
        self._hives = hives
        self._come_back_s = come_back_s
        self._changed = changed

    def operations(self) -> Mapping[str, Operation]:
        """All that a hive can do."""
        return {
            name: Operation(
                handler=self._of_worker if name.startswith("worker_process_") and "list" not in name else self._on_hive,
                request=request,
                check=check_of(name),
                resumable=name not in ONCE,
                complete=self._complete(name),
            )
            for name, request in HIVE_OPERATIONS.items()
        }

    def _complete(self, operation: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
        def complete(body: dict[str, Any]) -> dict[str, Any]:
            """What a second try must find as it was: the hive and, for a start, the worker's id."""
            body = dict(body)
            if operation == "worker_spawn" and body.get("worker_id") is None:
                body["worker_id"] = f"worker-{uuid.uuid4().hex[:8]}"
            if body.get("hive_id") is None and not operation.startswith("worker_process_"):
                try:
                    body["hive_id"] = self._hives.choose(None)
                except RbeeError:
                    # Told by the job itself, where it is looked for.
                    return body
            return body

        return complete

    async def _on_hive(self, body: dict[str, Any], say: Narrator) -> dict[str, Any]:
        """An operation of the hive that is named, or of the only one."""
        operation = body["operation"]
        fields = {key: value for key, value in body.items() if key not in {"operation", "hive_id"}}
        hive_id = body.get("hive_id")
        if say.resumed:
            hive_id = await self._hives.wait_for(hive_id, self._come_back_s)
            say.say("queen", "reached", f"Hive {hive_id} is online; going on there", hive_id)
            if operation in _MISSING_OK:
                # It may have been done before the end of the queen was.
                fields["missing_ok"] = True
        else:
            hive_id = self._hives.choose(hive_id)
        result = await self._hives.run(
            hive_id,
            operation,
            fields,
            say.relay,
            correlation_id=say.correlation_id,
            # With the same key a hive that lived on gives the job that it has, instead of doing it twice.
            key=f"{say.job_id}:{operation}",
            patient=True,
        )
        if operation in _CHANGING and self._changed is not None:
            await self._changed(hive_id)
        return result

    async def _of_worker(self, body: dict[str, Any], say: Narrator) -> dict[str, Any]:
        """An operation on one worker, on whichever hive has it."""
        worker_id = worker_named(body)
        entry = self._telemetry.get_worker(worker_id)
        hive_id = body.get("hive_id") or (entry.hive_id if entry else None)
        if entry is None and hive_id is None and not say.resumed:
            raise NotFoundError(f"Worker {worker_id!r} is not known; `rbee ps` lists workers.")
        result = await self._on_hive({**body, "hive_id": hive_id}, say)
        if body["operation"] == "worker_process_delete":
            self._telemetry.remove_worker(worker_id)
        return result
