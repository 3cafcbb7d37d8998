"""`rbee chat` on a terminal."""

import contextlib
import os
import pty
import select
import subprocess
import sys
import time

import pytest
from rbee.testing.colony import eventually

# Control characters reach a command as signals only when the terminal is its session's own.
LEAD = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, colony, *args):
        self.master, slave = pty.openpty()
        self.seen = b""
        self.process = subprocess.Popen(
            [sys.executable, "-c", LEAD, *colony.argv(*args)],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**colony.environment, "TERM": "dumb"},
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


@pytest.fixture
def terminal(shared_colony):
    made = []

    def start(*args):
        made.append(Terminal(shared_colony, *args))
        return made[-1]

    yield start
    for one in made:
        one.close()


def test_two_turns_and_ctrl_d(terminal):
    chat = terminal("chat", "echo:chat")
    chat.expect("> ")
    chat.type("good morning\r")
    chat.expect("good morning")  # the terminal's own echo
    chat.expect("good morning")
    chat.expect("> ")
    chat.type("good evening\r")
    chat.expect("good evening")
    chat.expect("good evening")
    chat.expect("> ")
    chat.type("\x04")
    assert chat.process.wait(20) == 0


def test_ctrl_c_stops_the_answer_and_not_the_conversation(terminal, shared_colony):
    chat = terminal("chat", "echo:slow?tokens=2000")
    chat.expect("> ")
    chat.type("word\r")
    chat.expect("word word")
    worker = shared_colony.worker("echo:slow?tokens=2000")
    chat.type("\x03")
    chat.expect("Stopped.")
    eventually(lambda: shared_colony.worker_info(worker)["slots_available"] == worker["slots_total"], 1)
    chat.expect("> ")
    chat.interrupt_until("Ctrl+D ends.")
    chat.type("again\r")
    chat.expect("again again")
    chat.type("\x03")
    chat.expect("Stopped.")
    chat.expect("> ")
    chat.type("\x04")
    assert chat.process.wait(20) == 0


def test_an_answer_that_fails_does_not_end_the_conversation(terminal):
    chat = terminal("chat", "echo:no?fail=load")
    chat.expect("> ")
    chat.type("hello\r")
    chat.expect("rbee: ")
    chat.expect("fail=load")
    chat.expect("> ")
    chat.type("\x04")
    assert chat.process.wait(20) == 0


def test_on_a_terminal_run_shows_what_it_does_and_leaves_the_answer_alone(terminal):
    run = terminal("run", "echo:shown", "here it is")
    run.expect("here it is\r\n")
    assert run.process.wait(20) == 0


def test_from_a_pipe_each_line_is_a_turn(shared_colony):
    done = shared_colony.cli("chat", "echo:chat", stdin="one\ntwo\n")
    assert (done.returncode, done.stdout) == (0, "one\ntwo\n")
