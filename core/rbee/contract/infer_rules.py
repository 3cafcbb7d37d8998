"""Bounds of an inference request, checked wherever one comes in: before a model is loaded for it, not after."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from rbee.contract.errors import InvalidRequestError
from rbee.contract.wire import InferRequest

_BOUNDS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "max_tokens": (1, 1_000_000),
        "temperature": (0, 5),
        "top_p": (1e-9, 1),
        "top_k": (0, 100_000),
        "seed": (-(2**63), 2**63 - 1),
    }
)
_MAX_STOPS = 16
_MAX_STOP_LENGTH = 256


def validated(request: InferRequest) -> InferRequest:
    """The request, if every field is within its bounds.

    Raises:
        InvalidRequestError: naming the field.
    """
    if (request.prompt is None) == (request.messages is None):
        raise InvalidRequestError("Give exactly one of 'prompt' and 'messages'.", param="prompt")
    if request.messages is not None and not request.messages:
        raise InvalidRequestError("'messages' must not be empty.", param="messages")
    for name, (low, high) in _BOUNDS.items():
        value = getattr(request, name)
        if value is not None and not low <= value <= high:
            raise InvalidRequestError(
                f"{name!r} must be between {low:.15g} and {high:.15g}, not {value!r}.", param=name
            )
    if request.stop is not None and len(request.stop) > _MAX_STOPS:
        raise InvalidRequestError(f"'stop' takes at most {_MAX_STOPS} strings.", param="stop")
    if any(not 1 <= len(stop) <= _MAX_STOP_LENGTH for stop in request.stop or ()):
        raise InvalidRequestError(f"Each string of 'stop' has 1 to {_MAX_STOP_LENGTH} characters.", param="stop")
    return request
