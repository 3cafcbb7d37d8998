"""What went wrong in a library, in rbee's errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rbee.contract.errors import EngineUnavailableError, InsufficientMemoryError, ModelFileError, RbeeError

from rbee_exllamav2.options import Plan

LONGEST = 400
_MEMORY = ("out of memory", "insufficient vram", "insufficient space in device allocation")


@contextmanager
def importing(engine: str) -> Iterator[None]:
    """Around the import of a library.

    Raises:
        EngineUnavailableError: it failed, in whichever of its many ways.
    """
    try:
        yield
    except Exception as error:
        raise EngineUnavailableError(
            f"engine '{engine}' cannot run here: its library cannot be imported: {said(error)}; "
            "check that PyTorch, the CUDA toolkit and the driver belong together"
        ) from error


@contextmanager
def loading(plan: Plan) -> Iterator[None]:
    """Around a load.

    Raises:
        InsufficientMemoryError: the memory of the cards did not do.
        ModelFileError: anything else, with what the library said.
    """
    try:
        yield
    except RbeeError:
        raise
    except Exception as error:
        words = said(error)
        if type(error).__name__ == "OutOfMemoryError" or any(hint in words.lower() for hint in _MEMORY):
            raise InsufficientMemoryError(
                f"model '{plan.folder}' does not fit the memory of GPU {', '.join(map(str, plan.gpus))}: {words}. "
                "Take fewer bits, a shorter context, fewer slots or cache_type=Q4."
            ) from error
        raise ModelFileError(
            f"model '{plan.folder}' cannot be loaded: {words}. Fetch it again, or take an engine that knows it."
        ) from error


def said(error: Exception) -> str:
    """The words of an exception, in a line, or its type's name where it has none."""
    return " ".join(str(error).split())[:LONGEST].rstrip(".") or type(error).__name__
