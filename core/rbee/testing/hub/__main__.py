"""``python -m rbee.testing.hub FOLDER``: serve the repositories ``ORG/NAME`` below a folder until interrupted."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path

from rbee.testing.hub.hub import MEMBER, Hub


def main(argv: list[str] | None = None) -> int:
    """Serve; the first line printed is the address.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(prog="python -m rbee.testing.hub", description="A stand-in for a model hub.")
    parser.add_argument("folder", type=Path, help="holds ORG/NAME/files")
    parser.add_argument("--port", type=int, default=0, help="a free one by default")
    parser.add_argument("--gated", action="append", default=[], metavar="ORG/NAME", help="its terms must be accepted")
    parser.add_argument("--private", action="append", default=[], metavar="ORG/NAME", help="seen with the token alone")
    options = parser.parse_args(argv)
    if not options.folder.is_dir():
        parser.error(f"there is no folder '{options.folder}'")
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: ended.set())
    with Hub(port=options.port) as hub:
        names = hub.add_folder(options.folder)
        for name in (*options.gated, *options.private):
            hub.add(name, {}, gated="manual" if name in options.gated else False, private=name in options.private)
        sys.stdout.write(f"{hub.url}\n")
        sys.stdout.flush()
        sys.stderr.write(f"serving {', '.join(names) or 'nothing'}; HF_TOKEN={MEMBER} may see everything\n")
        try:
            ended.wait()
        except KeyboardInterrupt:
            sys.stderr.write("stopped\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
