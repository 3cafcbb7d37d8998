"""Traces by OpenTelemetry, where an endpoint is set and the packages are there; else nothing is loaded.

Conventions: https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from rbee.contract.tracing import Trace, Tracer
from rbee.contract.version import __version__
from rbee.contract.wire import RequestRecord

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

log = logging.getLogger(__name__)

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_OPERATIONS = MappingProxyType(
    {
        "/v1/chat/completions": "chat",
        "/v1/messages": "chat",
        "/v1/responses": "chat",
        "/api/chat": "chat",
        "/v1/completions": "text_completion",
        "/api/generate": "text_completion",
        "/v1/embeddings": "embeddings",
        "/api/embed": "embeddings",
        "/v1/rerank": "rerank",
    }
)
_SERVER_ERRORS = 500


def make_tracer(environment: Mapping[str, str]) -> OtelTracer | None:
    """The tracer that the environment asks for; None when it asks for none, or the packages are missing.

    Args:
        environment: with the variables of OpenTelemetry.
    """
    if not any(environment.get(name) for name in _ENDPOINTS) or environment.get("OTEL_SDK_DISABLED") == "true":
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        log.warning("traces are asked for by %s, and the packages are missing: pip install 'rbee[otel]'", _ENDPOINTS[0])
        return None
    resource = Resource.create({"service.name": "rbee", "service.version": __version__})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return OtelTracer(provider)


class OtelTracer(Tracer):
    """Spans of requests.

    Args:
        provider: makes and exports them.
    """

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("rbee.gateway", __version__)

    def begin(self, headers: Sequence[tuple[bytes, bytes]]) -> OtelTrace:
        """See `Tracer.begin`."""
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        carrier = {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in headers
            if name in {b"traceparent", b"tracestate"}
        }
        parent = TraceContextTextMapPropagator().extract(carrier)
        return OtelTrace(self._tracer.start_span("inference", context=parent, kind=SpanKind.SERVER))

    def close(self) -> None:
        """Send what is left; waits for it for a while."""
        self._provider.shutdown()


class OtelTrace(Trace):
    """One span.

    Args:
        span: begun.
    """

    def __init__(self, span: Span) -> None:
        context = span.get_span_context()
        self._span = span
        text = f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"
        self.header = (b"traceparent", text.encode("ascii"))

    def end(self, record: RequestRecord) -> None:
        """See `Trace.end`."""
        from opentelemetry.trace import StatusCode

        operation = _OPERATIONS.get(record.path, "chat")
        self._span.update_name(f"{operation} {record.model}" if record.model else operation)
        facts: dict[str, str | int | float | None] = {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": "rbee",
            "gen_ai.request.model": record.model,
            "gen_ai.response.model": record.model_id,
            "gen_ai.usage.input_tokens": record.prompt_tokens,
            "gen_ai.usage.output_tokens": record.completion_tokens,
            "http.response.status_code": record.status,
            "error.type": record.error_code,
            "rbee.request_id": record.request_id,
            "rbee.worker_id": record.worker_id,
            "rbee.hive_id": record.hive_id,
            "rbee.attempts": record.attempts,
            "gen_ai.server.time_to_first_token": record.first_token_s,
        }
        self._span.set_attributes({name: value for name, value in facts.items() if value is not None})
        if record.error_code is not None and record.status >= _SERVER_ERRORS:
            self._span.set_status(StatusCode.ERROR, record.error_code)
        self._span.end(end_time=time.time_ns())
