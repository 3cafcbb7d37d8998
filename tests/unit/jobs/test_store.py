"""Jobs in a file, in memory and on a PostgreSQL server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from rbee.jobs import JobStore


@pytest.fixture
async def store(data_base_url: str) -> AsyncIterator[JobStore]:
    one = JobStore(data_base_url)
    await one.open()
    yield one
    await one.close()


async def test_a_job_is_kept_with_its_end(store: JobStore) -> None:
    await store.add("job-1", "infer", b'{"model": "m"}', "c-1")
    assert [row.id for row in await store.unfinished()] == ["job-1"]
    await store.set_state("job-1", "failed", code="INTERNAL", message="it broke")
    row = await store.get("job-1")
    assert row is not None
    assert (row.state, row.error_code, row.error_message, row.correlation_id) == (
        "failed",
        "INTERNAL",
        "it broke",
        "c-1",
    )
    assert row.finished_at is not None
    assert row.finished_at.tzinfo is UTC
    assert abs(row.finished_at - datetime.now(UTC)) < timedelta(minutes=1)
    assert await store.unfinished() == []
    assert await store.get("job-2") is None


async def test_events_that_are_stored_again_stand_once(store: JobStore) -> None:
    rows = [("job-1", 1, b"a"), ("job-1", 2, b"b")]
    await store.append(rows)
    await store.append([*rows, ("job-1", 3, b"c")])
    assert await store.events("job-1", after=1) == [(2, b"b"), (3, b"c")]
    assert await store.last_seq("job-1") == 3
    assert await store.last_seq("job-2") == 0


async def test_old_jobs_are_forgotten_with_their_events(store: JobStore) -> None:
    for number in range(4):
        await store.add(f"job-{number}", "infer", b"{}", None)
        await store.append([(f"job-{number}", 1, b"x")])
        if number:
            await store.set_state(f"job-{number}", "completed")
    await store.prune(datetime.now(UTC) - timedelta(days=1))
    assert len(await store.newest()) == 4
    await store.prune(datetime.now(UTC) - timedelta(days=1), keep=1)
    assert [row.id for row in await store.newest()] == ["job-3", "job-0"]
    await store.prune(datetime.now(UTC) + timedelta(minutes=1))
    assert [row.id for row in await store.newest()] == ["job-0"]
    assert await store.events("job-1", after=0) == []
    assert await store.events("job-0", after=0) == [(1, b"x")]
