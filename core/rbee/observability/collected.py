"""A snapshot of the metrics in Prometheus' words.  Loaded when somebody asks for them: most queens are never asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from prometheus_client import ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.openmetrics.exposition import ALLOWUTF8
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics
from prometheus_client.registry import Collector

from rbee.contract.types import WorkerState
from rbee.contract.version import __version__
from rbee.observability.gauges import SILENT, ColonyGauges
from rbee.observability.histogram import Histogram
from rbee.observability.metrics import OfModel, Snapshot

_OPEN = "application/openmetrics-text"
_HISTOGRAMS: tuple[tuple[str, str, Callable[[OfModel], Histogram]], ...] = (
    ("time_to_first_token_seconds", "From a streamed request's arrival to its first token.", lambda m: m.first),
    ("time_per_output_token_seconds", "Between two tokens of a stream.", lambda m: m.token),
    ("e2e_request_latency_seconds", "From a request's arrival to the end of its answer.", lambda m: m.whole),
    ("request_queue_time_seconds", "From a request's arrival until it had a worker.", lambda m: m.queue),
)
_COUNTERS: tuple[tuple[str, str, Callable[[OfModel], int]], ...] = (
    ("prompt_tokens", "Tokens of prompts, as workers told them.", lambda m: m.prompt),
    ("generation_tokens", "Tokens of answers, as workers told them.", lambda m: m.completion),
    ("request_success", "Requests that ended well.", lambda m: m.succeeded),
    ("request_uncounted", "Of these, without a word of their tokens.", lambda m: m.uncounted),
    ("request_retries", "Times a request was sent to another worker because one failed.", lambda m: m.retries),
    ("request_continuations", "Answers that another worker took up.", lambda m: m.continued),
)


def encode(snapshot: Snapshot, accept: str | None) -> tuple[bytes, str]:
    """A page of metrics and its content type.

    Args:
        snapshot: what to tell.
        accept: header of the request: OpenMetrics for who takes it, else Prometheus' text.
    """
    encoder, content_type = choose_encoder(accept or "")
    if content_type.startswith(_OPEN):
        # All names here are as every version of the format has them, and its escaping would take colons for strange.
        page: bytes = openmetrics(_Page(snapshot), escaping=ALLOWUTF8)  # type: ignore[no-untyped-call]
        return page, f"{_OPEN}; version=1.0.0; charset=utf-8"
    return encoder(_Page(snapshot)), content_type


class _Page(Collector):
    """All metrics; stands where the encoder wants a registry."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        """Every metric."""
        yield from _gateway(self._snapshot)
        yield from _colony(self._snapshot.colony)
        yield InfoMetricFamily("rbee:build", "This program.", value={"version": __version__})
        # The figures of the process that every exporter has, where the system tells them.
        yield from ProcessCollector(registry=None).collect()


def _gateway(snapshot: Snapshot) -> Iterator[Metric]:
    """What was counted of requests."""
    models = sorted(snapshot.models.items())
    for name, what, of in _HISTOGRAMS:
        histogram = HistogramMetricFamily(f"rbee:{name}", what, labels=["model_name"])
        for model, found in models:
            histogram.add_metric([model], of(found).cumulative(), of(found).total)
        yield histogram
    for name, what, count in _COUNTERS:
        counter = CounterMetricFamily(f"rbee:{name}", what, labels=["model_name"])
        for model, found in models:
            counter.add_metric([model], count(found))
        yield counter
    failed = CounterMetricFamily("rbee:request_failure", "Requests that failed.", labels=["model_name", "code"])
    for model, found in models:
        for code, times in sorted(found.failed.items()):
            failed.add_metric([model, code], times)
    yield failed
    asked = CounterMetricFamily("rbee:worker_requests", "Requests that a worker had.", labels=["worker_id", "hive_id"])
    for (worker_id, hive_id), times in sorted(snapshot.requests.items()):
        asked.add_metric([worker_id, hive_id], times)
    yield asked


def _colony(now: ColonyGauges) -> Iterator[Metric]:
    """What is true now."""
    names = sorted({*now.running, *now.waiting, *(one.model_id for one in now.workers if one.model_id)})
    for name, what, by_model in (
        ("num_requests_running", "Requests that are with a worker.", now.running),
        ("num_requests_waiting", "Requests that wait for a slot.", now.waiting),
    ):
        family = GaugeMetricFamily(f"rbee:{name}", what, labels=["model_name"])
        for model in names:
            family.add_metric([model], by_model.get(model, 0))
        yield family
    hives = GaugeMetricFamily("rbee:hive_up", "Whether a hive beats.", labels=["hive_id"])
    for hive_id, up in sorted(now.hives.items()):
        hives.add_metric([hive_id], float(up))
    yield hives
    tunnels = GaugeMetricFamily("rbee:tunnel_up", "Whether an SSH tunnel to a machine is open.", labels=["machine"])
    for name, up in sorted(now.tunnels.items()):
        tunnels.add_metric([name], float(up))
    yield tunnels
    states = GaugeMetricFamily("rbee:workers", "Workers, by state.", labels=["state"])
    counts = Counter(one.state for one in now.workers)
    for state in (*WorkerState, SILENT):
        # Those that nobody is in, too: a line that ends would look like one whose value stays.
        states.add_metric([str(state)], counts[state])
    yield states
    yield from _slots(now)
    yield from _memory(now)


def _slots(now: ColonyGauges) -> Iterator[Metric]:
    labels = ["worker_id", "hive_id", "model_name"]
    total = GaugeMetricFamily("rbee:worker_slots", "Requests that a worker serves at the same time.", labels=labels)
    free = GaugeMetricFamily("rbee:worker_slots_free", "Of these, free.", labels=labels)
    for one in now.workers:
        values = [one.worker_id, one.hive_id or "", one.model_id or ""]
        if one.slots_total is not None:
            total.add_metric(values, one.slots_total)
        if one.slots_free is not None:
            free.add_metric(values, one.slots_free)
    yield total
    yield free
    peak = GaugeMetricFamily("rbee:worker_memory_peak_bytes", "The most memory that a worker has used.", labels=labels)
    thought = GaugeMetricFamily("rbee:worker_memory_estimate_bytes", "What it was estimated to use.", labels=labels)
    for one in now.workers:
        values = [one.worker_id, one.hive_id or "", one.model_id or ""]
        if one.memory_peak_bytes is not None:
            peak.add_metric(values, one.memory_peak_bytes)
        if one.memory_estimate_bytes is not None:
            thought.add_metric(values, one.memory_estimate_bytes)
    yield peak
    yield thought


def _memory(now: ColonyGauges) -> Iterator[Metric]:
    places = ["hive_id", "device"]
    used = GaugeMetricFamily("rbee:memory_used_bytes", "Memory in use, of a machine or a GPU.", labels=places)
    whole = GaugeMetricFamily("rbee:memory_total_bytes", "Memory in all, likewise.", labels=places)
    for one in now.memory:
        if one.used_bytes is not None:
            used.add_metric([one.hive_id, one.device], one.used_bytes)
        if one.total_bytes is not None:
            whole.add_metric([one.hive_id, one.device], one.total_bytes)
    yield used
    yield whole
