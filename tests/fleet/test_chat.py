"""`rbee chat` on a terminal."""

import pytest
from fleet.terminal import Terminal
from rbee.testing.colony import eventually


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
