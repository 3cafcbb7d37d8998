"""The first moments of the command."""

from __future__ import annotations

import subprocess
import sys

LIGHT = """
import sys
import rbee.cli.start
print(sorted({name.partition(".")[0] for name in sys.modules} & {"click", "msgspec", "rich", "httpx2", "asyncio"}))
"""

INTERRUPTED = """
import sys
from rbee.cli.start import main

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "click":
            raise KeyboardInterrupt
        return None

sys.meta_path.insert(0, Finder())
main()
"""


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)


def test_the_entry_loads_nothing_large_before_it_heeds_an_interrupt() -> None:
    assert python(LIGHT).stdout == "[]\n"


def test_an_interrupt_while_the_command_is_loaded_is_a_line_and_130() -> None:
    done = python(INTERRUPTED)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "rbee: Interrupted.\n")
