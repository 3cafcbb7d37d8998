"""Where other programs of this machine keep their models, by their own environment variables."""

from __future__ import annotations

import os
from pathlib import Path


def hub_caches() -> tuple[Path, ...]:
    """The cache of the hub's library."""
    if named := _named("HF_HUB_CACHE"):
        return named
    home = _named("HF_HOME") or tuple(cache / "huggingface" for cache in _named("XDG_CACHE_HOME"))
    return tuple(folder / "hub" for folder in home or _at_home(".cache/huggingface"))


def lm_studio_folders() -> tuple[Path, ...]:
    """Folders in which LM Studio keeps models, of its newer and its older editions."""
    return _named("LMSTUDIO_MODELS") or _at_home(".lmstudio/models", ".cache/lm-studio/models")


def ollama_stores() -> tuple[Path, ...]:
    """Ollama's store, of this user and of the service that its installer sets up."""
    return _named("OLLAMA_MODELS") or (*_at_home(".ollama/models"), Path("/usr/share/ollama/.ollama/models"))


def _named(variable: str) -> tuple[Path, ...]:
    value = os.environ.get(variable)
    if not value:
        return ()
    try:
        return (Path(value).expanduser().absolute(),)
    except (OSError, RuntimeError, ValueError):
        return ()


def _at_home(*places: str) -> tuple[Path, ...]:
    try:
        home = Path.home()
    except RuntimeError:
        return ()
    return tuple(home / place for place in places)
