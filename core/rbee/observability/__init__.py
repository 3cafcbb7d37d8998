"""What happens, told to machines: metrics in the vocabulary of Prometheus, traces, the access log."""

from rbee.observability import access_log
from rbee.observability.gauges import ColonyGauges, MemoryGauge, WorkerGauge
from rbee.observability.metrics import GatewayMetrics

__all__ = ["ColonyGauges", "GatewayMetrics", "MemoryGauge", "WorkerGauge", "access_log"]
