"""Components of the colony as this machine last saw them in the registry: what is left when it is away."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

import msgspec

from rbee.contract.wire import Component
from rbee.settings import Folders


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """A list and its age.

    Attributes:
        saved_at: Unix time.
        registry_url: whose list it was.
        components: everything with a lease then.
    """

    saved_at: float
    registry_url: str
    components: tuple[Component, ...]

    @property
    def age_s(self) -> float:
        """Seconds since it was seen."""
        return max(0.0, time.time() - self.saved_at)


class KnownFile:
    """The file with the list, for this user alone.

    Args:
        folders: of the home.
    """

    def __init__(self, folders: Folders) -> None:
        self.path: Path = folders.state / "components.json"

    def save(self, registry_url: str, components: list[Component]) -> None:
        """Replace the list, whole; silent when that cannot be done, as nothing depends on it now."""
        known = Known(saved_at=time.time(), registry_url=registry_url, components=tuple(components))
        staged = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        with contextlib.suppress(OSError):
            # This may be the first that runs here.
            self.path.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
            try:
                with open(staged, "wb", opener=_private) as file:
                    file.write(msgspec.json.encode(known))
                staged.replace(self.path)
            finally:
                staged.unlink(missing_ok=True)

    def load(self) -> Known | None:
        """The list; None when there is none that can be read."""
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=Known)
        except (OSError, msgspec.DecodeError):
            return None


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)
