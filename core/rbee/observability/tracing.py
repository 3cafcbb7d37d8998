"""Traces by OpenTelemetry, where its environment asks for them and the packages are there; else nothing is loaded.

Variables: https://opentelemetry.io/docs/specs/otel/protocol/exporter/
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rbee.observability.spans import SpanTracer

log = logging.getLogger(__name__)

_FOR_ALL = "OTEL_EXPORTER_OTLP_ENDPOINT"
_FOR_TRACES = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_SPOKEN = "http/protobuf"


def make_tracer(environment: Mapping[str, str]) -> SpanTracer | None:
    """The tracer that the environment asks for; None when it asks for none, or for one that cannot be had.

    Args:
        environment: with the variables of OpenTelemetry.
    """
    endpoint = _endpoint(environment)
    if endpoint is None or environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    # Empty is as good as unset, says the specification; several are named with commas.
    exporters = environment.get("OTEL_TRACES_EXPORTER", "").strip() or "otlp"
    if "otlp" not in {one.strip() for one in exporters.split(",")}:
        return None
    protocol = next((found for name in _PROTOCOLS if (found := environment.get(name))), _SPOKEN)
    if protocol != _SPOKEN:
        log.warning("no traces: OTLP is spoken as %r alone, and the environment asks for %r", _SPOKEN, protocol)
        return None
    try:
        from rbee.observability.spans import SpanTracer
    except ModuleNotFoundError as error:
        log.warning("no traces: %s, and the packages for it are missing: pip install 'rbee[otel]'", error)
        return None
    try:
        return SpanTracer(endpoint)
    except Exception as error:
        # A variable that the packages refuse: it should not keep the queen from her work.
        log.warning("no traces: the variables OTEL_* will not do: %s", error)
        return None


def _endpoint(environment: Mapping[str, str]) -> str | None:
    own = environment.get(_FOR_TRACES)
    if own:
        return own
    base = environment.get(_FOR_ALL)
    return f"{base.rstrip('/')}/v1/traces" if base else None
