"""Exit codes, and the one place where an error becomes a line.

0 done, 1 failed, 2 wrong usage, 3 no colony is running, 130 interrupted.
"""

from __future__ import annotations

import errno
import os
import sys

import click

from rbee.cli.format import line
from rbee.contract.errors import CancelledByCallerError, RbeeError

OK, FAILED, USAGE, NOT_RUNNING, INTERRUPTED = 0, 1, 2, 3, 130


class NotRunningError(RbeeError):
    """A command needs a colony, and none runs."""


def run_and_exit(command: click.Command) -> int:
    """Run a command line and return its exit code; unknown exceptions keep their traceback."""
    try:
        result = command.main(standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return USAGE
    except click.UsageError as error:
        hint = f" Try '{error.ctx.command_path} --help'." if error.ctx is not None else ""
        _say(f"{error.format_message().rstrip()}{hint}")
        return USAGE
    except click.ClickException as error:
        _say(error.format_message())
        return FAILED
    except NotRunningError as error:
        _say(error.message)
        return NOT_RUNNING
    except (KeyboardInterrupt, click.Abort, CancelledByCallerError):
        _say("Interrupted.")
        return INTERRUPTED
    except RbeeError as error:
        _say(error.message)
        return FAILED
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EIO} and error.filename is None:
            _to_nowhere()
            _say(f"Standard output cannot be written: {error.strerror}.")
            return FAILED
        if not isinstance(error, BrokenPipeError):
            raise
        # The reader of a pipe has left; flushing at exit would complain once more.
        _to_nowhere()
        return FAILED
    return result if isinstance(result, int) else OK


def _to_nowhere() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _say(message: str) -> None:
    # Names of others stand in it, as those of the files of a repository.
    click.echo(f"rbee: {line(message)}", err=True)
