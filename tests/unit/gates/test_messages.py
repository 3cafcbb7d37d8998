"""What crosses the line is on the other side what it was."""

from __future__ import annotations

import msgspec
import pytest
from rbee.contract.errors import (
    ContextLengthError,
    InvalidRequestError,
    ModelNotFoundError,
    NoPlacementError,
    QueueFullError,
    RbeeError,
    WorkerFailedError,
)
from rbee.gates.messages import FromQueen, Refused, error_of, refusal


@pytest.mark.parametrize(
    "error",
    [
        ModelNotFoundError("There is no model 'x'."),
        InvalidRequestError("No.", param="model"),
        ContextLengthError("Too long.", param="messages", details={"tokens": 9}),
        NoPlacementError("Nowhere.", retry_after_s=7, details={"reasons": {"h1": "full"}}),
        QueueFullError("Full.", retry_after_s=1),
        WorkerFailedError("Dead."),
        RbeeError("Odd."),
    ],
)
def test_an_error_crosses_the_line_with_all_that_clients_are_told(error: RbeeError) -> None:
    sent = msgspec.msgpack.encode(refusal(4, error))
    told = msgspec.msgpack.decode(sent, type=FromQueen)
    assert isinstance(told, Refused)
    again = error_of(told)
    assert type(again) is type(error)
    assert (again.code, again.message, again.details) == (error.code, error.message, error.details)
    for name in ("param", "retry_after_s"):
        assert getattr(again, name, None) == getattr(error, name, None)


def test_an_error_of_a_later_version_is_told_as_unexpected() -> None:
    told = Refused(number=1, code="NEVER_HEARD_OF", message="hm", details={}, param=None, retry_after_s=None)
    assert (error_of(told).code, error_of(told).message) == ("INTERNAL", "hm")
