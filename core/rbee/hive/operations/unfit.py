"""Why no engine here will do."""

from __future__ import annotations

from collections.abc import Sequence

from rbee.contract.errors import EngineUnavailableError
from rbee.contract.types import EngineInfo, ModelVariant
from rbee.plugins import install_hint


def no_engine(
    variant: ModelVariant, backend: str, fitting: Sequence[EngineInfo], named: Sequence[EngineInfo]
) -> EngineUnavailableError:
    """The refusal, with the remedy.

    Args:
        variant: what was to be run.
        backend: how its device is driven.
        fitting: those that would do if they were available.
        named: the one that was asked for by name; empty where none was.
    """
    if named and not fitting:
        return EngineUnavailableError(_unfit(named[0], variant, backend))
    reasons = "; ".join(engine.reason for engine in fitting if engine.reason)
    hint = install_hint(variant.format)
    return EngineUnavailableError(
        reasons
        or f"No engine here opens the format {variant.format!r} of {variant.name!r} on {backend}."
        + (f" Install one: {hint}" if hint else "")
    )


def no_splitting(variant: ModelVariant, backend: str, fitting: Sequence[EngineInfo]) -> EngineUnavailableError:
    """The refusal to spread a model over several devices, since nobody can.

    Args:
        variant: what was to be run.
        backend: how the devices are driven.
        fitting: engines that run it on one of them.
    """
    names = ", ".join(engine.name for engine in fitting)
    return EngineUnavailableError(
        f"No engine here spreads {variant.name!r} over several devices driven by {backend}; {names} can run it on one "
        "of them. Name one device."
    )


def _unfit(engine: EngineInfo, variant: ModelVariant, backend: str) -> str:
    """Why an engine that was asked for by name is none for a variant."""
    if variant.format not in engine.formats:
        opens = ", ".join(sorted(engine.formats)) or "none"
        why = f"does not open the format {variant.format!r} of {variant.name!r}; it opens: {opens}"
    else:
        why = f"cannot drive a device by '{backend}'; it does by: {', '.join(sorted(engine.backends)) or 'none'}"
    more = f" Besides, {engine.reason.rstrip('.')}." if engine.reason else ""
    return f"Engine {engine.name!r} {why}.{more} `rbee worker list` shows what each engine opens."
