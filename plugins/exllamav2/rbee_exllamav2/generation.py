"""The seam between the adapter and the two libraries."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from rbee.contract import StageReport
from rbee.contract.token_engine import TokenRequest

Result = Mapping[str, Any]
"""What a generator tells of a job after an iteration; both libraries list the keys at their `iterate`."""


class Drawn(msgspec.Struct, frozen=True):
    """A token of an answer.

    Attributes:
        token: its id.
        logprob: natural logarithm of its probability, before sampling parameters; None where not asked for.
        top: the likeliest tokens with theirs, likeliest first.
    """

    token: int
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()


class Generation(ABC):
    """A loaded model in one of the libraries; everything in it belongs to the engine's thread.

    Attributes:
        generator: the library's, with `enqueue`, `cancel` and `iterate`.
        context_length: tokens of prompt and answer, a request.
        slots: requests that it computes at the same time.
    """

    generator: Any
    context_length: int
    slots: int

    @abstractmethod
    def job(self, request: TokenRequest) -> Any:
        """The library's job for a request; its results carry the request's id as ``identifier``."""

    @abstractmethod
    def cached(self, job: Any) -> int:
        """Tokens of the prompt of a job, whose first token has come, that were taken from the cache."""

    @abstractmethod
    def drawn(self, part: Result, request: TokenRequest) -> Sequence[Drawn]:
        """The tokens in a result, or in the part of it that was held back."""

    @abstractmethod
    def prepare(self) -> None:
        """Called before each iteration."""

    @abstractmethod
    def forget(self, request_id: str) -> None:
        """A job has ended or was cancelled; unknown ones are ignored."""

    @abstractmethod
    def close(self) -> None:
        """Release the memory."""


def parts_of(result: Result) -> Iterator[Result]:
    """The parts of a result that hold tokens, in order.

    Tokens whose characters are not complete are held back by the libraries, and so is the one that ends an answer: the
    last result of a job tells them under ``held``.
    """
    yield result
    if result.get("held"):
        yield result["held"]


def ids_of(part: Result) -> list[int]:
    """Tokens in a part of a result, which a library gives as a tensor of shape (1, n)."""
    found = part.get("token_ids")
    return [] if found is None else [int(token) for token in found.tolist()[0]]


class Progress:
    """Tells of a load a tenth at a time; a library calls it after every module."""

    def __init__(self, report: StageReport, what: str) -> None:
        self._report = report
        self._what = what
        self._told = -1

    def __call__(self, done: int, total: int) -> None:
        """`done` of `total` modules are there."""
        tenth = 10 * done // total if total else 0
        if tenth > self._told:
            self._told = tenth
            self._report(f"{self._what}: {done} of {total} parts")
