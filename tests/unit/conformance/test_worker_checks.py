"""The checks of a worker: a sound one passes them, and each of some broken ones is caught by the right one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rbee.conformance import CHECKS, Http, Limits, Subject, as_json_bytes, as_junit, run
from rbee.contract.errors import AuthenticationError, UnreachableError
from rbee.worker.host import WorkerHost
from rbee.worker.tokens import requests
from rbee.worker.tokens.openai import Usage
from rbee.worker.tokens.scheduler import Scheduler
from unit.conformance.parrot import TOKEN, worker

pytestmark = pytest.mark.filterwarnings("ignore::litestar.exceptions.LitestarDeprecationWarning")

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "conformance.md"


async def looked_at(url: str, *wanted: str, token: str | None = TOKEN):
    """The report on a worker; of all checks where none is named."""
    http = Http(url, token, 30)
    subject = Subject(http, Limits(check_s=30, cancel_s=1), may_end=True)
    checks = [check for check in CHECKS if not wanted or check.id in wanted]
    assert len(checks) == (len(wanted) or len(CHECKS))
    try:
        return await run(subject, checks)
    finally:
        await http.close()


def broken(report) -> set[str]:
    return {one.id for one in report.outcomes if one.verdict == "broken"}


async def test_a_sound_worker_keeps_every_promise_that_applies():
    async with worker() as url:
        report = await looked_at(url)
    assert not broken(report), [one.detail for one in report.outcomes if one.verdict == "broken"]
    assert report.count("kept") >= 45
    skipped = {one.id for one in report.outcomes if one.verdict == "skipped"}
    assert {one.partition("-")[2].partition("-")[0] for one in skipped} <= {
        "LOGPROBS",
        "TOOLS",
        "JSON",
        "EMBED",
        "RERANK",
    }
    assert (report.worker_id, report.implementation, report.model_id) == ("w", "parrot", "parrot:p")
    told = msgspec.json.decode(as_json_bytes(report))
    assert len(told["checks"]) == len(CHECKS)
    assert as_junit(report).count(b"<testcase") == len(CHECKS)


def rewriting(pattern: bytes, put: bytes, *, kind: bytes = b""):
    """Puts something in the place of some bytes in everything that a worker sends as that type of content."""

    def wrap(app):
        async def broken_app(scope, receive, send):
            sent = b""

            async def rewritten(message):
                nonlocal sent
                sent = dict(message.get("headers", ())).get(b"content-type", sent)
                if message.get("body") and sent.startswith(kind):
                    message = {**message, "body": re.sub(pattern, put, message["body"])}
                await send(message)

            await app(scope, receive, rewritten)

        return broken_app

    return wrap


async def test_a_wrong_last_event_is_caught():
    async with worker(rewriting(b'"type":"end"', b'"type":"finished"')) as url:
        assert broken(await looked_at(url, "W-STREAM-1", "W-STREAM-2", "W-STREAM-3")) == {"W-STREAM-2"}


async def test_split_characters_are_caught():
    # Each byte of a character as a client sees it that comes in a piece of its own.
    splitting = rewriting(rb"[\x80-\xff]", "\N{REPLACEMENT CHARACTER}".encode(), kind=b"text/event-stream")
    async with worker(splitting) as url:
        assert broken(await looked_at(url, "W-STREAM-2", "W-STREAM-3", "W-STREAM-4")) == {"W-STREAM-4"}


async def test_a_worker_that_ignores_cancelling_is_caught(monkeypatch):
    monkeypatch.setattr(WorkerHost, "cancel", lambda self, request_id: None)
    async with worker() as url:
        found = broken(await looked_at(url, "W-CANCEL-1", "W-CANCEL-2", "W-CANCEL-3", "W-CANCEL-4"))
    assert found == {"W-CANCEL-2", "W-CANCEL-3"}


async def test_wrong_usage_is_caught(monkeypatch):
    told = Usage.told

    def wrong(self: Usage) -> dict[str, Any]:
        return told(msgspec.structs.replace(self, completion=self.completion + 1))

    monkeypatch.setattr(Usage, "told", wrong)
    async with worker() as url:
        assert broken(await looked_at(url, "W-CHAT-1", "W-CHAT-2", "W-CHAT-6")) == {"W-CHAT-6"}


async def test_a_parameter_that_is_dropped_is_caught(monkeypatch):
    monkeypatch.setattr(requests, "refuse_unsupported", lambda body, supported: None)
    async with worker() as url:
        assert broken(await looked_at(url, "W-PARAM-1", "W-PARAM-3")) == {"W-PARAM-3"}


async def test_a_slot_that_is_lost_is_caught(monkeypatch):
    monkeypatch.setattr(Scheduler, "cancel", lambda self, job: None)
    async with worker() as url:
        assert broken(await looked_at(url, "W-SLOTS-3", "W-SLOTS-4")) == {"W-SLOTS-4"}


async def test_a_worker_that_answers_after_its_end_is_caught():
    async with worker(ends=False) as url:
        assert broken(await looked_at(url, "W-END-1", "W-END-2")) == {"W-END-2"}


async def test_a_wrong_version_of_the_contract_is_caught():
    async with worker(rewriting(b'"contract_version":"0.3"', b'"contract_version":"9.9"')) as url:
        assert broken(await looked_at(url, "W-INFO-1", "W-INFO-2")) == {"W-INFO-2"}


async def test_who_is_not_there_or_wants_another_token_is_told_at_once():
    async with worker() as url:
        with pytest.raises(AuthenticationError, match="--token-file"):
            await looked_at(url, token="wrong")
    with pytest.raises(UnreachableError, match="No worker answers"):
        await looked_at(url)


def test_every_check_stands_in_the_documentation_with_its_promise():
    rows = dict(re.findall(r"^\| `(W-[A-Z]+-\d+)` \| (.*?) \|", PAGE.read_text("utf-8"), re.MULTILINE))
    assert rows == {check.id: check.promise.replace("|", r"\|") for check in CHECKS}


def test_ids_are_given_once():
    assert len({check.id for check in CHECKS}) == len(CHECKS)
