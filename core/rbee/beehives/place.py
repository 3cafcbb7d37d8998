"""Where the registry of beehives is kept."""

from __future__ import annotations

from rbee.settings import Folders, Settings
from rbee.storage import file_url


def data_base_url(settings: Settings, folders: Folders) -> str:
    """The setting ``queen.beehives_url``, else the file ``beehives.db`` of this home."""
    return settings.queen.beehives_url or file_url(folders.home / "beehives.db")
