"""``python -m rbee.plugins``: what is installed, as a program that starts now sees it, as one JSON document.

A running hive asks this way after something was installed or removed: modules that it has loaded stay as they were.
"""

from __future__ import annotations

import os
import sys

import msgspec

from rbee.plugins.engines import engine_info
from rbee.plugins.loader import load_plugins


def main() -> None:
    """Print ``{"plugins": [PluginRecord], "engines": [EngineInfo]}``."""
    # Whatever a plugin prints while it loads must not end up in the document.
    out, sys.stdout = sys.stdout, sys.stderr
    plugins = load_plugins(os.environ.get("RBEE_PLUGINS"))
    engines = [engine_info(cls) for cls in plugins.registrations.engines.things()]
    document = {"plugins": plugins.records, "engines": engines}
    out.write(msgspec.json.encode(document).decode() + "\n")


if __name__ == "__main__":
    main()
