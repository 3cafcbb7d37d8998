"""How what is wrong with a file is told."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from rbee.contract.errors import ModelFileError

FETCH_AGAIN = "fetch it again, or check what it is"


def shown(name: str) -> str:
    """A file's name for a message: spelt out when it holds what cannot be shown, or could not be sent."""
    return name if name.isprintable() else name.encode("unicode_escape").decode("ascii")


def refusal(name: str, reason: str, remedy: str = FETCH_AGAIN) -> ModelFileError:
    """The error of a file that cannot be used.

    Args:
        name: of the file.
        reason: what is wrong, after "it".
        remedy: what to do next.
    """
    return ModelFileError(f"model file '{shown(name)}' cannot be used: it {reason}; {remedy}")


def truncated(name: str, size: int, needed: int) -> ModelFileError:
    """The error of a file that is shorter than its own head says."""
    return ModelFileError(f"model file '{shown(name)}' is truncated: {size} bytes, needs {needed}; fetch it again")


@contextmanager
def only_refusals(name: str) -> Iterator[None]:
    """Whatever goes wrong inside becomes a `ModelFileError` that names the file.

    Args:
        name: of the file or folder.

    Raises:
        ModelFileError: instead of any other error.
    """
    try:
        yield
    except OSError as error:
        raise ModelFileError(
            f"model file '{shown(name)}' cannot be read: {error.strerror or error}; check its permissions and the disk"
        ) from error
    except (MemoryError, RecursionError) as error:
        raise refusal(name, f"asks for more than may be spent on reading its head ({type(error).__name__})") from error
    except (msgspec.MsgspecError, struct.error, ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise refusal(name, f"is damaged ({error})") from error
