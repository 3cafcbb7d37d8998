"""Settings, folders and the colony's token: the only place that reads environment and configuration."""

from rbee.settings.folders import Folders
from rbee.settings.load import Loaded, load_settings
from rbee.settings.model import Settings
from rbee.settings.token import load_token

__all__ = ["Folders", "Loaded", "Settings", "load_settings", "load_token"]
