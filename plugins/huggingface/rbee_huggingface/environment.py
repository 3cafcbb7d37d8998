"""The hub's variables, read when they are needed: its own library reads them once, as it is imported."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from rbee.contract.errors import ConfigurationError

ENDPOINT: Final = "https://huggingface.co"
HOSTS: Final = frozenset({"hf.co", "huggingface.co", "www.huggingface.co"})
OFFLINE: Final = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")

_TRUE: Final = frozenset({"1", "ON", "YES", "TRUE"})


def is_on(name: str) -> bool:
    """Whether a variable is switched on."""
    return os.environ.get(name, "").strip().upper() in _TRUE


def offline() -> str | None:
    """The variable that forbids every request; None when none does."""
    return next((name for name in OFFLINE if is_on(name)), None)


def endpoint() -> str:
    """Address of the hub, without a slash at its end.

    Raises:
        ConfigurationError: ``HF_ENDPOINT`` is no address.
    """
    text = os.environ.get("HF_ENDPOINT", "").strip().rstrip("/") or ENDPOINT
    try:
        split = urlsplit(text)
        good = split.scheme in {"http", "https"} and bool(split.hostname) and split.port != 0
    except ValueError:
        good = False
    if not good or split.query or split.fragment or not text.isprintable() or " " in text:
        raise ConfigurationError("HF_ENDPOINT is no address; set it as 'https://hub.example', or unset it.")
    if "@" in split.netloc:
        raise ConfigurationError("HF_ENDPOINT holds a login; set it without one, and HF_TOKEN to a token.")
    return text


def hosts() -> frozenset[str]:
    """Hosts by which people name the hub.  Never raises."""
    try:
        own = urlsplit(endpoint()).netloc.lower()
    except ConfigurationError:
        return HOSTS
    return HOSTS | {own}


def home() -> Path:
    """Folder of the hub's library."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path("~", ".cache")) / "huggingface"
    return _path(os.environ.get("HF_HOME") or str(default))


def cache_folder() -> Path:
    """Folder in which the hub's library, and programs that use it, keep what they have fetched."""
    named = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    return _path(named) if named else home() / "hub"


def token_file() -> Path:
    """Where the hub's library keeps the token of somebody who has logged in."""
    named = os.environ.get("HF_TOKEN_PATH")
    return _path(named) if named else home() / "token"


def _path(text: str) -> Path:
    expanded = os.path.expandvars(text)
    try:
        return Path(expanded).expanduser()
    except RuntimeError:
        # A home folder of nobody.
        return Path(expanded)
