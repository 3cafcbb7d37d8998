"""Jobs run whether or not somebody watches."""

from __future__ import annotations

import asyncio
import contextlib
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rbee.contract.errors import (
    CancelledByCallerError,
    ConfigurationError,
    InvalidRequestError,
    ModelNotFoundError,
    NotFoundError,
    UnavailableError,
)
from rbee.contract.wire import JobEvent
from rbee.jobs import JobRunner, JobStore, Narrator, Operation
from rbee.jobs.store import JobEventRow, JobRow
from rbee.jobs.writer import Row, Writer

PATIENCE_S = 10
Make = Callable[..., Awaitable[JobRunner]]


class Work:
    """Handlers that wait for the test."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.begun = asyncio.Event()
        self.seen: list[JobEvent] = []
        self.ended = asyncio.Event()

    def handlers(self) -> dict[str, Any]:
        found = {"count": self.count, "wait": self.wait, "fail": self.fail, "odd": self.odd}
        return {name: Operation(handler=handler) for name, handler in found.items()}

    def observe(self, event: JobEvent) -> None:
        self.seen.append(event)
        if event.terminal:
            self.ended.set()

    async def count(self, body: dict[str, Any], say: Narrator) -> dict[str, int]:
        for number in range(body.get("to", 3)):
            say.data("number", number)
        return {"sum": 3}

    async def wait(self, body: dict[str, Any], say: Narrator) -> None:
        say.say("test", "wait", "waiting", "the test")
        self.begun.set()
        await self.go.wait()
        say.say("test", "wait", "done waiting")

    async def fail(self, body: dict[str, Any], say: Narrator) -> None:
        say.data("before", 1)
        raise {
            "known": ModelNotFoundError("no model 'x'", details={"near": "y"}),
            "unknown": RuntimeError("a secret path"),
            "cancelled": CancelledByCallerError("enough"),
        }[body["how"]]

    async def odd(self, body: dict[str, Any], say: Narrator) -> object:
        return object()


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture(params=["memory", "file"])
async def make(request: pytest.FixtureRequest, work: Work, tmp_path: Path) -> AsyncIterator[Make]:
    runners = []

    async def start(**more: Any) -> JobRunner:
        store = JobStore("sqlite+aiosqlite://") if request.param == "memory" else JobStore.at(tmp_path / "jobs.db")
        runner = JobRunner(store, work.handlers(), work.observe, **more)
        await runner.start()
        runners.append(runner)
        return runner

    yield start
    for runner in runners:
        await runner.stop()


async def watch(runner: JobRunner, job_id: str, after: int = 0) -> list[tuple[int, JobEvent]]:
    async with asyncio.timeout(PATIENCE_S):
        return [one async for one in runner.events(job_id, after)]


async def states(runner: JobRunner) -> dict[str, str]:
    return {one.job_id: one.state for one in await runner.list()}


def kinds(events: list[tuple[int, JobEvent]]) -> list[str]:
    return [event.type for _, event in events]


async def test_a_job_ends_without_anybody_watching(make: Make, work: Work) -> None:
    runner = await make()
    job_id = await runner.submit({"operation": "count"}, "cor-1")
    await asyncio.wait_for(work.ended.wait(), PATIENCE_S)
    events = await watch(runner, job_id)
    assert kinds(events) == ["data"] * 4 + ["done"]
    assert [seq for seq, _ in events] == [1, 2, 3, 4, 5]
    assert events[3][1].payload == {"sum": 3}
    assert {event.correlation_id for _, event in events} == {"cor-1"}
    assert work.seen == [event for _, event in events]


async def test_many_watchers_see_the_same_events(make: Make, work: Work) -> None:
    runner = await make()
    job_id = await runner.submit({"operation": "wait"})
    watching = [asyncio.create_task(watch(runner, job_id)) for _ in range(5)]
    await work.begun.wait()
    late = asyncio.create_task(watch(runner, job_id))
    work.go.set()
    seen = await asyncio.gather(*watching, late)
    assert kinds(seen[0]) == ["narration", "narration", "done"]
    assert all(one == seen[0] for one in seen)


async def test_watching_after_the_end_gives_what_was_seen_live(make: Make, work: Work) -> None:
    runner = await make()
    job_id = await runner.submit({"operation": "wait"})
    live = asyncio.create_task(watch(runner, job_id))
    work.go.set()
    seen = await live
    while "completed" not in (await states(runner)).values():
        await asyncio.sleep(0.01)
    assert await watch(runner, job_id) == seen


@pytest.mark.parametrize("after", [0, 1, 2, 3])
async def test_a_watcher_resumes_after_what_it_has(make: Make, work: Work, after: int) -> None:
    runner = await make()
    job_id = await runner.submit({"operation": "wait"})
    await work.begun.wait()
    resumed = asyncio.create_task(watch(runner, job_id, after))
    work.go.set()
    assert [seq for seq, _ in await resumed] == [1, 2, 3][after:]
    assert [seq for seq, _ in await watch(runner, job_id, after)] == [1, 2, 3][after:]


async def test_more_events_than_one_page_come_in_order(make: Make, work: Work) -> None:
    runner = await make()
    job_id = await runner.submit({"operation": "count", "to": 1100})
    while "completed" not in (await states(runner)).values():
        await asyncio.sleep(0.01)
    assert [seq for seq, _ in await watch(runner, job_id)] == list(range(1, 1103))


async def test_a_watcher_that_leaves_does_not_end_the_job(make: Make, work: Work) -> None:
    runner = await make()
    job_id = await runner.submit({"operation": "wait"})
    async with contextlib.aclosing(runner.events(job_id)) as events:
        await anext(events)
    work.go.set()
    assert kinds(await watch(runner, job_id))[-1] == "done"


async def test_a_cancelled_job_says_so_once(make: Make, work: Work) -> None:
    runner = await make()
    job_id = await runner.submit({"operation": "wait"})
    await work.begun.wait()
    assert await runner.cancel(job_id) is True
    assert kinds(await watch(runner, job_id)) == ["narration", "cancelled"]
    assert await runner.cancel(job_id) is False


async def test_a_job_cancelled_at_once_still_ends(make: Make) -> None:
    runner = await make()
    job_id = await runner.submit({"operation": "wait"})
    assert await runner.cancel(job_id) is True
    assert kinds(await watch(runner, job_id))[-1] == "cancelled"
    while "queued" in (await states(runner)).values():
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("how", "kind", "code", "told"),
    [
        ("known", "error", "MODEL_NOT_FOUND", "no model 'x'"),
        ("unknown", "error", "INTERNAL", "log has the details"),
        ("cancelled", "cancelled", None, "Cancelled"),
    ],
)
async def test_an_exception_becomes_the_one_terminal_event(
    make: Make, work: Work, how: str, kind: str, code: str | None, told: str
) -> None:
    runner = await make()
    events = await watch(runner, await runner.submit({"operation": "fail", "how": how}))
    assert kinds(events) == ["data", kind]
    assert events[-1][1].code == code
    assert told in events[-1][1].message
    assert "secret" not in events[-1][1].message
    assert [event.terminal for event in work.seen].count(True) == 1
    if how == "known":
        assert events[-1][1].details == {"near": "y"}


async def test_a_result_that_is_no_json_fails_the_job(make: Make) -> None:
    runner = await make()
    events = await watch(runner, await runner.submit({"operation": "odd"}))
    assert [(event.type, event.code) for _, event in events] == [("error", "INTERNAL")]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({}, "'operation' is missing."),
        ({"operation": None}, "'operation' is missing."),
        ({"operation": "dance"}, "There is no operation 'dance'."),
        ({"operation": 7}, "'operation' must be a text."),
        ({"operation": ["count"]}, "'operation' must be a text."),
    ],
)
async def test_an_unknown_operation_lists_the_known_ones(make: Make, body: dict[str, Any], problem: str) -> None:
    runner = await make()
    with pytest.raises(InvalidRequestError) as caught:
        await runner.submit(body)
    assert caught.value.message == f"{problem} Operations: count, fail, odd, wait."
    assert caught.value.param == "operation"
    assert await runner.list() == []


async def test_a_body_that_its_check_refuses_becomes_no_job(tmp_path: Path, work: Work) -> None:
    def check(body: dict[str, Any]) -> None:
        raise InvalidRequestError(f"not with {body['to']}", param="to")

    runner = JobRunner(JobStore.at(tmp_path / "jobs.db"), {"count": Operation(handler=work.count, check=check)})
    await runner.start()
    with pytest.raises(InvalidRequestError, match="not with 3"):
        await runner.submit({"operation": "count", "to": 3})
    assert await runner.list() == []
    await runner.stop()


async def test_a_job_that_never_was_is_not_found(make: Make) -> None:
    runner = await make()
    with pytest.raises(NotFoundError, match="'job-x'"):
        await runner.check("job-x")
    with pytest.raises(NotFoundError):
        await runner.cancel("job-x")
    with pytest.raises(NotFoundError):
        await watch(runner, "job-x")


async def test_the_list_shows_the_newest_first(make: Make, work: Work) -> None:
    runner = await make()
    first = await runner.submit({"operation": "wait"})
    second = await runner.submit({"operation": "wait"})
    listed = await runner.list()
    assert [one.job_id for one in listed] == [second, first]
    assert all(one.created_at.tzinfo is UTC for one in listed)
    assert all(one.finished_at is None for one in listed)


async def test_stopping_cancels_what_runs(make: Make, work: Work) -> None:
    runner = await make()
    job_id = await runner.submit({"operation": "wait"})
    await work.begun.wait()
    watching = asyncio.create_task(watch(runner, job_id))
    await asyncio.sleep(0)
    await runner.stop()
    assert kinds(await watching) == ["narration", "cancelled"]


async def test_a_watcher_that_is_cancelled_costs_nobody_anything(make: Make, work: Work) -> None:
    runner = await make()
    job_id = await runner.submit({"operation": "count"})
    await watch(runner, job_id)
    while "completed" not in (await states(runner)).values():
        await asyncio.sleep(0.01)
    for pauses in range(12):
        watching = asyncio.create_task(watch(runner, job_id))
        for _ in range(pauses):
            await asyncio.sleep(0)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    assert kinds(await watch(runner, job_id))[-1] == "done"


class TestOverRestarts:
    """A store in a file."""

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        return tmp_path / "jobs.db"

    async def started(self, path: Path, work: Work, **more: Any) -> JobRunner:
        runner = JobRunner(JobStore.at(path), work.handlers(), work.observe, **more)
        await runner.start()
        return runner

    async def test_the_file_is_for_this_user_alone(self, path: Path, work: Work) -> None:
        runner = await self.started(path, work)
        job = await runner.submit({"operation": "count"})
        await watch(runner, job)
        assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.glob("jobs.db*")} == {0o600}
        await runner.stop()

    async def test_events_are_there_after_a_restart(self, path: Path, work: Work) -> None:
        runner = await self.started(path, work)
        job = await runner.submit({"operation": "count"})
        seen = await watch(runner, job)
        await runner.stop()
        again = await self.started(path, work)
        assert await watch(again, job) == seen
        assert await watch(again, job, 3) == seen[3:]
        assert await states(again) == {job: "completed"}
        await again.stop()

    async def test_what_stopping_cancelled_stays_cancelled(self, path: Path, work: Work) -> None:
        runner = await self.started(path, work)
        job = await runner.submit({"operation": "wait"})
        await work.begun.wait()
        await runner.stop()
        again = await self.started(path, work)
        assert kinds(await watch(again, job)) == ["narration", "cancelled"]
        await again.stop()

    async def test_stopping_while_a_job_writes_its_end_leaves_one_end(self, path: Path, work: Work) -> None:
        runner = await self.started(path, work)
        job = await runner.submit({"operation": "count"})
        await work.ended.wait()
        await runner.stop()
        again = await self.started(path, work)
        assert await states(again) == {job: "completed"}
        assert kinds(await watch(again, job)).count("done") == 1
        assert kinds(await watch(again, job))[-1] == "done"
        await again.stop()

    async def test_a_job_that_was_cut_off_has_failed(self, path: Path, work: Work) -> None:
        store = JobStore.at(path)
        await store.open()
        for state in ("queued", "running"):
            await store.add(f"job-{state}", "wait", b"{}", "cor")
            await store.set_state(f"job-{state}", state)
        event = JobEvent(type="data", job_id="job-running", emitted_at_ms=1)
        await store.append([("job-running", 1, msgspec.json.encode(event))])
        await store.close()
        for _ in range(2):
            runner = await self.started(path, work)
            assert kinds(await watch(runner, "job-queued")) == ["error"]
            events = await watch(runner, "job-running")
            assert [(seq, event.type, event.code) for seq, event in events] == [
                (1, "data", None),
                (2, "error", "UNAVAILABLE"),
            ]
            assert "start it again" in events[1][1].message
            assert set((await states(runner)).values()) == {"failed"}
            await runner.stop()

    @pytest.mark.parametrize(
        ("kind", "state"), [("done", "completed"), ("error", "failed"), ("cancelled", "cancelled")]
    )
    async def test_an_end_that_was_stored_is_the_only_one(self, path: Path, work: Work, kind: Any, state: str) -> None:
        store = JobStore.at(path)
        await store.open()
        await store.add("job-1", "wait", b"{}", None)
        await store.set_state("job-1", "running")
        end = JobEvent(type=kind, job_id="job-1", emitted_at_ms=1)
        await store.append([("job-1", 1, msgspec.json.encode(end))])
        await store.close()
        runner = await self.started(path, work)
        assert kinds(await watch(runner, "job-1")) == [kind]
        assert await states(runner) == {"job-1": state}
        await runner.stop()

    async def test_old_jobs_are_forgotten_with_their_events(self, path: Path, work: Work) -> None:
        runner = await self.started(path, work)
        old = await runner.submit({"operation": "count"})
        await watch(runner, old)
        await runner.stop()
        kept = await self.started(path, work)
        assert await states(kept) == {old: "completed"}
        await kept.stop()
        strict = await self.started(path, work, keep=timedelta(0))
        with pytest.raises(NotFoundError):
            await strict.check(old)
        await strict.stop()
        store = JobStore.at(path)
        await store.open()
        assert await store.events(old, 0) == []
        await store.close()

    async def test_prompts_are_not_kept(self, path: Path, work: Work) -> None:
        runner = await self.started(path, work)
        await runner.submit({"operation": "count", "prompt": "my diary", "messages": ["my letters"], "model": "m"})
        await runner.stop()
        content = b"".join(file.read_bytes() for file in path.parent.glob("jobs.db*"))
        assert b'"model":"m"' in content
        assert b"my diary" not in content
        assert b"my letters" not in content

    async def test_a_data_base_that_cannot_be_opened_is_named(self, path: Path, work: Work) -> None:
        path.write_bytes(b"this is no data base, and never was one" * 100)
        with pytest.raises(ConfigurationError, match=str(path)):
            await JobStore.at(path).open()

    async def test_a_store_that_is_not_open_says_so(self, path: Path) -> None:
        with pytest.raises(RuntimeError, match="opened"):
            await JobStore.at(path).add("j", "o", b"{}", None)

    async def test_pruning_spares_what_has_not_ended(self, path: Path) -> None:
        store = JobStore.at(path)
        await store.open()
        await store.add("job-1", "wait", b"{}", None)
        await store.prune(datetime.now(UTC) + timedelta(days=1))
        assert (await store.get("job-1")).state == "queued"
        await store.close()


class FullStore(JobStore):
    """A store on a disk that is full while the test says so."""

    full = False

    async def append(self, rows: Any) -> None:
        if self.full:
            raise OSError("no space left on device")
        await super().append(rows)


class Shut(JobStore):
    """A store that takes nothing while the test says so, as a data base on a full disk answers."""

    full = False

    async def enter(self, row: Any) -> None:
        self._check()
        await super().enter(row)

    async def append(self, rows: Any) -> None:
        self._check()
        await super().append(rows)

    async def set_state(self, job_id: str, state: str, **more: Any) -> None:
        self._check()
        await super().set_state(job_id, state, **more)

    def _check(self) -> None:
        if self.full:
            raise UnavailableError("database or disk is full")


class TestAnswers:
    """Tokens are told and not stored."""

    @pytest.fixture
    async def runner(self, work: Work, tmp_path: Path) -> AsyncIterator[JobRunner]:
        made = JobRunner(
            JobStore.at(tmp_path / "jobs.db"), {"answer": Operation(handler=self.answer)}, work.observe, linger_s=0
        )
        await made.start()
        yield made
        await made.stop()

    async def answer(self, body: dict[str, Any], say: Narrator) -> dict[str, int]:
        say.say("test", "infer", "begins")
        for number in range(3):
            say.data("token", {"t": f"zanzibar{number}", "i": number})
        say.say("test", "infer", "ends")
        return {"tokens_out": 3}

    async def ended(self, runner: JobRunner, job_id: str) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while (await states(runner))[job_id] != "completed" or job_id in runner._live:
                await asyncio.sleep(0.001)

    async def test_who_watches_hears_them_and_who_comes_later_the_rest(self, runner: JobRunner) -> None:
        job_id = await runner.submit({"operation": "answer"})
        heard = await watch(runner, job_id)
        assert [seq for seq, _ in heard] == [1, 2, 3, 4, 5, 6, 7]
        assert [event.action for _, event in heard].count("token") == 3
        await self.ended(runner, job_id)
        rest = [heard[index] for index in (0, 4, 5, 6)]
        assert await watch(runner, job_id) == rest
        assert await watch(runner, job_id, 3) == rest[1:]
        assert await watch(runner, job_id, 7) == []

    async def test_they_are_not_in_the_file(self, runner: JobRunner, tmp_path: Path) -> None:
        job_id = await runner.submit({"operation": "answer"})
        await watch(runner, job_id)
        await self.ended(runner, job_id)
        content = b"".join(file.read_bytes() for file in tmp_path.glob("jobs.db*"))
        assert b"begins" in content
        assert b"zanzibar" not in content

    async def test_a_watcher_of_a_job_that_was_cut_off_hears_of_its_end(self, work: Work, tmp_path: Path) -> None:
        store = JobStore.at(tmp_path / "cut.db")
        await store.open()
        await store.add("job-1", "answer", b"{}", None)
        told = JobEvent(type="narration", job_id="job-1", emitted_at_ms=1)
        await store.append([("job-1", 1, msgspec.json.encode(told))])
        await store.close()
        runner = JobRunner(JobStore.at(tmp_path / "cut.db"), {}, work.observe)
        await runner.start()
        for after in (1, 2, 9):
            assert kinds(await watch(runner, "job-1", after)) == ["error"]
        await runner.stop()


async def test_a_short_job_is_still_whole_in_memory_when_its_watcher_comes(work: Work, tmp_path: Path) -> None:
    answers = TestAnswers()
    runner = JobRunner(JobStore.at(tmp_path / "jobs.db"), {"answer": Operation(handler=answers.answer)}, work.observe)
    await runner.start()
    job_id = await runner.submit({"operation": "answer"})
    while "completed" not in (await states(runner)).values():
        await asyncio.sleep(0.001)
    assert len(await watch(runner, job_id)) == 7
    assert await runner.cancel(job_id) is False
    await runner.stop()


async def test_too_many_events_of_ended_jobs_are_not_kept_in_memory(
    work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rbee.jobs.live._MOST_LINGERING", 12)
    runner = JobRunner(JobStore.at(tmp_path / "jobs.db"), work.handlers(), work.observe)
    await runner.start()
    jobs = []
    for _ in range(4):
        jobs.append(await runner.submit({"operation": "count"}))
        await watch(runner, jobs[-1])
        await asyncio.gather(*runner._finishing)
    assert list(runner._live) == jobs[-2:]
    await runner.stop()


async def test_a_full_disk_costs_no_end_and_is_logged_once(
    work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("rbee.jobs.writer._RETRY_S", 0.01)
    store = FullStore.at(tmp_path / "jobs.db")
    runner = JobRunner(store, work.handlers(), work.observe, linger_s=0.001)
    await runner.start()
    job_id = await runner.submit({"operation": "wait"})
    await work.begun.wait()
    store.full = True
    work.go.set()
    async with asyncio.timeout(PATIENCE_S):
        while job_id in runner._live or "trying again" not in caplog.text:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        assert caplog.text.count("trying again") == 1
        store.full = False
        while (await states(runner))[job_id] != "completed":
            await asyncio.sleep(0.01)
    assert kinds(await watch(runner, job_id))[-1] == "done"
    await runner.stop()


async def test_on_a_full_disk_jobs_run_and_are_stored_when_there_is_room_again(
    work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("rbee.jobs.writer._RETRY_S", 0.01)
    store = Shut.at(tmp_path / "jobs.db")
    runner = JobRunner(store, work.handlers(), work.observe, linger_s=0.001)
    await runner.start()
    early = await runner.submit({"operation": "count"})
    await watch(runner, early)
    store.full = True
    job_id = await runner.submit({"operation": "count"})
    heard = await watch(runner, job_id)
    assert kinds(heard)[-1] == "done"
    async with asyncio.timeout(PATIENCE_S):
        while job_id in runner._live:
            await asyncio.sleep(0.001)
    # It is known although it is neither in memory as a running one nor in the store.
    assert list(await states(runner)) == [job_id, early]
    assert (await states(runner))[job_id] == "completed"
    told = await runner.get(job_id)
    assert (told.operation, told.finished_at is not None) == ("count", True)
    assert [one.job_id for one in await runner.list(states=["failed"])] == []
    assert await runner.cancel(job_id) is False
    assert f"job {job_id} (count) runs, and is not stored yet: database or disk is full" in caplog.text
    store.full = False
    async with asyncio.timeout(PATIENCE_S):
        while await store.get(job_id) is None or not await store.events(job_id, 0):
            await asyncio.sleep(0.001)
    stored = await store.get(job_id)
    assert stored is not None
    assert (stored.state, stored.finished_at) == ("completed", told.finished_at)
    assert await watch(runner, job_id) == heard
    await runner.stop()


async def test_so_many_jobs_that_cannot_be_stored_are_taken_and_no_more(
    work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rbee.jobs.writer._MOST_UNENTERED", 2)
    store = Shut.at(tmp_path / "jobs.db")
    runner = JobRunner(store, work.handlers(), work.observe)
    await runner.start()
    store.full = True
    for _ in range(2):
        await watch(runner, await runner.submit({"operation": "count"}))
    with pytest.raises(UnavailableError, match="disk is full"):
        await runner.submit({"operation": "count"})
    await runner.stop()


async def test_a_full_disk_does_not_keep_the_store_open(work: Work, tmp_path: Path) -> None:
    store = FullStore.at(tmp_path / "jobs.db")
    runner = JobRunner(store, work.handlers(), work.observe)
    await runner.start()
    await runner.submit({"operation": "wait"})
    store.full = True
    await runner.stop()
    assert not store.data_base.is_open


async def test_a_store_that_takes_nothing_costs_stories_and_not_ends(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("rbee.jobs.writer._MOST_UNWRITTEN", 8)
    writer = Writer(JobStore("sqlite+aiosqlite://"), timedelta(1), 10)
    writer.add(Row("job-1", 9, b"{}", terminal=True))
    for seq in range(1, 30):
        writer.add(Row("job-2", seq, b"{}", terminal=False))
    assert len(writer._rows) <= 9
    assert writer._rows[0].terminal
    assert writer._rows[-1].seq == 29
    assert "given up" in caplog.text


async def test_a_stopped_runner_takes_no_jobs(make: Make) -> None:
    runner = await make()
    await runner.stop()
    with pytest.raises(UnavailableError, match="stopping"):
        await runner.submit({"operation": "count"})


async def test_only_so_many_ended_jobs_are_kept(make: Make, work: Work) -> None:
    runner = await make(keep_ended=2)
    jobs = []
    for _ in range(4):
        jobs.append(await runner.submit({"operation": "count"}))
        await watch(runner, jobs[-1])
        while list((await states(runner)).values()).count("completed") < len(jobs):
            await asyncio.sleep(0.001)
    running = await runner.submit({"operation": "wait"})
    await runner._writer.prune()
    assert set(await states(runner)) == {*jobs[2:], running}


async def test_old_jobs_are_forgotten_while_the_program_runs(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rbee.jobs.writer._PRUNE_S", 0.01)
    runner = await make(keep=timedelta(0))
    job_id = await runner.submit({"operation": "count"})
    await watch(runner, job_id)
    async with asyncio.timeout(PATIENCE_S):
        while await states(runner):
            await asyncio.sleep(0.01)


async def test_events_that_are_there_already_are_written_over(tmp_path: Path) -> None:
    store = JobStore.at(tmp_path / "jobs.db")
    await store.open()
    await store.append([("job-1", 1, b"a")])
    await store.append([("job-1", 1, b"a"), ("job-1", 2, b"b")])
    assert await store.events("job-1", 0) == [(1, b"a"), (2, b"b")]
    await store.close()


async def test_what_is_stored_and_cannot_be_read_is_left_out(tmp_path: Path, work: Work) -> None:
    store = JobStore.at(tmp_path / "jobs.db")
    runner = JobRunner(store, work.handlers(), linger_s=0.0)
    await runner.start()
    job_id = await runner.submit({"operation": "count"})
    await watch(runner, job_id)
    async with asyncio.timeout(PATIENCE_S):
        while job_id in runner._live:
            await asyncio.sleep(0.01)
    whole = await watch(runner, job_id)
    async with store.data_base.writing() as session:
        await session.merge(JobEventRow(job_id=job_id, seq=2, body=b'{"type": "of another version"}'))
        await session.merge(JobEventRow(job_id=job_id, seq=5, body=b"no JSON"))
        row = await session.get(JobRow, job_id)
        assert row is not None
        row.request = "neither"
    told = await watch(runner, job_id)
    assert [seq for seq, _ in told] == [1, 3, 4, 5]
    assert [told[0], told[1], told[2]] == [whole[0], whole[2], whole[3]]
    assert told[3][1].type == "done", "its state tells how it ended"
    assert await watch(runner, job_id, 5) == []
    found = await runner.get(job_id)
    assert (found.state, found.result, found.request) == ("completed", {"sum": 3}, {})
    await runner.stop()
