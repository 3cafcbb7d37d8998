"""Finding, fencing and registering plugins."""

from rbee.plugins.engines import engine_info, unusable
from rbee.plugins.hints import install_hint
from rbee.plugins.loader import Plugins, load_plugins
from rbee.plugins.record import PluginRecord
from rbee.plugins.registrations import Registrations

__all__ = ["PluginRecord", "Plugins", "Registrations", "engine_info", "install_hint", "load_plugins", "unusable"]
