"""Requests as spans of OpenTelemetry.  Imports its packages: loaded only where traces are asked for.

Conventions: https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from rbee.contract.tracing import Trace, Tracer
from rbee.contract.version import __version__
from rbee.contract.wire import RequestRecord

_OPERATIONS: Mapping[str, str] = MappingProxyType(
    {
        "/v1/chat/completions": "chat",
        "/v1/messages": "chat",
        "/v1/responses": "chat",
        "/api/chat": "chat",
        "/v1/completions": "text_completion",
        "/api/generate": "text_completion",
        "/v1/embeddings": "embeddings",
        "/api/embed": "embeddings",
        "/api/embeddings": "embeddings",
        "/v1/rerank": "rerank",
    }
)
_PARENT = re.compile(rb"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SHOWN = 200
_ERRORS, _SERVER_ERRORS = 400, 500
_FLUSH_S = 5.0
_NS = 1_000_000_000


class SpanTracer(Tracer):
    """Sends a span a request, from a thread of its own.

    Args:
        endpoint: address that takes spans, by OTLP over HTTP.
    """

    def __init__(self, endpoint: str) -> None:
        named = Resource.create({SERVICE_NAME: "rbee", SERVICE_VERSION: __version__})
        # Last, so that OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES have their say.
        resource = named.merge(OTELResourceDetector().detect())
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint)))
        self._tracer = self._provider.get_tracer("rbee.gateway", __version__)

    def begin(self, headers: Sequence[tuple[bytes, bytes]]) -> SpanTrace:
        """See `Tracer.begin`."""
        started = time.time_ns()
        parents = [value for name, value in headers if name == b"traceparent"]
        # Two are none, says the specification.
        context = _context(parents[0]) if len(parents) == 1 else Context()
        span = self._tracer.start_span("request", context=context, kind=SpanKind.SERVER, start_time=started)
        return SpanTrace(span, started)

    def close(self) -> None:
        """Send what is left; blocks, for a few seconds at most when nobody takes it."""
        ending = threading.Thread(target=self._provider.shutdown, name="the last traces", daemon=True)
        ending.start()
        ending.join(_FLUSH_S)


class SpanTrace(Trace):
    """One request.

    Args:
        span: begun.
        started: when, in ns since 1970.
    """

    def __init__(self, span: Span, started: int) -> None:
        context = span.get_span_context()
        self._span = span
        self._started = started
        text = b"00-%032x-%016x-%02x" % (context.trace_id, context.span_id, context.trace_flags)
        self.header = (b"traceparent", text)

    def end(self, record: RequestRecord) -> None:
        """See `Trace.end`."""
        span = self._span
        if span.is_recording():
            operation = _OPERATIONS.get(record.path, "chat")
            model = None if record.model is None else record.model[:_SHOWN]
            span.update_name(f"{operation} {model}" if model else operation)
            facts = _facts(record, operation, model)
            span.set_attributes({name: value for name, value in facts.items() if value is not None})
            if record.status >= _SERVER_ERRORS or (record.error_code is not None and record.status < _ERRORS):
                # A refusal of what a client asked is no error of the server's.
                span.set_status(StatusCode.ERROR, record.error_code)
        span.end(self._started + int(record.duration_s * _NS))


def _facts(record: RequestRecord, operation: str, model: str | None) -> dict[str, str | int | float | None]:
    error = record.error_code or (str(record.status) if record.status >= _ERRORS else None)
    return {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": "rbee",
        "gen_ai.request.model": model,
        "gen_ai.request.stream": record.stream or None,
        "gen_ai.response.model": record.model_id,
        "gen_ai.response.time_to_first_chunk": record.first_token_s if record.stream else None,
        "gen_ai.usage.input_tokens": record.prompt_tokens,
        "gen_ai.usage.output_tokens": record.completion_tokens,
        "http.route": record.path,
        "http.response.status_code": record.status,
        "error.type": error,
        "rbee.request_id": record.request_id,
        "rbee.worker_id": record.worker_id,
        "rbee.hive_id": record.hive_id,
        "rbee.queue_s": record.queue_s,
        "rbee.attempts": record.attempts,
        "rbee.continued": record.continued or None,
    }


def _context(parent: bytes) -> Context:
    """The client's span as a parent; an empty context when that is none."""
    found = _PARENT.fullmatch(parent.strip())
    if found is None or (found[1] == b"00" and found[5] is not None):
        return Context()
    flags = TraceFlags(int(found[4], 16))
    context = SpanContext(int(found[2], 16), int(found[3], 16), is_remote=True, trace_flags=flags)
    return set_span_in_context(NonRecordingSpan(context), Context())
