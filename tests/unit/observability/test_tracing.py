"""Whether there are traces."""

from __future__ import annotations

import subprocess
import sys

import pytest
from rbee.observability import make_tracer

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
WITHOUT = """
import sys
import rbee.gates.program
import rbee.queen.app
from rbee.observability import make_tracer
assert make_tracer({}) is None
assert not [name for name in sys.modules if name.startswith("opentelemetry")]
"""


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {**ENDPOINT, "OTEL_SDK_DISABLED": "TRUE"},
        {**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"},
        {**ENDPOINT, "OTEL_TRACES_EXPORTER": "console,zipkin"},
    ],
)
def test_nobody_who_does_not_ask_for_traces_gets_them(environment: dict[str, str]) -> None:
    assert make_tracer(environment) is None


def test_without_traces_none_of_their_packages_is_loaded() -> None:
    subprocess.run([sys.executable, "-c", WITHOUT], check=True, timeout=60)


def test_another_protocol_is_refused_with_a_word(caplog: pytest.LogCaptureFixture) -> None:
    assert make_tracer({**ENDPOINT, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}) is None
    assert "'http/protobuf' alone" in caplog.text
    assert "'grpc'" in caplog.text


def test_missing_packages_are_named_with_the_next_step(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "rbee.observability.spans", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    assert make_tracer(ENDPOINT) is None
    assert "pip install 'rbee[otel]'" in caplog.text


def test_a_variable_that_the_packages_refuse_keeps_nobody_from_work(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "1")
    assert make_tracer(ENDPOINT) is None
    assert "the variables OTEL_* will not do" in caplog.text


@pytest.mark.parametrize(
    "environment",
    [
        ENDPOINT,
        {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9/v1/traces"},
        {**ENDPOINT, "OTEL_TRACES_EXPORTER": ""},
        {**ENDPOINT, "OTEL_TRACES_EXPORTER": "console, otlp"},
        {**ENDPOINT, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"},
    ],
)
def test_traces_are_made_where_the_environment_asks_for_them(environment: dict[str, str]) -> None:
    tracer = make_tracer(environment)
    assert tracer is not None
    tracer.close()
