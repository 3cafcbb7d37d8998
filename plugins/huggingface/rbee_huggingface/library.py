"""The hub's own library, imported when it is needed: the plugin is listed and answers names without it."""

from __future__ import annotations

from types import ModuleType
from typing import Any, Final

from rbee.contract.errors import PluginError

INSTALL: Final = "pip install 'huggingface_hub>=1.0,<3'"


def library() -> ModuleType:
    """The library.

    Raises:
        PluginError: it is not installed, or cannot be imported.
    """
    try:
        import huggingface_hub.constants
        import huggingface_hub.errors
        import huggingface_hub.utils
    except ImportError as error:
        raise PluginError(
            f"Vendor 'huggingface' cannot import the library 'huggingface_hub' ({error}); {INSTALL}"
        ) from error
    return huggingface_hub


def session() -> Any:
    """The library's HTTP client, with the proxies and certificates of the environment, shared with all who use it.

    Raises:
        PluginError: the library is missing.
    """
    return library().utils.get_session()


def line_error() -> type[Exception]:
    """What the client raises when a request fails on the way.

    Version 1 of the library stands on one HTTP library and version 2 on another: the base of its own error tells
    on which.

    Raises:
        PluginError: the library is missing.
    """
    bases: tuple[type[Exception], ...] = library().errors.HfHubHTTPError.__mro__
    return next(base for base in bases if base.__module__.partition(".")[0].startswith("httpx"))
