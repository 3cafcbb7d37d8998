"""Errors of a try, and what they become for a person."""

from __future__ import annotations

import ssl

from urllib3 import exceptions

from rbee.contract.errors import (
    ModelNotFoundError,
    PermissionDeniedError,
    RbeeError,
    UnavailableError,
    UnreachableError,
)


class BrokenError(Exception):
    """A try has failed in a way that another one may not.

    Args:
        message: what happened, a whole sentence.
        wait_s: how long the other side asks to wait; None when it says nothing.
        busy: the other side is there and has no time.
        told: the error for a person, when there is one already.
    """

    def __init__(
        self, message: str, *, wait_s: float | None = None, busy: bool = False, told: RbeeError | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.wait_s = wait_s
        self._busy = busy
        self._told = told

    def for_good(self) -> RbeeError:
        """The error once nobody tries any more."""
        if self._told is not None:
            return self._told
        advice = "What has come is kept; try again later."
        if self._busy:
            return UnavailableError(f"{self.message} {advice}", retry_after_s=max(5, round(self.wait_s or 0)))
        return UnreachableError(f"{self.message} {advice}")


def line_error(host: str, error: Exception) -> BrokenError | UnreachableError:
    """What an error of the network means.

    Args:
        host: the other side, for the message.
        error: of urllib3, or of the system.

    Returns:
        `UnreachableError` for what another try cannot heal.
    """
    if _inside(error, ssl.SSLCertVerificationError):
        return UnreachableError(
            f"The certificate of {host!r} is not one that this machine trusts: {_inside(error, ssl.SSLError)}. "
            "Check the clock and the certificates of this machine."
        )
    if isinstance(error, exceptions.LocationValueError):
        return UnreachableError(f"The address of {host!r} is not one that can be asked: {error}")
    return BrokenError(f"{host!r}: {_reason(error)}.")


def _reason(error: Exception) -> str:
    if isinstance(error, exceptions.ProxyError):
        return f"the proxy does not connect ({_reason(error.original_error)})"
    if isinstance(error, exceptions.NameResolutionError):
        return "its name cannot be resolved"
    if isinstance(error, exceptions.ReadTimeoutError | TimeoutError) and not isinstance(error, ConnectionError):
        return "it has fallen silent"
    system = _inside(error, OSError)
    if isinstance(error, exceptions.NewConnectionError):
        return f"no connection ({system.strerror or system})" if isinstance(system, OSError) else "no connection"
    if isinstance(error, exceptions.ConnectTimeoutError):
        return "no connection in time"
    if isinstance(error, exceptions.SSLError | ssl.SSLError):
        return f"the encrypted line failed ({_inside(error, ssl.SSLError) or error})"
    if isinstance(error, exceptions.ProtocolError | OSError):
        return "the line was cut"
    return f"{type(error).__name__}"


def _inside(error: BaseException, kind: type[BaseException]) -> BaseException | None:
    """The error of a kind that `error` is or was made from."""
    queue: list[BaseException] = [error]
    for one in queue:
        if isinstance(one, kind) and not isinstance(one, exceptions.HTTPError):
            return one
        made_from = [one.__cause__, one.__context__, *one.args]
        queue += [part for part in made_from if isinstance(part, BaseException) and part not in queue]
    return None


def plain_refusal(host: str, what: str, status: int) -> RbeeError:
    """The error for a person when a server refuses something for good and no vendor has a better word.

    Args:
        host: the server.
        what: was asked for.
        status: HTTP status, 300 to 499.
    """
    if status in {401, 403}:
        return PermissionDeniedError(f"{host!r} does not give out {what!r} (HTTP {status}).")
    if status in {404, 410}:
        return ModelNotFoundError(f"{host!r} has no {what!r} (HTTP {status}).")
    return UnreachableError(f"{host!r} refused {what!r} with HTTP {status}.")
