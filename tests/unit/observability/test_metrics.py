"""What is counted of requests."""

from __future__ import annotations

import pytest
from rbee.observability import GatewayMetrics
from unit.observability.building import colony, record, refused


@pytest.fixture
def metrics() -> GatewayMetrics:
    return GatewayMetrics(colony)


def test_a_stream_counts_with_its_tokens_and_times(metrics: GatewayMetrics) -> None:
    metrics.observe(record())
    found = metrics.snapshot().models["demo/m"]
    assert (found.succeeded, found.prompt, found.completion, found.uncounted) == (1, 7, 5, 0)
    assert (found.first.total, found.whole.total, found.queue.total) == (0.5, 2.5, 0.1)
    # Five tokens have four pauses between them.
    assert found.token.cumulative()[-1] == ("+Inf", 4)
    assert found.token.total == pytest.approx(2.0)


def test_a_whole_answer_has_no_first_token(metrics: GatewayMetrics) -> None:
    metrics.observe(record(stream=False))
    found = metrics.snapshot().models["demo/m"]
    assert (found.first.total, found.token.total, found.whole.total) == (0, 0, 2.5)


def test_a_refusal_makes_nothing_look_fast(metrics: GatewayMetrics) -> None:
    metrics.observe(refused())
    metrics.observe(record(status=400, error_code=None, stream=False))
    unknown, known = metrics.snapshot().models["unknown"], metrics.snapshot().models["demo/m"]
    assert dict(unknown.failed) == {"MODEL_NOT_FOUND": 1}
    assert dict(known.failed) == {"400": 1}
    assert unknown.whole.cumulative()[-1] == known.whole.cumulative()[-1] == ("+Inf", 0)


def test_an_answer_without_a_word_of_its_tokens_is_uncounted_and_not_zero(metrics: GatewayMetrics) -> None:
    metrics.observe(record(prompt_tokens=None, completion_tokens=None))
    found = metrics.snapshot().models["demo/m"]
    assert (found.uncounted, found.prompt, found.completion, found.succeeded) == (1, 0, 0, 1)


def test_retries_and_continuations_are_counted(metrics: GatewayMetrics) -> None:
    metrics.observe(record(attempts=3, continued=True))
    found = metrics.snapshot().models["demo/m"]
    assert (found.retries, found.continued) == (2, 1)


def test_workers_that_are_gone_are_forgotten_when_metrics_are_read(metrics: GatewayMetrics) -> None:
    metrics.observe(record())
    metrics.observe(record(worker_id="gone"))
    assert metrics.snapshot().requests == {("w1", "h1"): 1}
    metrics.observe(record(hive_id=None))
    assert metrics.snapshot().requests == {("w1", "h1"): 1, ("w1", ""): 1}


def test_the_number_of_names_is_bounded(metrics: GatewayMetrics, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rbee.observability.metrics._MOST_MODELS", 2)
    monkeypatch.setattr("rbee.observability.metrics._MOST_WORKERS", 2)
    for number in range(5):
        metrics.observe(record(model_id=f"demo/{number}", worker_id=f"w{number}"))
    assert set(metrics.snapshot().models) == {"demo/0", "demo/1", "other"}
    assert metrics.snapshot().models["other"].succeeded == 3
    assert len(metrics.snapshot().requests) <= 2


def test_a_snapshot_stands_still(metrics: GatewayMetrics) -> None:
    metrics.observe(record())
    before = metrics.snapshot()
    metrics.observe(record())
    assert before.models["demo/m"].succeeded == 1
    assert before.models["demo/m"].whole.total == 2.5
