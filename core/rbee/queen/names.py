"""From the name in a request to the model, without touching a disk on the common way."""

from __future__ import annotations

from collections.abc import Callable

from rbee.catalog import Resolver
from rbee.contract.errors import ModelNotFoundError
from rbee.contract.types import ModelVariant
from rbee.telemetry import TelemetryRegistry

_FRESH_S = 60.0
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
        self._known: dict[str, tuple[ModelVariant, float]] = {}

    async def resolve(self, name: str) -> ModelVariant:
        """The model behind a name.

        Raises:
            ModelNotFoundError: neither a vendor nor a worker knows it.
            RbeeError: as the vendor raises.
        """
        found = self._known.get(name)
        if found is not None and self._clock() < found[1]:
            return found[0]
        try:
            variant = (await self._resolver.resolve(name))[0]
        except ModelNotFoundError:
            served = self._telemetry.model_called(name)
            if served is None:
                raise
            # Somebody else's worker: it can be routed to, and nothing here could start another.
            variant = ModelVariant(model_id=served, name=name, vendor="worker", format=_UNKNOWN_FORMAT)
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[name] = (variant, self._clock() + _FRESH_S)
        return variant

    def known(self) -> list[ModelVariant]:
        """Models that the vendors can bring without further naming."""
        return self._resolver.known()
