"""Short names in requests of operations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from rbee.jobs import Operation


def aliased(operations: Mapping[str, Operation], target: Callable[[str], str | None]) -> dict[str, Operation]:
    """The same operations, which take an alias for ``model`` too.

    It is replaced before the job is stored: hives know no aliases, and a job that is begun again after the alias has
    changed goes on with the model that it began with.

    Args:
        operations: by name.
        target: the model that an alias stands for; None for what is no alias.
    """
    return {name: _aliased(operation, target) for name, operation in operations.items()}


def _aliased(operation: Operation, target: Callable[[str], str | None]) -> Operation:
    def complete(body: dict[str, Any]) -> dict[str, Any]:
        model = body.get("model")
        meant = target(model) if isinstance(model, str) else None
        return operation.complete(body if meant is None else {**body, "model": meant})

    return msgspec.structs.replace(operation, complete=complete)
