"""From the name in a request to the model, without touching a disk on the common way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from rbee.catalog import Resolver
from rbee.contract.errors import ModelNotFoundError, PermissionDeniedError
from rbee.contract.types import ModelVariant
from rbee.telemetry import TelemetryRegistry

_FRESH_S = 60.0
_LIST_FRESH_S = 10.0
_REMEMBERED = 10_000
_UNKNOWN_FORMAT = "unknown"


class ModelNames:
    """Remembers for a minute what the vendors said.

    Args:
        resolver: the vendors installed beside the queen.
        telemetry: models that workers serve, whoever brought them.
        clock: seconds that never go back.
    """

    def __init__(self, resolver: Resolver, telemetry: TelemetryRegistry, clock: Callable[[], float]) -> None:
        self._resolver = resolver
        self._telemetry = telemetry
        self._clock = clock
        self._known: dict[tuple[str, bool], tuple[ModelVariant, float]] = {}
        self._listed: tuple[list[ModelVariant], float] | None = None

    async def resolve(self, name: str, *, files: bool) -> ModelVariant:
        """The model behind a name.

        Args:
            name: as a request has it.
            files: the caller may name files of this machine.

        Raises:
            ModelNotFoundError: neither a vendor nor a worker knows it.
            PermissionDeniedError: it names a file, and the caller may not.
            RbeeError: as the vendor raises.
        """
        found = self._known.get((name, files))
        if found is not None and self._clock() < found[1]:
            return found[0]
        try:
            variant = (await self._resolver.resolve(name, files=files))[0]
        except (ModelNotFoundError, PermissionDeniedError):
            served = self._telemetry.model_called(name)
            if served is None:
                raise
            # Loaded already, by somebody who may or from somewhere else: it can be routed to, and not be started.
            return ModelVariant(model_id=served, name=name, vendor="worker", format=_UNKNOWN_FORMAT)
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[name, files] = (variant, self._clock() + _FRESH_S)
        return variant

    async def known(self) -> list[ModelVariant]:
        """Models that the vendors can bring without further naming; asked anew every few seconds."""
        if self._listed is None or self._clock() >= self._listed[1]:
            self._listed = (await asyncio.to_thread(self._resolver.known), self._clock() + _LIST_FRESH_S)
        return self._listed[0]
