"""What happens, told to machines: metrics in the vocabulary of Prometheus, traces, the access log."""

from rbee.observability import access_log
from rbee.observability.gauges import SILENT, ColonyGauges, MemoryGauge, WorkerGauge
from rbee.observability.metrics import GatewayMetrics
from rbee.observability.tracing import make_tracer

__all__ = ["SILENT", "ColonyGauges", "GatewayMetrics", "MemoryGauge", "WorkerGauge", "access_log", "make_tracer"]
