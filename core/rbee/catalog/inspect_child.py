"""The process that looks into a model's files, started by its path for one file and ended after it.

It is given little: memory, time and open files are limited before anything is read, and nothing is loaded but what
reads the heads.
"""

from __future__ import annotations

import contextlib
import resource
import sys
from pathlib import Path
from types import ModuleType

MEMORY_BYTES = 512 << 20
CPU_S = 15
OPEN_FILES = 32
LARGEST_INQUIRY = 16 << 20
PLAIN_PACKAGES = ("rbee.contract", "rbee.catalog")
"""Loaded without their own first lines, which would load most of the program."""


def limit() -> None:
    """Bound what this process may take; where the system knows a limit not, it goes without."""
    for what, most in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_CPU, CPU_S),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(what, (most, most))


def main(folders: list[str]) -> None:
    """Answer the one question that comes on the standard input.

    Args:
        folders: where rbee and what it needs are found; rbee's own is the first.
    """
    limit()
    sys.path.extend(folders)
    for name in PLAIN_PACKAGES:
        package = ModuleType(name)
        package.__path__ = [str(Path(folders[0], *name.split(".")))]
        sys.modules[name] = package
    # Decoding does without it, and it takes longer to load than all the rest.
    sys.modules["typing_extensions"] = None  # type: ignore[assignment]
    import msgspec

    from rbee.catalog.inspection_wire import Finding, Inquiry, find

    try:
        inquiry = msgspec.json.decode(sys.stdin.buffer.read(LARGEST_INQUIRY), type=Inquiry)
        answer = msgspec.json.encode(find(inquiry))
    except MemoryError:
        answer = msgspec.json.encode(Finding(error="The memory for looking into the model's files was used up."))
    sys.stdout.buffer.write(answer)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
