"""Errors in HTTP's terms."""

from __future__ import annotations

import json

import pytest
from rbee.contract.errors import (
    AuthenticationError,
    InvalidRequestError,
    ModelNotFoundError,
    QueueFullError,
    RbeeError,
)
from rbee.http.errors import openai_error, public_error, render


def test_the_control_envelope() -> None:
    answer = render(ModelNotFoundError("no 'm'", details={"near": "n"}), openai=False, correlation_id="req-1")
    assert answer.status == 404
    assert json.loads(answer.body) == {
        "error": {"code": "MODEL_NOT_FOUND", "message": "no 'm'", "details": {"near": "n"}, "correlation_id": "req-1"}
    }
    assert dict(answer.headers)[b"x-request-id"] == b"req-1"
    assert int(dict(answer.headers)[b"content-length"]) == len(answer.body)


def test_the_openai_envelope() -> None:
    answer = render(InvalidRequestError("bad", param="top_p"), openai=True)
    assert json.loads(answer.body) == {
        "error": {"message": "bad", "type": "invalid_request_error", "param": "top_p", "code": "invalid_request"}
    }


def test_a_missing_model_is_the_models_fault() -> None:
    assert openai_error(ModelNotFoundError("no"))["error"]["param"] == "model"


def test_what_may_work_later_says_when() -> None:
    assert dict(render(QueueFullError("full", retry_after_s=9), openai=True).headers)[b"retry-after"] == b"9"


def test_a_missing_token_says_how_to_bring_it() -> None:
    answer = render(AuthenticationError("who"), openai=False)
    assert answer.status == 401
    assert b"Bearer" in dict(answer.headers)[b"www-authenticate"]


def test_the_unexpected_is_logged_and_not_told(caplog: pytest.LogCaptureFixture) -> None:
    told = public_error(ValueError("secret"), where="GET /x")
    assert (told.code, render(told, openai=False).status) == ("INTERNAL", 500)
    assert "secret" not in told.message
    assert "secret" in caplog.text


def test_what_was_raised_on_purpose_stays() -> None:
    error = RbeeError("on purpose")
    assert public_error(error, where="x") is error
