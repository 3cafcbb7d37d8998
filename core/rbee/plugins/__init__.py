"""Finding, fencing and registering plugins."""

from rbee.plugins.engines import DESCRIBE_S, engine_info, engine_infos, late, unusable
from rbee.plugins.hints import install_hint
from rbee.plugins.loader import Plugins, load_plugins
from rbee.plugins.record import PluginRecord
from rbee.plugins.registrations import Registrations

__all__ = [
    "DESCRIBE_S",
    "PluginRecord",
    "Plugins",
    "Registrations",
    "engine_info",
    "engine_infos",
    "install_hint",
    "late",
    "load_plugins",
    "unusable",
]
