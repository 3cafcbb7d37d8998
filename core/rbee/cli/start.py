"""Entry of the ``rbee`` command; imports next to nothing, so that Ctrl+C is heeded while the rest is loaded."""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point of the console script and of ``python -m rbee``."""
    try:
        from rbee.cli.main import main as run

        run()
    except KeyboardInterrupt:
        # While something was being loaded, or while an ending was being told.
        sys.stderr.write("rbee: Interrupted.\n")
        sys.exit(130)
