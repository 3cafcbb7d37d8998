"""Exit codes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
import pytest
from rbee.cli.exits import NotRunningError, run_and_exit
from rbee.contract.errors import CancelledByCallerError, ModelNotFoundError


def command(body: Callable[[], Any]) -> click.Command:
    return click.Command("hum", callback=body)


def raising(error: BaseException) -> click.Command:
    def body() -> None:
        raise error

    return command(body)


@pytest.fixture(autouse=True)
def no_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["rbee"])


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (ModelNotFoundError("no 'm'.\nTry another."), 1, "rbee: no 'm'. Try another.\n"),
        (ModelNotFoundError("no '\x1b]0;x\x07\u202e'"), 1, "rbee: no '?]0;x??'\n"),
        (NotRunningError("nothing runs"), 3, "rbee: nothing runs\n"),
        (CancelledByCallerError("x"), 130, "rbee: Interrupted.\n"),
        (KeyboardInterrupt(), 130, "Interrupted.\n"),
        (click.Abort(), 130, "Interrupted.\n"),
        (click.ClickException("bad"), 1, "rbee: bad\n"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_a_known_error_is_one_line_and_a_code(
    error: BaseException, code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_and_exit(raising(error)) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith(told)


def test_an_unknown_error_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        run_and_exit(raising(ZeroDivisionError()))


@pytest.mark.parametrize(("result", "code"), [(None, 0), (0, 0), (4, 4), ("text", 0)])
def test_a_result_that_is_a_number_is_the_code(result: Any, code: int) -> None:
    assert run_and_exit(command(lambda: result)) == code


@pytest.mark.parametrize("code", [0, 5])
def test_a_command_may_choose_its_code(code: int) -> None:
    assert run_and_exit(raising(click.exceptions.Exit(code))) == code


def test_wrong_usage_shows_where_help_is(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["rbee", "--wings"])
    assert run_and_exit(command(lambda: None)) == 2
    assert "--help" in capsys.readouterr().err
    monkeypatch.setattr("sys.argv", ["rbee"])
    assert run_and_exit(raising(click.UsageError("what?"))) == 2
    assert capsys.readouterr().err.startswith("rbee: what? Try ")
