"""A worker's figures for Prometheus."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families
from rbee.contract import EngineStatus
from rbee.worker.figures import exposition, figures


def test_what_is_known_is_told_and_what_is_not_is_left_out():
    status = EngineStatus(slots_total=4, slots_busy=0, tokens_generated=123_456_789, prompt_tokens=7)
    text = exposition(figures(status, open_requests=2)).decode()
    found = {family.name: family.samples[0].value for family in text_string_to_metric_families(text)}
    assert found == {
        "rbee_worker_slots": 4,
        "rbee_worker_slots_busy": 0,
        "rbee_worker_open_requests": 2,
        "rbee_worker_tokens": 123_456_789,
        "rbee_worker_prompt_tokens": 7,
    }
