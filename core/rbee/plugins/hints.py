"""What to install for something that is missing."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, metadata

_OWN = "rbee"


def install_hint(model_format: str) -> str | None:
    """The command that brings an engine for a model format; None when no extra of rbee is named after it.

    Core knows no engine: the distribution has an extra a format, and its metadata lists them.
    """
    try:
        extras = metadata(_OWN).get_all("Provides-Extra") or []
    except PackageNotFoundError:
        return None
    return f"pip install '{_OWN}[{model_format}]'" if model_format in extras else None
