"""Metrics as Prometheus reads them."""

from __future__ import annotations

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open
from prometheus_client.parser import text_string_to_metric_families as parse
from rbee.observability import GatewayMetrics
from rbee.observability.collected import encode
from unit.observability.building import colony, record, refused


def told(accept: str | None = None) -> tuple[dict[tuple[str, tuple[tuple[str, str], ...]], float], str]:
    metrics = GatewayMetrics(colony)
    metrics.observe(record())
    metrics.observe(refused())
    body, content_type = encode(metrics.snapshot(), accept)
    families = (parse_open if "openmetrics" in content_type else parse)(body.decode())
    samples = [sample for family in families for sample in family.samples]
    return {(one.name, tuple(sorted(one.labels.items()))): one.value for one in samples}, content_type


def of(name: str, **labels: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    return f"rbee:{name}", tuple(sorted(labels.items()))


@pytest.mark.parametrize("accept", [None, "text/plain", "application/openmetrics-text; version=1.0.0"])
def test_prometheus_reads_it_in_either_form(accept: str | None) -> None:
    found, content_type = told(accept)
    assert content_type.startswith("application/openmetrics-text" if accept and "open" in accept else "text/plain")
    assert found[of("prompt_tokens_total", model_name="demo/m")] == 7
    assert found[of("generation_tokens_total", model_name="demo/m")] == 5
    assert found[of("request_success_total", model_name="demo/m")] == 1
    assert found[of("request_failure_total", model_name="unknown", code="MODEL_NOT_FOUND")] == 1
    assert found[of("time_to_first_token_seconds_sum", model_name="demo/m")] == 0.5
    assert found[of("time_to_first_token_seconds_bucket", model_name="demo/m", le="0.25")] == 0
    assert found[of("time_to_first_token_seconds_bucket", model_name="demo/m", le="0.5")] == 1
    assert found[of("e2e_request_latency_seconds_count", model_name="demo/m")] == 1
    assert found[of("time_per_output_token_seconds_count", model_name="demo/m")] == 4
    assert found[of("num_requests_running", model_name="demo/m")] == 2
    assert found[of("num_requests_waiting", model_name="demo/m")] == 0
    assert found[of("num_requests_waiting", model_name="demo/n")] == 1
    assert found[of("worker_requests_total", worker_id="w1", hive_id="h1")] == 1
    assert found[of("hive_up", hive_id="h1")] == 1
    assert found[of("hive_up", hive_id="h2")] == 0
    assert (found[of("tunnel_up", machine="attic")], found[of("tunnel_up", machine="cellar")]) == (1, 0)
    assert found[of("workers", state="ready")] == 1
    assert found[of("workers", state="silent")] == 1
    assert found[of("workers", state="loading")] == 0
    assert found[of("memory_used_bytes", hive_id="h1", device="ram")] == 1024


def test_what_is_unknown_is_left_out() -> None:
    found, _ = told()
    assert of("memory_used_bytes", hive_id="h1", device="GPU-0") not in found
    assert found[of("memory_total_bytes", hive_id="h1", device="GPU-0")] == 8192
    assert not [key for key in found if key[0] == "rbee:worker_slots" and ("worker_id", "w2") in key[1]]


def test_a_name_with_quotes_and_lines_breaks_nothing() -> None:
    metrics = GatewayMetrics(colony)
    name = 'a"b\\c\nd'
    metrics.observe(record(model_id=name))
    body, _ = encode(metrics.snapshot(), None)
    families = {family.name: family for family in parse(body.decode())}
    assert {sample.labels["model_name"] for sample in families["rbee:prompt_tokens"].samples} == {name}
