"""Metrics of the gateway, in the words of vLLM: what is counted of every request.

Names and buckets: https://docs.vllm.ai/en/stable/usage/metrics.html, with ``rbee:`` where vLLM has ``vllm:``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

import msgspec

from rbee.contract.wire import RequestRecord
from rbee.observability.gauges import ColonyGauges
from rbee.observability.histogram import Histogram

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
_MOST_WORKERS = 2000
_UNKNOWN = "unknown"
_OTHER = "other"
_ERRORS = 400


class OfModel:
    """What is counted for one model.

    Attributes:
        first: seconds to the first token, of streams.
        token: seconds between two tokens, of streams.
        whole: seconds in all, of requests that ended well.
        queue: seconds until a place was found.
        prompt: tokens of prompts, as far as workers told them.
        completion: tokens of answers, likewise.
        uncounted: requests that ended well without a word of their tokens.
        succeeded: requests that ended well.
        failed: the others, by error code, or by HTTP status where a worker itself refused them.
        retries: times that a request was sent to another worker.
        continued: answers that another worker took up.
    """

    __slots__ = (
        "completion", "continued", "failed", "first", "prompt", "queue", "retries", "succeeded", "token", "uncounted",
        "whole",
    )  # fmt: skip

    def __init__(self) -> None:
        self.first = Histogram(_FIRST_TOKEN_S)
        self.token = Histogram(_TOKEN_S)
        self.whole = Histogram(_WHOLE_S)
        self.queue = Histogram(_WHOLE_S)
        self.prompt = self.completion = self.uncounted = self.succeeded = self.retries = self.continued = 0
        self.failed: Counter[str] = Counter()

    def copy(self) -> OfModel:
        """What has been counted so far, for another thread."""
        made = OfModel()
        for name in self.__slots__:
            value = getattr(self, name)
            setattr(made, name, value if isinstance(value, int) else value.copy())
        return made


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """All that there is to tell at one moment.

    Attributes:
        models: by canonical name.
        requests: that each worker ended, by worker and hive.
        colony: its gauges.
    """

    models: Mapping[str, OfModel]
    requests: Mapping[tuple[str, str], int]
    colony: ColonyGauges


class GatewayMetrics:
    """Counts finished requests; asks for the rest when it is read.

    Args:
        gauges: the colony at this moment.
    """

    def __init__(self, gauges: Callable[[], ColonyGauges]) -> None:
        self._gauges = gauges
        self._models: dict[str, OfModel] = {}
        self._workers: dict[tuple[str, str], int] = {}

    def observe(self, record: RequestRecord) -> None:
        """A request has ended."""
        found = self._models.get(record.model_id or _UNKNOWN) or self._enter(record.model_id or _UNKNOWN)
        tokens, first = record.completion_tokens, record.first_token_s
        if record.error_code is None and record.status < _ERRORS:
            # Refusals take no time: among the answers they would make a queen in trouble look fast.
            found.succeeded += 1
            found.whole.observe(record.duration_s)
            if tokens is None:
                found.uncounted += 1
        else:
            found.failed[record.error_code or str(record.status)] += 1
        if record.queue_s is not None:
            found.queue.observe(record.queue_s)
        if record.prompt_tokens is not None:
            found.prompt += record.prompt_tokens
        if tokens is not None:
            found.completion += tokens
        if record.stream and first is not None and record.status < _ERRORS:
            found.first.observe(first)
            if tokens is not None and tokens > 1:
                # As vLLM: each token counts, here with the average of its answer.
                found.token.observe_many((record.duration_s - first) / (tokens - 1), tokens - 1)
        if record.attempts > 1:
            found.retries += record.attempts - 1
        if record.continued:
            found.continued += 1
        if record.worker_id is not None:
            worker = (record.worker_id, record.hive_id or "")
            times = self._workers.get(worker)
            if times is None and len(self._workers) >= _MOST_WORKERS:
                # Nobody reads the metrics, or those of workers that are gone would have been forgotten.
                del self._workers[next(iter(self._workers))]
            self._workers[worker] = (times or 0) + 1

    def snapshot(self) -> Snapshot:
        """What there is to tell now; to be taken where `observe` is called, and read anywhere."""
        colony = self._gauges()
        present = {worker.worker_id for worker in colony.workers}
        self._workers = {key: times for key, times in self._workers.items() if key[0] in present}
        models = {name: found.copy() for name, found in self._models.items()}
        return Snapshot(models=models, requests=self._workers.copy(), colony=colony)

    def _enter(self, name: str) -> OfModel:
        if len(self._models) >= _MOST_MODELS:
            name = _OTHER
        return self._models.setdefault(name, OfModel())
