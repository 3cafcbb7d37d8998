"""A command on a terminal of its own, as a person sees it."""

import contextlib
import os
import pty
import select
import struct
import subprocess
import sys
import time
from fcntl import ioctl
from termios import TIOCSWINSZ

# Control characters reach a command as signals only when the terminal is its session's own.
LEAD = (
    # A pytest in the background of a shell ignores Ctrl+C, and its children would too.
    "import fcntl, os, signal, sys, termios; signal.signal(signal.SIGINT, signal.SIG_DFL); "
    "fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, colony, *args, kind="dumb", columns=80):
        self.master, slave = pty.openpty()
        ioctl(slave, TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        self.seen = b""
        self.process = subprocess.Popen(
            [sys.executable, "-c", LEAD, *colony.argv(*args)],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**colony.environment, "TERM": kind},
            start_new_session=True,
        )
        os.close(slave)

    def type(self, text):
        os.write(self.master, text.encode())

    def expect(self, text, within=30.0):
        """Wait for text that comes after what was expected before."""
        deadline = time.monotonic() + within
        while text.encode() not in self.seen:
            ready = select.select([self.master], [], [], max(0.0, deadline - time.monotonic()))[0]
            assert ready, f"no {text!r} in {self.seen!r}"
            self.seen += os.read(self.master, 65536)
        self.seen = self.seen.partition(text.encode())[2]

    def interrupt_until(self, text):
        """Ctrl+C, once more if need be: a line editor misses one that comes between its prompt and its waiting."""
        for _ in range(10):
            self.type("\x03")
            with contextlib.suppress(AssertionError):
                self.expect(text, within=2)
                return
        raise AssertionError(f"no {text!r} after ten times Ctrl+C")

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)
