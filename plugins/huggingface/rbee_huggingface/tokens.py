"""The token that is sent to the hub, and to nobody else."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from rbee.contract.errors import ConfigurationError

from rbee_huggingface.environment import is_on, token_file
from rbee_huggingface.library import library

VARIABLES: Final = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")

_LONGEST: Final = 4096


def token() -> str | None:
    """The token, in the order in which the hub's library looks for one; None when there is none, or none is wanted.

    Raises:
        ConfigurationError: what should be the token cannot be one, or cannot be read.
        PluginError: the library is missing.
    """
    if is_on("HF_HUB_DISABLE_IMPLICIT_TOKEN"):
        return None
    if not os.environ.get("HF_OIDC_RESOURCE"):
        for name in VARIABLES:
            if text := os.environ.get(name, "").strip():
                return _checked(text, name)
    path = token_file()
    found = library()
    if not os.environ.get("HF_OIDC_RESOURCE") and path != Path(found.constants.HF_TOKEN_PATH):
        # The variables were changed after the library was imported, so that it would look elsewhere.
        return _stored(path)
    try:
        # Also renews a token that has run out, where the login allows it.
        text = found.get_token()
    except Exception as error:
        raise ConfigurationError(
            f"The hub's token cannot be had ({type(error).__name__}); log in with 'hf auth login', or set HF_TOKEN."
        ) from error
    return _checked(text, str(path)) if text else None


def authorization() -> tuple[tuple[str, str], ...]:
    """The header with the token, when there is one.

    Raises:
        ConfigurationError, PluginError: as `token` does.
    """
    found = token()
    return () if found is None else (("Authorization", f"Bearer {found}"),)


def _stored(path: Path) -> str | None:
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(_LONGEST + 1).strip()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"The hub's token in '{path}' cannot be read; log in again with 'hf auth login'."
        ) from error
    return _checked(text, str(path)) if text else None


def _checked(text: str, where: str) -> str:
    if len(text) > _LONGEST or not text.isascii() or not text.isprintable() or " " in text:
        raise ConfigurationError(f"What stands in '{where}' is no token; set HF_TOKEN to one from the hub's settings.")
    return text
