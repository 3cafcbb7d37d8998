"""Every error that rbee raises on purpose.

A message says what went wrong, which thing (quoted) and what to do next::

    RbeeError                      500  INTERNAL
    ├── InvalidRequestError        400  INVALID_REQUEST
    │   ├── ContextLengthError     400  CONTEXT_LENGTH_EXCEEDED
    │   └── PayloadTooLargeError   413  PAYLOAD_TOO_LARGE
    ├── AuthenticationError        401  INVALID_API_KEY
    ├── PermissionDeniedError      403  FORBIDDEN
    ├── NotFoundError              404  NOT_FOUND
    │   └── ModelNotFoundError     404  MODEL_NOT_FOUND
    ├── ConflictError              409  CONFLICT
    ├── MethodNotAllowedError      405  METHOD_NOT_ALLOWED
    ├── RequestTimeoutError        408  REQUEST_TIMEOUT
    ├── CancelledByCallerError     499  REQUEST_CANCELED
    ├── UnavailableError           503  UNAVAILABLE          (with Retry-After)
    │   ├── WorkerNotReadyError    503  WORKER_NOT_READY
    │   ├── QueueFullError         503  QUEUE_FULL
    │   ├── AllSlotsBusyError      503  ALL_SLOTS_BUSY
    │   ├── RateLimitedError       429  RATE_LIMITED
    │   └── NoPlacementError       503  NO_PLACEMENT         (with one reason a machine)
    ├── WorkerFailedError          500  WORKER_FAILED
    ├── ModelFileError             422  MODEL_FILE_INVALID
    ├── InsufficientMemoryError    507  VRAM_EXHAUSTED
    ├── InsufficientDiskError      507  DISK_FULL
    ├── ConfigurationError         500  CONFIGURATION
    │   └── PortTakenError         500  PORT_TAKEN
    ├── UnreachableError           502  UNREACHABLE
    └── PluginError                500  PLUGIN
        ├── DuplicateNameError     500  PLUGIN
        ├── ContractVersionError   500  PLUGIN
        └── EngineUnavailableError 501  ENGINE_UNAVAILABLE

HTTP status codes are attached to the codes in `rbee.http.errors` and exit codes in `rbee.cli.exits`;
nothing else maps them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class RbeeError(Exception):
    """Base of all errors raised on purpose.

    Args:
        message: one sentence or two for a person: what, which thing, what to do next.
        details: further facts for a program; must be JSON-serialisable and free of secrets.
    """

    code: ClassVar[str] = "INTERNAL"

    def __init__(self, message: str, *, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details: dict[str, Any] = dict(details or {})


class InvalidRequestError(RbeeError):
    """The caller sent something that cannot be acted upon.

    Args:
        message: as in `RbeeError`.
        param: the offending field, when there is one.
        details: as in `RbeeError`.
    """

    code = "INVALID_REQUEST"

    def __init__(self, message: str, *, param: str | None = None, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message, details=details)
        self.param = param


class ContextLengthError(InvalidRequestError):
    """The prompt and the asked-for answer do not fit the model's context."""

    code = "CONTEXT_LENGTH_EXCEEDED"


class PayloadTooLargeError(InvalidRequestError):
    """The body of a request is larger than the configured limit."""

    code = "PAYLOAD_TOO_LARGE"


class AuthenticationError(RbeeError):
    """No token, or a wrong one, where one is required."""

    code = "INVALID_API_KEY"


class PermissionDeniedError(RbeeError):
    """The caller is known, or needs not be, but may not do this (a foreign Host or Origin, for one)."""

    code = "FORBIDDEN"


class NotFoundError(RbeeError):
    """The named thing does not exist."""

    code = "NOT_FOUND"


class ModelNotFoundError(NotFoundError):
    """No vendor knows the model."""

    code = "MODEL_NOT_FOUND"


class ConflictError(RbeeError):
    """The thing exists already, or is in a state that forbids the operation."""

    code = "CONFLICT"


class MethodNotAllowedError(RbeeError):
    """The route exists and is asked with another HTTP method."""

    code = "METHOD_NOT_ALLOWED"


class RequestTimeoutError(RbeeError):
    """The work did not end within its deadline."""

    code = "REQUEST_TIMEOUT"


class CancelledByCallerError(RbeeError):
    """The caller went away or cancelled."""

    code = "REQUEST_CANCELED"


class UnavailableError(RbeeError):
    """It does not work now but may later.

    Args:
        message: as in `RbeeError`.
        retry_after_s: seconds after which another try makes sense; sent as ``Retry-After``.
        details: as in `RbeeError`.
    """

    code = "UNAVAILABLE"

    def __init__(self, message: str, *, retry_after_s: int = 5, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message, details=details)
        self.retry_after_s = retry_after_s


class WorkerNotReadyError(UnavailableError):
    """The worker is still loading."""

    code = "WORKER_NOT_READY"


class QueueFullError(UnavailableError):
    """The queue in front of a model is at its limit."""

    code = "QUEUE_FULL"


class AllSlotsBusyError(UnavailableError):
    """Every slot is taken and waiting is not wanted."""

    code = "ALL_SLOTS_BUSY"


class RateLimitedError(UnavailableError):
    """A server that a worker stands for wants to be asked less often."""

    code = "RATE_LIMITED"


class NoPlacementError(UnavailableError):
    """The model cannot be placed on any machine; `details["reasons"]` has one entry a machine."""

    code = "NO_PLACEMENT"


class WorkerFailedError(RbeeError):
    """A worker died or answered nonsense."""

    code = "WORKER_FAILED"


class ModelFileError(RbeeError):
    """A model file is truncated, corrupt or not a model."""

    code = "MODEL_FILE_INVALID"


class InsufficientMemoryError(RbeeError):
    """The model does not fit the memory of the device."""

    code = "VRAM_EXHAUSTED"


class InsufficientDiskError(RbeeError):
    """The files do not fit the disk."""

    code = "DISK_FULL"


class ConfigurationError(RbeeError):
    """A setting, a file or a folder is not as it must be."""

    code = "CONFIGURATION"


class PortTakenError(ConfigurationError):
    """Somebody else listens on the port."""

    code = "PORT_TAKEN"


class UnreachableError(RbeeError):
    """Another program of the colony did not answer."""

    code = "UNREACHABLE"


class PluginError(RbeeError):
    """A plugin is not as the contract asks."""

    code = "PLUGIN"


class DuplicateNameError(PluginError):
    """Two plugins registered the same name; the message names both."""


class ContractVersionError(PluginError):
    """The plugin supports another range of contract versions."""


class EngineUnavailableError(PluginError):
    """No usable engine runs this model format here; the message names the install command."""

    code = "ENGINE_UNAVAILABLE"


def error_types() -> dict[str, type[RbeeError]]:
    """Every code with the class that carries it, so that a client raises what the server raised.

    Where several classes share a code, the one highest in the tree stands for it.
    """
    found: dict[str, type[RbeeError]] = {}
    queue: list[type[RbeeError]] = [RbeeError]
    while queue:
        current = queue.pop(0)
        found.setdefault(current.code, current)
        queue.extend(current.__subclasses__())
    return found
