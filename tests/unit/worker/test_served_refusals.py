"""A stranger's refusal means by its status what it means, whatever code it carries."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from rbee.contract.errors import (
    InvalidRequestError,
    RateLimitedError,
    RbeeError,
    RequestTimeoutError,
    UnavailableError,
    WorkerFailedError,
)
from rbee.http.errors import STATUS_BY_CODE
from rbee.worker.served_refusals import refused


def told(status: int, body: str = "", *headers: tuple[bytes, bytes]) -> RbeeError:
    return refused(status, headers, body.encode(), worker_id="w", address="box:8000")


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (401, '{"error": {"message": "bad key", "code": "invalid_api_key"}}', WorkerFailedError, "bad key"),
        (403, "", WorkerFailedError, "without saying why"),
        (404, '{"error": "no model."}', WorkerFailedError, "answered 404: no model. "),
        (408, "{}", RequestTimeoutError, "answered 408"),
        (429, '{"message": "slow down"}', RateLimitedError, "slow down"),
        (500, "\xff", WorkerFailedError, "answered 500"),
        (502, "[" * 100_000, WorkerFailedError, "without saying why"),
        (503, "[1]", UnavailableError, "without saying why"),
    ],
)
def test_who_refused_and_why_and_what_to_do_next_is_told(
    status: int, body: str, kind: type[RbeeError], words: str
) -> None:
    error = told(status, body)
    assert type(error) is kind
    assert "The server at box:8000 that worker 'w' asks answered" in error.message
    assert words in error.message
    assert any(step in error.message for step in ("rbee server add", "rbee logs w", "again"))


@pytest.mark.parametrize("status", [401, 403])
def test_credentials_that_do_not_do_are_the_workers_and_never_the_callers(status: int) -> None:
    error = told(status, '{"error": {"message": "no", "code": "invalid_api_key"}}')
    assert STATUS_BY_CODE[error.code] >= 500
    assert "--key-stdin" in error.message


@pytest.mark.parametrize("status", [400, 413, 422])
@pytest.mark.parametrize(
    "body",
    [
        '{"error": {"message": "too long", "code": "invalid_api_key"}}',
        '{"detail": "too long"}',
        '{"error": "too long"}',
    ],
)
def test_what_the_caller_did_wrong_is_told_in_the_servers_words(status: int, body: str) -> None:
    error = told(status, body)
    assert (type(error), error.message) == (InvalidRequestError, "too long")


def test_a_refusal_without_words_is_told_with_its_status() -> None:
    assert "answered 400 without saying why" in told(400, "<html>").message


@pytest.mark.parametrize("status", [429, 503])
def test_when_to_ask_again_is_passed_on(status: int) -> None:
    def wait_s(text: str) -> int:
        error = told(status, "{}", (b"retry-after", text.encode()))
        assert isinstance(error, UnavailableError)
        assert STATUS_BY_CODE[error.code] == status
        assert f"again in {error.retry_after_s} s" in error.message
        return error.retry_after_s

    assert (wait_s("17"), wait_s("0"), wait_s("soon")) == (17, 1, 5)
    assert 50 <= wait_s(format_datetime(datetime.now(UTC) + timedelta(minutes=1), usegmt=True)) <= 60
