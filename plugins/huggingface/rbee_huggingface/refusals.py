"""What the hub refuses, in words that say what to do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from rbee.contract.errors import (
    ConfigurationError,
    ModelNotFoundError,
    PermissionDeniedError,
    RbeeError,
    UnavailableError,
    UnreachableError,
)

from rbee_huggingface.environment import ENDPOINT, cache_folder, endpoint

WAIT_S: Final = 30
_LONGEST_WAIT_S: Final = 3600
_SECONDS: Final = re.compile(r"(\d{1,8})", re.ASCII)
_LIMIT: Final = re.compile(r";\s*r\s*=\s*0\s*;\s*t\s*=\s*(\d{1,8})", re.ASCII)


def refusal_of(repository: str, what: str, status: int, headers: Mapping[str, str]) -> RbeeError:
    """The error for an answer that is none.

    Args:
        repository: ``org/repo``; empty when none was asked for.
        what: was asked for, as it stands in a sentence: ``file 'a.gguf' of 'org/repo'``.
        status: HTTP status.
        headers: of the answer, names in lower case.
    """
    code = headers.get("x-error-code", "")
    page = f"{_shown_endpoint()}/{repository}"
    if code == "GatedRepo":
        return PermissionDeniedError(
            f"'{repository}' is gated: open {page}, accept its terms, then set HF_TOKEN to a token that may read it, "
            "where the hive is started (a colony that runs has to be started anew)."
        )
    if code == "RevisionNotFound":
        return ModelNotFoundError(f"{_begun(what)} is not there: the hub knows no such revision; see {page}/tree/main.")
    if code == "EntryNotFound":
        return ModelNotFoundError(f"{_begun(what)} is not there; see {page}/tree/main for the files it has.")
    if status == 401 and "credentials" in headers.get("x-error-message", "").lower():
        return PermissionDeniedError(
            "The hub does not know the token that was sent; set HF_TOKEN to a valid one, or unset it and log out "
            "with 'hf auth logout'."
        )
    if repository and (code == "RepoNotFound" or status in {401, 404}):
        if status == 401:
            return ModelNotFoundError(
                f"'{repository}' does not exist on the hub, or is private: check the name, or set HF_TOKEN to a token "
                "that may read it, where the hive is started."
            )
        return ModelNotFoundError(
            f"'{repository}' does not exist on the hub, or the token may not see it; check the name and HF_TOKEN."
        )
    if status == 429:
        wait = _wait(headers)
        return UnavailableError(
            f"The hub has had too many requests from here (HTTP 429); try again in {wait} s. With HF_TOKEN set it "
            "allows more.",
            retry_after_s=wait,
        )
    if status == 408 or status >= 500:
        return UnavailableError(
            f"The hub at {_shown_endpoint()} has trouble (HTTP {status}); try again later.",
            retry_after_s=_wait(headers),
        )
    if status in {401, 403}:
        return PermissionDeniedError(f"The hub does not give out {what} (HTTP {status}); check HF_TOKEN and {page}.")
    return UnreachableError(
        f"The hub at {_shown_endpoint()} refused {what} with HTTP {status}; check HF_ENDPOINT and the name."
    )


def silence(reason: str) -> UnreachableError:
    """The error for a hub that does not answer."""
    return UnreachableError(
        f"The hub at {_shown_endpoint()} does not answer: {reason}. Check the network, the proxy and HF_ENDPOINT, or "
        "set HF_HUB_OFFLINE=1 to use what its cache has."
    )


def nonsense(what: str, reason: str) -> UnreachableError:
    """The error for an answer that cannot be read."""
    return UnreachableError(
        f"The answer of {_shown_endpoint()} about {what} cannot be used: {reason}. Check that HF_ENDPOINT is a hub."
    )


def forbidden(variable: str, what: str) -> UnreachableError:
    """The error where a request would be needed and none may be made."""
    return UnreachableError(
        f"{variable} is set and {what} is not in the hub's cache '{cache_folder()}'; unset {variable} to fetch it."
    )


def _wait(headers: Mapping[str, str]) -> int:
    text = headers.get("retry-after", "").strip()
    # The hub itself tells it as ``RateLimit: "api";r=0;t=55``.
    found = _SECONDS.fullmatch(text) or _LIMIT.search(headers.get("ratelimit", ""))
    return min(int(found[1]), _LONGEST_WAIT_S) if found else WAIT_S


def _shown_endpoint() -> str:
    try:
        return endpoint()
    except ConfigurationError:
        return ENDPOINT


def _begun(what: str) -> str:
    return what[:1].upper() + what[1:]
