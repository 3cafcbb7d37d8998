"""A refusal of the scheduler as the error that a caller gets."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from rbee.contract.errors import EngineUnavailableError, InvalidRequestError, NoPlacementError, RbeeError
from rbee.plugins import install_hint
from rbee.queen.names import Resolved
from rbee.scheduler import Reason, Refusal


def refused(wanted: Resolved, refusal: Refusal) -> RbeeError:
    """Why a model cannot be placed.

    Args:
        wanted: what was asked for.
        refusal: with its reasons, one a machine.
    """
    reasons = [{"subject": reason.subject, "reason": reason.text} for reason in refusal.reasons]
    told = "; ".join(f"{reason.subject}: {reason.text}" for reason in refusal.reasons) or "no machine is known"
    name = wanted.variants[0].name if len(wanted.variants) == 1 else wanted.name
    message = f"Model {name!r} cannot be placed. {told}."
    if refusal.code == "INVALID_REQUEST":
        return InvalidRequestError(message, param="model", details={"reasons": reasons})
    if refusal.code == "ENGINE_UNAVAILABLE":
        formats = dict.fromkeys(variant.format for variant in wanted.variants)
        hint = next((hint for one in formats if (hint := install_hint(one)) is not None), None)
        if hint and "pip install" not in told:
            message += f" Install an engine: {hint}"
        return EngineUnavailableError(message, details={"reasons": reasons})
    return NoPlacementError(message, details={"reasons": reasons})


def unknown_there(refusal: Refusal, hives: Mapping[str, RbeeError]) -> Refusal:
    """A refusal of the other hives', with what those have said that do not know the model."""
    said = [Reason(f"hive {hive_id}", error.message) for hive_id, error in hives.items()]
    return msgspec.structs.replace(refusal, reasons=(*refusal.reasons, *said))
