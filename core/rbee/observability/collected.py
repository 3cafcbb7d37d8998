"""The colony's gauges as Prometheus' families."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from rbee.observability.gauges import ColonyGauges


def colony_metrics(now: ColonyGauges, requests: Mapping[tuple[str, str], int]) -> Iterator[Metric]:
    """Every gauge of the colony, and the requests that each of its workers got.

    Args:
        now: the colony.
        requests: by worker and hive.
    """
    names = sorted({*now.running, *now.waiting, *(one.model_id for one in now.workers if one.model_id)})
    for name, what, by_model in (
        ("num_requests_running", "Requests that a worker is answering.", now.running),
        ("num_requests_waiting", "Requests that wait for a place.", now.waiting),
    ):
        family = GaugeMetricFamily(f"rbee:{name}", what, labels=["model_name"])
        for model in names:
            family.add_metric([model], by_model.get(model, 0))
        yield family
    hives = GaugeMetricFamily("rbee:hive_up", "Whether a hive beats.", labels=["hive_id"])
    for hive_id, up in sorted(now.hives.items()):
        hives.add_metric([hive_id], float(up))
    yield hives
    states = GaugeMetricFamily("rbee:workers", "Workers, by state.", labels=["state"])
    for state, count in sorted(Counter(one.state for one in now.workers).items()):
        states.add_metric([state], count)
    yield states
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
    asked = CounterMetricFamily("rbee:worker_requests", "Requests sent to a worker.", labels=["worker_id", "hive_id"])
    for (worker_id, hive_id), times in sorted(requests.items()):
        asked.add_metric([worker_id, hive_id], times)
    yield asked
    places = ["hive_id", "device"]
    used = GaugeMetricFamily("rbee:memory_used_bytes", "Memory in use, of a machine or a GPU.", labels=places)
    whole = GaugeMetricFamily("rbee:memory_total_bytes", "Memory in all.", labels=places)
    for memory in now.memory:
        if memory.used_bytes is not None:
            used.add_metric([memory.hive_id, memory.device], memory.used_bytes)
        if memory.total_bytes is not None:
            whole.add_metric([memory.hive_id, memory.device], memory.total_bytes)
    yield used
    yield whole
