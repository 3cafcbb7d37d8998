"""Spans as a collector gets them, by OTLP over HTTP."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from rbee.contract.wire import RequestRecord
from rbee.gateway import Call, Dispatcher, Lease, Outcome, Pool, Relay, RelayCalls, Route, Target
from rbee.http.errors import STATUS_BY_CODE
from rbee.observability.spans import SpanTracer
from unit.observability.building import record, refused

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01".encode()


class Collector:
    """Takes what is exported."""

    def __init__(self) -> None:
        self.taken: queue.Queue[ExportTraceServiceRequest] = queue.Queue()
        taken = self.taken

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                taken.put(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its name there
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1/traces"

    def span(self) -> Span:
        (resource,) = self.taken.get(timeout=10).resource_spans
        (scope,) = resource.scope_spans
        (span,) = scope.spans
        return span


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def traced(collector: Collector, ended: RequestRecord, *headers: tuple[bytes, bytes]) -> tuple[Span, bytes]:
    tracer = SpanTracer(collector.url)
    trace = tracer.begin(headers)
    trace.end(ended)
    tracer.close()
    name, value = trace.header
    assert name == b"traceparent"
    return collector.span(), value


def facts(span: Span) -> dict[str, object]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value") or "string_value") for one in span.attributes}


def test_a_request_is_a_span_in_the_words_of_the_conventions(collector: Collector) -> None:
    span, header = traced(collector, record(attempts=2, continued=True))
    assert span.name == "chat fast"
    assert span.kind == Span.SPAN_KIND_SERVER
    assert span.end_time_unix_nano - span.start_time_unix_nano == 2_500_000_000
    told = facts(span)
    assert told["gen_ai.operation.name"] == "chat"
    assert (told["gen_ai.request.model"], told["gen_ai.response.model"]) == ("fast", "demo/m")
    assert (told["gen_ai.usage.input_tokens"], told["gen_ai.usage.output_tokens"]) == (7, 5)
    assert told["http.response.status_code"] == 200
    assert (told["rbee.worker_id"], told["rbee.hive_id"], told["rbee.attempts"]) == ("w1", "h1", 2)
    assert "error.type" not in told
    assert header[:-2] == f"00-{span.trace_id.hex()}-{span.span_id.hex()}-".encode()
    assert int(header[-2:], 16) & 1


def test_the_clients_span_is_its_parent(collector: Collector) -> None:
    span, header = traced(collector, record(), (b"traceparent", TRACEPARENT))
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
    assert header.startswith(f"00-{TRACE}-".encode())
    assert PARENT.encode() not in header


@pytest.mark.parametrize(
    "headers",
    [
        [b"nonsense"],
        [b"00-" + b"0" * 32 + b"-00f067aa0ba902b7-01"],
        [b"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"],
        [TRACEPARENT + b"-more"],
        [TRACEPARENT, TRACEPARENT],
        [b"\xff\xfe"],
    ],
)
def test_a_parent_that_is_none_begins_a_trace_of_its_own(collector: Collector, headers: list[bytes]) -> None:
    span, _ = traced(collector, record(), *((b"traceparent", value) for value in headers))
    assert span.parent_span_id == b""


def test_a_refusal_is_no_error_of_the_servers_and_a_failure_is(collector: Collector) -> None:
    refusal, _ = traced(collector, refused())
    assert refusal.status.code == Status.STATUS_CODE_UNSET
    assert facts(refusal)["error.type"] == "MODEL_NOT_FOUND"
    failed, _ = traced(collector, refused("WORKER_FAILED", 500))
    assert failed.status.code == Status.STATUS_CODE_ERROR
    broken, _ = traced(collector, record(error_code="WORKER_FAILED"))
    assert broken.status.code == Status.STATUS_CODE_ERROR


def test_what_is_unknown_is_left_out(collector: Collector) -> None:
    span, _ = traced(collector, record(prompt_tokens=None, completion_tokens=None, hive_id=None))
    assert not {"gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "rbee.hive_id"} & set(facts(span))


@pytest.mark.parametrize(
    ("path", "operation"),
    [("/v1/embeddings", "embeddings"), ("/v1/completions", "text_completion"), ("/v1/messages", "chat")],
)
def test_each_route_has_its_operation(collector: Collector, path: str, operation: str) -> None:
    span, _ = traced(collector, record(path=path))
    assert span.name == f"{operation} fast"


def test_a_client_that_wants_no_sample_gets_none(collector: Collector) -> None:
    tracer = SpanTracer(collector.url)
    trace = tracer.begin([(b"traceparent", f"00-{TRACE}-{PARENT}-00".encode())])
    trace.end(record())
    tracer.close()
    assert trace.header[1].endswith(b"-00")
    assert collector.taken.empty()


class Place(Lease, Dispatcher):
    """The one worker there is."""

    worker_id = "w1"
    model_id = "demo/m"

    def __init__(self, port: int) -> None:
        self.target = Target(host="127.0.0.1", port=port)

    def finish(self, outcome: Outcome) -> None:
        pass

    async def acquire(self, route: Route) -> Lease:
        return self


async def test_the_gateway_hangs_a_request_below_the_client_and_its_worker_below_the_request(
    collector: Collector,
) -> None:
    heads: list[bytes] = []

    async def worker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        await reader.readexactly(len(body))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    body = b'{"model": "fast"}'
    tracer, pool = SpanTracer(collector.url), Pool()
    async with await asyncio.start_server(worker, "127.0.0.1", 0) as server:
        relay = Relay(Place(server.sockets[0].getsockname()[1]), pool, tracer=tracer)
        call = Call(
            request_id="req-7",
            path="/v1/chat/completions",
            body=body,
            headers=((b"traceparent", TRACEPARENT), (b"tracestate", b"a=b")),
            door="/v1/messages",
        )
        async with (
            asyncio.timeout(10),
            RelayCalls(relay, lambda error: STATUS_BY_CODE[error.code]).open(call) as answer,
        ):
            while await answer.read() is not None:
                pass
        pool.close()
    await asyncio.to_thread(tracer.close)
    span = collector.span()
    fields = [line.partition(b": ")[::2] for line in heads[0].split(b"\r\n")]
    # The client's own would have the worker's span beside this one.
    assert [value for name, value in fields if name == b"traceparent"] == [
        f"00-{TRACE}-{span.span_id.hex()}-01".encode()
    ]
    assert (b"tracestate", b"a=b") in fields
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
    assert facts(span)["rbee.request_id"] == "req-7"
    assert facts(span)["http.route"] == "/v1/messages"
