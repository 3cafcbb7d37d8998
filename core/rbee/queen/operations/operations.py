"""Every operation of the queen, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rbee.contract.wire import Bench, Load, ModelPlan, ModelSearch, OperationRequest, Unload, WorkerRecord
from rbee.jobs import JobHandler, Narrator, Operation
from rbee.queen.operations.bench import Benching
from rbee.queen.operations.checks import QueenChecks
from rbee.queen.operations.forwards import Forwards
from rbee.queen.operations.infer import Inference, infer_request
from rbee.queen.operations.loading import Loading, load_checked
from rbee.queen.operations.models import Models
from rbee.telemetry import TelemetryRegistry


class Operations:
    """Her own operations and those that hives carry out.

    Args:
        telemetry: what is known of hives.
        forwards: to the hives.
        inference: answers prompts.
        checks: looks at the colony.
        models: looks at models, wherever they are.
        loading: loads and unloads them.
        benching: measures workers.
        workers: those that are known, by id.
    """

    def __init__(
        self,
        telemetry: TelemetryRegistry,
        forwards: Forwards,
        inference: Inference,
        checks: QueenChecks,
        models: Models,
        loading: Loading,
        benching: Benching,
        workers: Callable[[], list[WorkerRecord]],
    ) -> None:
        self._telemetry = telemetry
        self._workers = workers
        self._forwards = forwards
        self._inference = inference
        self._checks = checks
        self._models = models
        self._loading = loading
        self._benching = benching

    async def close(self) -> None:
        """Close the connections to workers."""
        await self._inference.close()
        self._benching.close()

    def operations(self) -> Mapping[str, Operation]:
        """All of them."""
        own = {
            # Not begun again after a crash: prompts are not kept, and half of the answer was told.
            "infer": Operation(handler=self._inference.infer, check=infer_request),
            # Nor this: its figures would be those of two colonies.
            "bench": Operation(handler=self._benching.bench, request=Bench),
            "status": Operation(handler=self.status, request=OperationRequest, resumable=True),
            "queen_check": Operation(handler=self._checks.queen_check, request=OperationRequest, resumable=True),
            # Nor this: hives come back one by one, and a plan for those that were first would look like one for all.
            "model_plan": Operation(handler=self._models.model_plan, request=ModelPlan),
            "load": Operation(handler=self._loading.load, request=Load, check=load_checked, resumable=True),
            # Nor this: who was stopped by it may have been started again since.
            "unload": Operation(handler=self._loading.unload, request=Unload),
        }
        forwarded = self._forwards.operations()
        # Hers, unless a hive is named.
        search = Operation(handler=self._search(forwarded["model_search"]), request=ModelSearch, resumable=True)
        return {**own, **forwarded, "model_search": search}

    def _search(self, forwarded: Operation) -> JobHandler:
        async def search(body: dict[str, Any], say: Narrator) -> Any:
            handler = self._models.model_search if body.get("hive_id") is None else forwarded.handler
            return await handler(body, say)

        return search

    async def status(self, _body: dict[str, Any], _say: Narrator) -> dict[str, Any]:
        """Hives and workers as they are known."""
        return {
            "hives": sorted(record.hive_id for record in self._telemetry.list_active_hives()),
            "workers": self._workers(),
        }
