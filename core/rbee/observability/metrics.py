"""Metrics of the gateway and the colony, in the words of vLLM and the format of Prometheus.

Names and buckets: https://docs.vllm.ai/en/stable/usage/metrics.html, with ``rbee:`` where vLLM has ``vllm:``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from rbee.contract.wire import RequestRecord
from rbee.observability.gauges import ColonyGauges
from rbee.observability.histogram import Histogram

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

_FIRST_TOKEN_S = (
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0,
    160.0, 640.0, 2560.0,
)  # fmt: skip
_TOKEN_S = (
    0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0,
)  # fmt: skip
_WHOLE_S = (
    0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0, 480.0, 960.0,
    1920.0, 7680.0,
)  # fmt: skip
_MOST_MODELS = 500
_UNKNOWN = "unknown"
_OTHER = "other"
_FINE = "OK"


class _OfModel:
    """What is counted for one model."""

    __slots__ = ("completion", "continued", "first", "outcomes", "prompt", "queue", "retries", "token", "whole")

    def __init__(self) -> None:
        self.first = Histogram(_FIRST_TOKEN_S)
        self.token = Histogram(_TOKEN_S)
        self.whole = Histogram(_WHOLE_S)
        self.queue = Histogram(_WHOLE_S)
        self.prompt = self.completion = self.retries = self.continued = 0
        self.outcomes: Counter[str] = Counter()


class GatewayMetrics:
    """Counts finished requests; asks for the rest when it is read.

    Args:
        gauges: the colony at this moment.
    """

    def __init__(self, gauges: Callable[[], ColonyGauges]) -> None:
        self._gauges = gauges
        self._models: dict[str, _OfModel] = {}
        self._workers: Counter[tuple[str, str]] = Counter()

    def observe(self, record: RequestRecord) -> None:
        """A request has ended."""
        name = record.model_id or _UNKNOWN
        found = self._models.get(name) or self._enter(name)
        found.outcomes[record.error_code or _FINE] += 1
        found.whole.observe(record.duration_s)
        if record.queue_s is not None:
            found.queue.observe(record.queue_s)
        if record.prompt_tokens is not None:
            found.prompt += record.prompt_tokens
        tokens = record.completion_tokens
        if tokens is not None:
            found.completion += tokens
        first = record.first_token_s
        if record.stream and first is not None:
            found.first.observe(first)
            if tokens is not None and tokens > 1:
                found.token.observe((record.duration_s - first) / (tokens - 1))
        if record.attempts > 1:
            found.retries += record.attempts - 1
        if record.continued:
            found.continued += 1
        if record.worker_id is not None:
            self._workers[record.worker_id, record.hive_id or ""] += 1

    def render(self, accept: str | None) -> tuple[bytes, str]:
        """The metrics and their media type: OpenMetrics for who takes it, else Prometheus' text.

        Args:
            accept: the header of the request.
        """
        from prometheus_client.exposition import choose_encoder

        encoder, media_type = choose_encoder(accept or "")
        return encoder(_Collected(self.collect)), media_type

    def collect(self) -> Iterator[Metric]:
        """Every metric."""
        from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily

        models = sorted(self._models.items())
        histograms: tuple[tuple[str, str, Callable[[_OfModel], Histogram]], ...] = (
            ("time_to_first_token_seconds", "From a request's arrival to the first token sent on.", lambda m: m.first),
            ("time_per_output_token_seconds", "Between two tokens of a stream, on average.", lambda m: m.token),
            ("e2e_request_latency_seconds", "From a request's arrival to the end of its answer.", lambda m: m.whole),
            ("request_queue_time_seconds", "Until a worker was found, its loading included.", lambda m: m.queue),
        )
        for name, what, of in histograms:
            family = HistogramMetricFamily(f"rbee:{name}", what, labels=["model_name"])
            for model, found in models:
                family.add_metric([model], of(found).cumulative(), of(found).total)
            yield family
        counters: tuple[tuple[str, str, Callable[[_OfModel], int]], ...] = (
            ("prompt_tokens", "Tokens of prompts.", lambda m: m.prompt),
            ("generation_tokens", "Tokens of answers.", lambda m: m.completion),
            ("request_retries", "Requests sent to another worker because one failed.", lambda m: m.retries),
            ("request_continuations", "Answers taken up by another worker.", lambda m: m.continued),
        )
        for name, what, count in counters:
            counter = CounterMetricFamily(f"rbee:{name}", what, labels=["model_name"])
            for model, found in models:
                counter.add_metric([model], count(found))
            yield counter
        well = CounterMetricFamily("rbee:request_success", "Requests answered well.", labels=["model_name"])
        failed = CounterMetricFamily("rbee:request_failure", "Requests that failed.", labels=["model_name", "code"])
        for model, found in models:
            well.add_metric([model], found.outcomes[_FINE])
            for code, times in sorted(found.outcomes.items()):
                if code != _FINE:
                    failed.add_metric([model, code], times)
        yield well
        yield failed
        yield from self._now()

    def _now(self) -> Iterable[Metric]:
        from rbee.observability.collected import colony_metrics

        now = self._gauges()
        present = {worker.worker_id for worker in now.workers}
        # Those of workers that are gone would stay for ever.
        self._workers = Counter({key: times for key, times in self._workers.items() if key[0] in present})
        return colony_metrics(now, self._workers)

    def _enter(self, name: str) -> _OfModel:
        if len(self._models) >= _MOST_MODELS:
            name = _OTHER
        return self._models.setdefault(name, _OfModel())


class _Collected:
    """A registry in the eyes of the encoder."""

    def __init__(self, collect: Callable[[], Iterator[Metric]]) -> None:
        self.collect = collect
