"""Workers as `rbee ps`, `rbee worker ls` and `rbee worker show` tell of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click
import msgspec

from rbee.cli.console import say, table_console
from rbee.cli.context import Context
from rbee.cli.format import UNKNOWN, duration, megabytes, printable, text
from rbee.cli.queen import ask_queen
from rbee.contract.wire import WorkerRecord

_HEARD = frozenset({"online", "unobserved"})


def print_workers(context: Context, *, as_json: bool) -> None:
    """Print the workers that the queen knows.

    Raises:
        NotRunningError: there is no queen to be found.
    """
    workers = ask_queen(context, lambda queen: queen.workers())
    if as_json:
        click.echo(msgspec.json.encode({"workers": workers}).decode())
        return
    if not workers:
        say("No workers. One starts when a model is asked for: rbee run demo 'Hello'")
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("ID", "MODEL", "HIVE", "DEVICE", "STATE", "SLOTS", "THREADS", "MEMORY", "UPTIME", "KEPT"):
        table.add_column(heading, justify="right" if heading in {"SLOTS", "THREADS", "MEMORY", "UPTIME"} else "left")
    for worker in workers:
        table.add_row(*(Text(printable(cell)) for cell in _row(worker)))
    table_console().print(table)


def state_of(worker: WorkerRecord) -> str:
    """State in a word, or what its silence means; while it loads, with the stage."""
    state = worker.state.value if worker.presence in _HEARD else worker.presence
    return f"{state} ({worker.stage})" if worker.stage else state


def kept_of(worker: WorkerRecord) -> str:
    """How much longer it is kept if nobody asks it."""
    if worker.pinned:
        return "pinned"
    return UNKNOWN if worker.unloads_in_s is None else f"{duration(worker.unloads_in_s)} left"


def slots_of(worker: WorkerRecord) -> str:
    """Busy of all."""
    if worker.slots_total is None or worker.slots_available is None:
        return UNKNOWN
    return f"{worker.slots_total - worker.slots_available}/{worker.slots_total}"


def why_not_routable(worker: WorkerRecord) -> str | None:
    """Why no request goes there; None when they do."""
    if worker.routable:
        return None
    beat, sample = duration(worker.heartbeat_age_s), duration(worker.telemetry_age_s)
    if worker.presence == "hung":
        spoke = "has never spoken" if worker.heartbeat_age_s is None else f"has not spoken for {beat}"
        return f"hung: its process is there and it {spoke}"
    if worker.presence not in _HEARD:
        heard = "never heard" if worker.heartbeat_age_s is None else f"not heard for {beat}"
        seen = "never measured" if worker.telemetry_age_s is None else f"not measured for {sample}"
        return f"{worker.presence}: {heard}, {seen}"
    if worker.stage:
        return f"{worker.state.value}: {worker.stage}"
    return f"its state is {worker.state.value}"


def facts_of(worker: WorkerRecord, devices: Sequence[str]) -> dict[str, str]:
    """Everything known of a worker, as lines for a person.

    Args:
        worker: which.
        devices: what is known of its device, a sentence each.
    """
    why = why_not_routable(worker)
    return {
        "worker": worker.worker_id,
        "state": state_of(worker),
        "presence": worker.presence,
        "requests": "yes" if why is None else f"no: {why}",
        "model": text(worker.model_name),
        "canonical": text(worker.model_id),
        "engine": f"{text(worker.implementation)} {worker.version or ''}".rstrip(),
        "address": text(worker.url),
        "hive": text(worker.hive_id),
        "device": "; ".join(devices) or text(worker.device),
        "backend": text(worker.backend),
        "slots": f"{slots_of(worker)} busy" if slots_of(worker) != UNKNOWN else UNKNOWN,
        "waiting": text(worker.queue_depth),
        "tokens/s": text(worker.tokens_per_second),
        "prompt speed": tokens_a_second(worker.prefill_tok_s),
        "answer speed": tokens_a_second(worker.decode_tok_s),
        "context": text(worker.context_length),
        "can do": UNKNOWN if worker.capabilities is None else ", ".join(worker.capabilities),
        "started by": text(worker.spawned_by),
        "process": text(worker.pid),
        "processor": percent(worker.cpu_pct),
        "threads": text(worker.threads),
        "memory": megabytes(worker.rss_mb),
        "promised": f"{megabytes(worker.memory_granted_mb)}{_of_each(worker.granted_by_gpu_mb)}",
        "VRAM": f"{megabytes(worker.vram_mb)}{_of_each(worker.vram_by_gpu_mb)}",
        "GPU": percent(worker.gpu_pct),
        "uptime": duration(worker.uptime_s),
        "kept": kept_of(worker),
        "last beat": _ago(worker.heartbeat_age_s),
        "last measured": _ago(worker.telemetry_age_s),
        "instance": text(worker.instance_id),
    }


def tokens_a_second(rate: float | None) -> str:
    """Measured by requests or `rbee bench`."""
    return UNKNOWN if rate is None else f"{rate:g} tokens/s"


def percent(value: float | None) -> str:
    """``12 %``; 100 is one core, or all of a device."""
    return UNKNOWN if value is None else f"{value:.0f} %"


def _of_each(by_gpu: Mapping[str, int] | None) -> str:
    """What of it is of which GPU, where there are several."""
    return f" ({', '.join(f'{gpu} {megabytes(size)}' for gpu, size in by_gpu.items())})" if by_gpu else ""


def _ago(seconds: float | None) -> str:
    return UNKNOWN if seconds is None else f"{duration(seconds)} ago"


def _row(worker: WorkerRecord) -> tuple[str, ...]:
    return (
        worker.worker_id,
        text(worker.model_id),
        text(worker.hive_id),
        text(worker.device),
        state_of(worker),
        slots_of(worker),
        text(worker.threads),
        megabytes(worker.rss_mb if worker.vram_mb is None else worker.vram_mb),
        duration(worker.uptime_s),
        kept_of(worker),
    )
