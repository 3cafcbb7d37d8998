"""``python -m rbee.plugins``: what is installed, as a program that starts now sees it, as one JSON document.

A running hive asks this way after something was installed or removed: modules that it has loaded stay as they were.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import BinaryIO

import msgspec

from rbee.plugins.engines import engine_infos
from rbee.plugins.loader import load_plugins

_STDOUT, _STDERR = 1, 2


def main() -> None:
    """Print ``{"plugins": [PluginRecord], "engines": [EngineInfo]}``."""
    with _stdout_of_our_own() as out:
        plugins = load_plugins(os.environ.get("RBEE_PLUGINS"))
        engines = engine_infos(plugins.registrations.engines.things())
        out.write(msgspec.json.encode({"plugins": plugins.records, "engines": engines}) + b"\n")


@contextlib.contextmanager
def _stdout_of_our_own() -> Iterator[BinaryIO]:
    """Where the document goes; whatever plugins print, their libraries in C included, goes to stderr instead."""
    sys.stdout.flush()
    with os.fdopen(os.dup(_STDOUT), "wb") as out:
        os.dup2(_STDERR, _STDOUT)
        sys.stdout = sys.stderr
        yield out


if __name__ == "__main__":
    main()
