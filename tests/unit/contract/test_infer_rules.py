"""The bounds of a request for text."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from rbee.contract.errors import InvalidRequestError
from rbee.contract.infer_rules import validated
from rbee.contract.wire import InferRequest

GOOD = InferRequest(prompt="hi")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_tokens", 0),
        ("max_tokens", 1_000_001),
        ("temperature", -0.1),
        ("temperature", 5.1),
        ("temperature", float("nan")),
        ("top_p", 0.0),
        ("top_p", 1.1),
        ("top_k", -1),
        ("seed", 2**63),
        ("stop", ["x"] * 17),
        ("stop", [""]),
        ("stop", ["x" * 257]),
        ("messages", [{"role": "user", "content": "both"}]),
    ],
)
def test_a_field_out_of_bounds_is_named(field: str, value: Any) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        validated(msgspec.structs.replace(GOOD, **{field: value}))
    assert caught.value.param in {field, "prompt"}


@pytest.mark.parametrize("request_", [InferRequest(), InferRequest(messages=[])])
def test_there_must_be_something_to_answer(request_: InferRequest) -> None:
    with pytest.raises(InvalidRequestError):
        validated(request_)


@pytest.mark.parametrize(
    "more", [{"max_tokens": 1}, {"temperature": 0.0}, {"top_p": 1.0}, {"top_k": 0}, {"seed": -1}, {"stop": ["x"]}]
)
def test_the_bounds_themselves_are_allowed(more: dict[str, Any]) -> None:
    request = msgspec.structs.replace(GOOD, **more)
    assert validated(request) is request
