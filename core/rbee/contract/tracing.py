"""Traces of requests: what the gateway tells, whoever takes it in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from rbee.contract.wire import RequestRecord


class Trace(ABC):
    """One request under way.

    Attributes:
        header: ``traceparent`` for the worker.
            Format: https://www.w3.org/TR/trace-context/#traceparent-header
    """

    header: tuple[bytes, bytes]

    @abstractmethod
    def end(self, record: RequestRecord) -> None:
        """The request has ended."""


class Tracer(ABC):
    """Begins traces."""

    @abstractmethod
    def begin(self, headers: Sequence[tuple[bytes, bytes]]) -> Trace:
        """A request has come.

        Args:
            headers: the client's, names in lower case; its ``traceparent`` is the parent.
        """
